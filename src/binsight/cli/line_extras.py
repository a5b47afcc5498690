"""What the commands of `binsight line` share: a plain word where the extra is not installed."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from binsight.errors import MissingExtraError

__all__ = ["line_extra"]


def line_extra(function: Callable[..., None]) -> Callable[..., None]:
    """Turn a library that is missing into the advice to install `binsight[line]`."""

    @functools.wraps(function)
    def call(*args: Any, **values: Any) -> None:
        try:
            function(*args, **values)
        except ModuleNotFoundError as error:
            if isinstance(error, MissingExtraError) or (error.name or "").partition(".")[0] in {"", "binsight"}:
                raise
            raise MissingExtraError("a line", "line") from error

    return call
