"""How fast networks are, how large, and how much memory they take; several at a time, in turn.

Each is measured in a process of its own, since memory can only be told apart there. The processes take turns, so that
a machine that is busy for a while slows all of them down alike and the ratios between them hold.
"""

from __future__ import annotations

import itertools
import multiprocessing
import queue
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

import numpy as np

from binsight.bundle import load_bundle
from binsight.errors import BinsightError, ExportError
from binsight.export.engines import Engine, import_runtime, open_engine
from binsight.export.formats import FORMATS, read_network
from binsight.imaging import prepare_photo
from binsight.predictor import run_in_order

__all__ = ["Speed", "Subject", "measure_speeds"]

_ROUNDS: Final = 5
_WARM_UP: Final = 5


@dataclass(frozen=True, slots=True)
class Subject:
    """What is to be measured.

    Attributes:
        bundle: where it is.
        engine: which of its files, a key of `FORMATS`.
        threads: cores to use.
    """

    bundle: Path
    engine: str
    threads: int


@dataclass(frozen=True, slots=True)
class Speed:
    """What one subject came to.

    Attributes:
        model: name and version of the bundle.
        engine: as in `Subject`.
        threads: as in `Subject`.
        photos: how many were measured.
        file_bytes: size of the network's file.
        load_ms: from the file's bytes to a network that is ready; libraries are loaded already.
        decode_p50_ms: the median time to decode a photo and fit it into the input, on one core.
        decode_p95_ms: 95 % took no longer.
        engine_p50_ms: the median time of the network for one photo, all threads sharing it.
        engine_p95_ms: 95 % took no longer.
        photos_per_s: decoded and classified in a second, each thread with photos of its own.
        peak_memory_bytes: the most memory the process ever held, with Python and all libraries, while it worked on one
            photo at a time; None where the system does not say.
    """

    model: str
    engine: str
    threads: int
    photos: int
    file_bytes: int
    load_ms: float
    decode_p50_ms: float
    decode_p95_ms: float
    engine_p50_ms: float
    engine_p95_ms: float
    photos_per_s: float
    peak_memory_bytes: int | None

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class _Loaded:
    """A subject that is ready to be measured."""

    model: str
    file_bytes: int
    load_ms: float


@dataclass(frozen=True, slots=True)
class _Round:
    """Seconds: for each photo, and for all of them together."""

    decode_s: list[float]
    engine_s: list[float]
    all_s: float


def measure_speeds(
    subjects: Sequence[Subject], photos: Sequence[bytes], *, progress: Callable[[], None] = lambda: None
) -> list[Speed]:
    """Measure each subject on every photo.

    Args:
        subjects: at least one.
        photos: encoded, at least one.
        progress: called once per subject and round, of which there are 5, or as many as photos if those are fewer.

    Returns:
        One for each subject, in order.

    Raises:
        BinsightError: a bundle, its file for an engine, or a photo is missing or damaged; the runtime is not installed.
    """
    if not photos:
        raise ExportError("expected photos to measure with, got none")
    context = multiprocessing.get_context("spawn")
    workers = []
    for subject in subjects:
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(theirs, subject), daemon=True)
        process.start()
        theirs.close()  # or a process that dies would leave us waiting
        workers.append((ours, process))
    try:
        return _take_turns(subjects, [ours for ours, _ in workers], photos, progress)
    finally:
        for ours, process in workers:
            ours.close()
            process.join()


def _take_turns(
    subjects: Sequence[Subject], workers: Sequence[Connection], photos: Sequence[bytes], progress: Callable[[], None]
) -> list[Speed]:
    loaded = [_receive(worker) for worker in workers]
    rounds: list[list[_Round]] = [[] for _ in workers]
    for turn in range(min(_ROUNDS, len(photos))):
        for worker, measured in zip(workers, rounds, strict=True):
            worker.send(photos[turn::_ROUNDS])
            measured.append(_receive(worker))
            progress()
    for worker in workers:
        worker.send(None)
    memory = [_receive(worker) for worker in workers]
    return [_speed(*parts) for parts in zip(subjects, loaded, rounds, memory, strict=True)]


