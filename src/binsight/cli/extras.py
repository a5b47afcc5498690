"""What commands that need an extra share: a plain word where it is not installed."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from binsight.errors import MissingExtraError

__all__ = ["needs_extra"]

Function = Callable[..., None]


def needs_extra(user: str, extra: str) -> Callable[[Function], Function]:
    """Turn a library that is missing into the advice to install `binsight[extra]`, which `user` needs."""

    def wrap(function: Function) -> Function:
        @functools.wraps(function)
        def call(*args: Any, **values: Any) -> None:
            try:
                function(*args, **values)
            except ModuleNotFoundError as error:
                if isinstance(error, MissingExtraError) or (error.name or "").partition(".")[0] in {"", "binsight"}:
                    raise
                raise MissingExtraError(user, extra) from error

        return call

    return wrap
