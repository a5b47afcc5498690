"""A process that dies at a chosen step of the file system, and what is left on the disk then."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pytest

STEPS = ((os, "write"), (os, "fsync"), (os, "truncate"), (Path, "replace"), (Path, "unlink"))


class Killed(BaseException):
    """What `kill -9` is to a process: nothing may catch it."""


def crash_at_each_step(monkeypatch: pytest.MonkeyPatch, work: Callable[[], Any]) -> Iterator[int]:
    """Run `work` until it comes to its end, each time dying one step later; yields after each death.

    Each step is tried twice: not done at all, and done (a write: half of it) just before the death.
    """
    for after in (False, True):
        step = 0
        while _dies(monkeypatch, work, step, after=after):
            yield step
            step += 1
        assert step > 0, "nothing was written at all"


def _dies(monkeypatch: pytest.MonkeyPatch, work: Callable[[], Any], step: int, *, after: bool) -> bool:
    left = [step]

    def failing(name: str, do: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if left[0] < 0:
                raise Killed  # a dead process does nothing any more, whatever its `finally` says
            left[0] -= 1
            if left[0] >= 0:
                return do(*args, **kwargs)
            if after:
                do(*((args[0], args[1][: len(args[1]) // 2]) if name == "write" else args), **kwargs)
            raise Killed

        return call

    with monkeypatch.context() as patch:
        for owner, name in STEPS:
            patch.setattr(owner, name, failing(name, getattr(owner, name)))
        try:
            work()
        except Killed:
            return True
    return False
