"""Teaching in a process of its own: its memory is given back whole, photos of others go first, and it can be stopped.

The process ends by itself when the server does, however that ends.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, ClassVar, Final, Literal

from binsight.errors import BinsightError
from binsight.imaging import ImageLimits
from binsight.taxonomy import WasteClass

__all__ = ["Progress", "Task", "Teaching", "TeachingBusyError"]

_log = logging.getLogger("binsight.serving")
_TOLD_EVERY_S: Final = 0.2
_PRIORITY: Final = 5  # of a core that photos want too it gets a quarter; with 19 a busy server would never finish
_END_S: Final = 10.0
_STOPPED = "the process that taught ended early; is there enough memory? Nothing is lost: teach it again"
_MAX_FAULT: Final = 2000


OnEnd = Callable[[Mapping[str, Any] | None, str | None], None]


class TeachingBusyError(BinsightError, RuntimeError):
    """A model is being taught already."""

    code: ClassVar[str] = "lesson_busy"


@dataclass(frozen=True, slots=True)
class Task:
    """What to teach: the arguments of `binsight.adapt.adapt`."""

    bundle: Path
    photos: Path
    out: Path
    version: str
    new_classes: tuple[WasteClass, ...]
    workers: int
    limits: ImageLimits


@dataclass(frozen=True, slots=True)
class Progress:
    """What is being done, and how much of it; `total` is 0 where nobody knows."""

    stage: str
    done: int = 0
    total: int = 0


@dataclass(slots=True)
class Teaching:
    """At most one process that teaches, whichever model it is.

    Attributes:
        progress: of the model that is being taught.
    """

    progress: dict[str, Progress] = field(default_factory=dict)
    _ended_by: Literal["itself", "cancel", "server"] = "itself"
    _process: Any = None
    _thread: threading.Thread | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def start(self, model: str, task: Task, on_begin: Callable[[], None], on_end: OnEnd) -> None:
        """Begin to teach.

        Args:
            model: under whose name progress is kept.
            task: what to teach.
            on_begin: called when nothing else is being taught.
            on_end: called in another thread with the JSON of the `Adaptation`, or with why there is none; with neither
                after `cancel`. When the server ends before, it is not called.

        Raises:
            TeachingBusyError: a model is being taught.
        """
        with self._lock:
            if self.progress:
                raise TeachingBusyError(f"{next(iter(self.progress))} is being taught; wait for it, or cancel it")
            on_begin()
            context = multiprocessing.get_context("spawn")
            ours, theirs = context.Pipe()
            self._process = context.Process(target=_teach, args=(theirs, task), daemon=True)
            self._process.start()
            theirs.close()  # or a process that dies would leave us waiting
            self._ended_by = "itself"
            self.progress[model] = Progress("Starting")
            self._thread = threading.Thread(
                target=self._follow, args=(model, ours, on_end), name="binsight-teaching", daemon=True
            )
            self._thread.start()

    def cancel(self, model: str) -> None:
        """End what this model is being taught, and wait until it has ended."""
        if model in self.progress:
            self._end("cancel")

    def close(self) -> None:
        """The server ends: so does what is being taught."""
        self._end("server")

    def _end(self, by: Literal["cancel", "server"]) -> None:
        with self._lock:
            if not self.progress:
                return
            self._ended_by = by
            self._process.kill()
            thread = self._thread
        if thread is not None:
            thread.join(_END_S)

    def _follow(self, model: str, connection: Connection, on_end: OnEnd) -> None:
        result, fault = None, _STOPPED
        with suppress(EOFError, OSError), connection:
            while True:
                kind, value = connection.recv()
                if kind == "progress":
                    self.progress[model] = value
                elif kind == "fault":
                    fault = value[:_MAX_FAULT]
                else:
                    result = value
        self._process.join()
        try:
            if result is not None or self._ended_by == "itself":
                on_end(result, None if result is not None else fault)
            elif self._ended_by == "cancel":
                on_end(None, None)
        except BinsightError as error:
            _log.error("model %s: what came of teaching it could not be kept: %s", model, error)
        with self._lock:
            del self.progress[model]


def _teach(connection: Connection, task: Task) -> None:
    """What the process does: teach, and say how far it is and what came of it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process; the server ends this one
    threading.Thread(target=_end_with_server, args=(connection,), daemon=True).start()
    from binsight.adapt import adapt  # noqa: PLC0415 - not in the server's process

    _stand_back()
    told = 0.0

    def stage(name: str) -> Callable[[int, int], None]:
        def update(done: int, total: int) -> None:
            nonlocal told
            if time.monotonic() - told >= _TOLD_EVERY_S:
                told = time.monotonic()
                connection.send(("progress", Progress(name, done, total)))

        connection.send(("progress", Progress(name)))
        return update

    try:
        result = adapt(
            task.bundle,
            task.photos,
            task.out,
            new_classes=task.new_classes,
            version=task.version,
            overwrite=True,
            workers=task.workers,
            limits=task.limits,
            stage=stage,
        )
        connection.send(("taught", result.to_dict()))
    except BinsightError as error:
        connection.send(("fault", str(error).removeprefix(f"{task.photos}: ")))
    except BrokenPipeError:
        os._exit(1)


def _end_with_server(connection: Connection) -> None:
    with suppress(EOFError, OSError):
        connection.recv()  # nothing is ever sent: it ends when the other side is closed
    os._exit(1)


def _stand_back() -> None:
    """Leave the cores to those whose photos wait. On Linux each thread has a priority of its own."""
    if not hasattr(os, "setpriority"):
        return
    threads = Path("/proc/self/task")
    for number in [int(path.name) for path in threads.iterdir()] if threads.is_dir() else [0]:
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, number, _PRIORITY)