def _receive(worker: Connection) -> Any:
    try:
        message = worker.recv()
    except EOFError:
        raise ExportError("a measuring process ended early; is there enough memory?") from None
    if isinstance(message, BinsightError):
        raise message
    return message


def _speed(subject: Subject, loaded: _Loaded, rounds: Sequence[_Round], memory: int | None) -> Speed:
    decode, engine = (
        1000 * np.array(list(itertools.chain.from_iterable(values)))
        for values in ([r.decode_s for r in rounds], [r.engine_s for r in rounds])
    )
    return Speed(
        model=loaded.model,
        engine=subject.engine,
        threads=subject.threads,
        photos=len(engine),
        file_bytes=loaded.file_bytes,
        load_ms=loaded.load_ms,
        decode_p50_ms=float(np.median(decode)),
        decode_p95_ms=float(np.percentile(decode, 95)),
        engine_p50_ms=float(np.median(engine)),
        engine_p95_ms=float(np.percentile(engine, 95)),
        photos_per_s=len(engine) / sum(r.all_s for r in rounds),
        peak_memory_bytes=memory,
    )


def _serve(connection: Connection, subject: Subject) -> None:
    """What a measuring process does: load, measure rounds of photos until None comes, say how much memory it took."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process; the first one ends the others
    try:
        bench = _Bench(subject)
        connection.send(bench.loaded)
        while (photos := connection.recv()) is not None:
            connection.send(bench.measure(photos))
        connection.send(bench.peak_memory)
    except BinsightError as error:
        connection.send(error)
    except (EOFError, BrokenPipeError):
        pass  # another process failed, and nobody asks any more
    connection.close()


class _Bench:
    """A subject's network, opened: once for all threads, later once for each."""

    def __init__(self, subject: Subject) -> None:
        self._kind, bundle = FORMATS[subject.engine], load_bundle(subject.bundle)
        self._network = read_network(bundle, self._kind)
        self._spec = bundle.manifest.preprocess
        self._threads = subject.threads
        import_runtime(self._kind.runtime)
        start = time.perf_counter()
        self._shared = self._open(subject.threads)
        self.loaded = _Loaded(bundle.label, len(self._network), 1000 * (time.perf_counter() - start))
        self._own: queue.SimpleQueue[Engine] = queue.SimpleQueue()
        self.peak_memory: int | None = None

    def measure(self, photos: Sequence[bytes]) -> _Round:
        """One photo after another, then all of them as fast as the threads can."""
        if self._own.empty():
            for position in range(_WARM_UP):
                self._timed(self._shared, photos[position % len(photos)])
        stages = [self._timed(self._shared, photo) for photo in photos]
        if self._own.empty():
            self._prepare_threads(photos[0])
        start = time.perf_counter()
        for _ in run_in_order(self._classify, photos, workers=self._threads):
            pass
        all_s = time.perf_counter() - start
        return _Round([decode for decode, _ in stages], [engine for _, engine in stages], all_s)

    def _prepare_threads(self, photo: bytes) -> None:
        # Before there are several networks: what one takes is what a user will see.
        self.peak_memory = _peak_memory()
        for engine in [self._shared] if self._threads == 1 else [self._open(1) for _ in range(self._threads)]:
            self._timed(engine, photo)
            self._own.put(engine)

    def _open(self, threads: int) -> Engine:
        return open_engine(self._kind.runtime, self._network, threads=threads)

    def _classify(self, photo: bytes) -> None:
        engine = self._own.get()
        try:
            self._timed(engine, photo)
        finally:
            self._own.put(engine)

    def _timed(self, engine: Engine, photo: bytes) -> tuple[float, float]:
        """Seconds to decode a photo and to classify it."""
        start = time.perf_counter()
        prepared = prepare_photo(photo, self._spec)[None]
        decoded = time.perf_counter()
        engine(prepared)
        return decoded - start, time.perf_counter() - decoded


def _peak_memory() -> int | None:
    """The most bytes this process ever held, or None where the system does not say."""
    if sys.platform == "linux":
        # Unlike `getrusage`, this begins anew with the program, not with the process it was started from.
        for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return 1024 * int(line.split()[1])
    if sys.platform == "darwin":
        import resource  # noqa: PLC0415 - not on every system

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return None
