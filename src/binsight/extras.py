"""Libraries that come with an extra: where one is missing, which extra brings it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from binsight.errors import MissingExtraError

__all__ = ["needs_extra"]


@contextmanager
def needs_extra(feature: str, extra: str) -> Iterator[None]:
    """Turn a library that a block imports and that is missing into advice; decorates a function as well.

    Args:
        feature: as for `MissingExtraError`.
        extra: the extra that brings the library.

    Raises:
        MissingExtraError: the library is not installed.
    """
    try:
        yield
    except ImportError as error:
        if isinstance(error, MissingExtraError) or (error.name or "").partition(".")[0] in {"", "binsight"}:
            raise
        raise MissingExtraError(feature, extra) from error
