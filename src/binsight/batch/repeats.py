"""Numbers that come more than once among very many, found with little memory."""

from __future__ import annotations

import tempfile
from array import array
from contextlib import ExitStack
from typing import Self

import numpy as np

__all__ = ["Repeats"]

_AT_ONCE = 1 << 16
_FILES = 64  # of a thousand million numbers, one then holds 125 MB


class Repeats:
    """Takes numbers of 64 bits; they wait on disk, divided by their highest bits, to be sorted part by part."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._files = [self._stack.enter_context(tempfile.TemporaryFile()) for _ in range(_FILES)]  # noqa: SIM115 - the stack closes them
        self._waiting = array("Q")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def add(self, number: int) -> None:
        """Take one more."""
        self._waiting.append(number)
        if len(self._waiting) >= _AT_ONCE:
            self._flush()

    def find(self) -> frozenset[int]:
        """Those that came more than once."""
        self._flush()
        found: set[int] = set()
        for file in self._files:
            file.seek(0)
            numbers = np.sort(np.frombuffer(file.read(), np.uint64))
            found.update(numbers[1:][numbers[1:] == numbers[:-1]].tolist())
        return frozenset(found)

    def _flush(self) -> None:
        numbers = np.sort(np.frombuffer(self._waiting, np.uint64))
        ends = np.searchsorted(numbers >> np.uint64(58), np.arange(1, _FILES + 1, dtype=np.uint64))
        for file, some in zip(self._files, np.split(numbers, ends[:-1]), strict=True):
            file.write(some.tobytes())
        del numbers, some
        self._waiting = array("Q")
