"""Processes of this machine: one for each core, started once, replaced when one dies."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.connection import Connection, wait
from typing import Any, Self, TypeVar

from binsight.errors import BinsightError, WorkerDiedError

__all__ = ["LocalEngine"]

Item = TypeVar("Item")
Result = TypeVar("Result")

_CONTEXT = multiprocessing.get_context("spawn")  # a copy of this process would have the locks of its threads
_PATIENCE_S = 5.0


class LocalEngine:
    """See `Engine`. Leaving the block ends its processes.

    Args:
        workers: how many processes.
    """

    def __init__(self, workers: int) -> None:
        self._count = workers
        self._workers: list[_Worker] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.stop()
        self._workers.clear()

    def map(
        self, function: Callable[[Item], Result], items: Iterable[Item]
    ) -> Iterator[tuple[Item, Result | BinsightError]]:
        """See `Engine`."""
        source = iter(items)
        busy: dict[Connection, tuple[_Worker, Item]] = {}
        idle = list(self._workers)
        while True:
            while len(busy) < self._count and (some := next(source, None)) is not None:
                worker = idle.pop() if idle else self._start()
                worker.send(function, some)
                busy[worker.pipe] = (worker, some)
            if not busy:
                return
            for pipe in wait(list(busy)):
                assert isinstance(pipe, Connection)  # noqa: S101 - nothing else was waited for
                worker, item = busy.pop(pipe)
                outcome = worker.receive()
                if isinstance(outcome, WorkerDiedError) and worker.has_ended:
                    self._workers.remove(worker)
                else:
                    idle.append(worker)
                if isinstance(outcome, Exception) and not isinstance(outcome, BinsightError):
                    raise outcome
                yield item, outcome

    def _start(self) -> _Worker:
        self._workers.append(_Worker())
        return self._workers[-1]


class _Worker:
    """One process, and the pipe to it."""

    def __init__(self) -> None:
        self.pipe, its = _CONTEXT.Pipe()
        self._process = _CONTEXT.Process(target=_work, args=(its,), daemon=True)
        self._process.start()
        its.close()  # so that the pipe ends when the process does

    @property
    def has_ended(self) -> bool:
        return self._process.exitcode is not None

    def send(self, function: Callable[[Any], Any], item: object) -> None:
        with contextlib.suppress(OSError):  # it has died: `receive` tells
            self.pipe.send((function, item))

    def receive(self) -> Any:
        """What came of the item; `WorkerDiedError` where the process ended."""
        try:
            return self.pipe.recv()
        except (EOFError, OSError):
            self._process.join(_PATIENCE_S)
            self.stop()
            return WorkerDiedError(f"the worker ended: {_describe(self._process.exitcode)}")

    def stop(self) -> None:
        self._process.kill()
        self._process.join()
        self.pipe.close()


def _describe(code: int | None) -> str:
    if code is None or code >= 0:
        return f"exit code {code}"
    with contextlib.suppress(ValueError):
        memory = ", as the system does when memory runs out" if -code == signal.SIGKILL else ""
        return f"killed by {signal.Signals(-code).name}{memory}"
    return f"killed by signal {-code}"


def _work(pipe: Connection) -> None:
    """A worker's life: until the pipe is closed, or whoever started it is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all of them; the one that started them ends them
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with contextlib.suppress(EOFError, OSError):
        while True:
            function, item = pipe.recv()
            pipe.send(_outcome(function, item))


def _outcome(function: Callable[[Any], Any], item: object) -> object:
    try:
        return function(item)
    except Exception as error:
        return error if _can_travel(error) else RuntimeError(f"{type(error).__name__}: {error}")


def _can_travel(error: Exception) -> bool:
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - made here
    except Exception:
        return False
    return True


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
