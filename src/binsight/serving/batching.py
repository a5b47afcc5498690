"""A bounded queue of photos, and the threads that decode and classify them before their deadlines.

Decoding happens here, not on the threads that talk to clients: so however many clients there are, only as many photos
are decoded at a time as there are workers, and memory stays bounded.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from binsight.errors import BinsightError
from binsight.predictor import Outputs
from binsight.serving.models import LoadedModel

__all__ = ["Batcher", "ClosedError", "DeadlineError", "Job", "Observer", "QueueFullError", "await_result"]

# The running mean of what a photo costs is over about this many: the first few, which are slow, are soon forgotten.
_REMEMBERED = 20


class QueueFullError(BinsightError, RuntimeError):
    """No more work is taken now.

    Attributes:
        retry_after_s: when there may be room.
    """

    code: ClassVar[str] = "queue_full"

    def __init__(self, message: str, *, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class ClosedError(BinsightError, RuntimeError):
    """No more work is taken at all."""

    code: ClassVar[str] = "draining"


class DeadlineError(BinsightError, TimeoutError):
    """The deadline passed before the work was begun."""

    code: ClassVar[str] = "deadline"


class Observer(Protocol):
    """Is told what happens in the queue."""

    def batch(self, size: int) -> None:
        """A batch of `size` jobs ran."""
        ...

    def stage(self, name: str, seconds: float) -> None:
        """One job spent `seconds` in a stage: queue, decode, infer or render."""
        ...


@dataclass(eq=False, slots=True)
class Job:
    """One piece of work.

    Attributes:
        model: what runs it.
        outputs: the outputs of the network it needs.
        prepare: gives the network's input, `(n, h, w, 3)` uint8; runs on a worker.
        finish: turns the outputs of those n and the milliseconds per stage into the result; runs on a worker.
        deadline: on the batcher's clock; later than that the job is not begun.
        future: where the result comes out.
        queued_at: set by the batcher.
    """

    model: LoadedModel
    outputs: tuple[str, ...]
    prepare: Callable[[], NDArray[np.uint8]]
    finish: Callable[[Outputs, dict[str, float]], Any]
    deadline: float
    future: Future[Any] = field(default_factory=Future)
    queued_at: float = 0.0

    def shares_batch_with(self, other: Job) -> bool:
        """Whether one run of the network can serve both."""
        return self.model is other.model and self.outputs == other.outputs


class Batcher:
    """Takes jobs while there is room, and runs them in order of arrival.

    Args:
        workers: threads, each of which decodes and runs on a core of its own.
        max_batch: jobs in one run of the network. Nothing waits for a batch to fill: what has queued up is taken.
        capacity: jobs that may wait.
        observer: is told what happens.
        clock: seconds that only ever increase.
    """

    def __init__(
        self,
        *,
        workers: int,
        max_batch: int,
        capacity: int,
        observer: Observer,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.workers, self.capacity = workers, capacity
        self._max_batch, self._observer, self._clock = max_batch, observer, clock
        self._queue: deque[Job] = deque()
        self._changed = threading.Condition()
        self._running = 0
        self._closing = False
        self._job_s, self._seen = 0.0, 0
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Start the workers."""
        for number in range(self.workers):
            thread = threading.Thread(target=self._work, name=f"binsight-engine-{number}", daemon=True)
            thread.start()
            self._threads.append(thread)

    @property
    def depth(self) -> int:
        """How many jobs wait."""
        return len(self._queue)

    def submit(self, jobs: Sequence[Job]) -> None:
        """Queue all jobs, or none.

        Raises:
            QueueFullError: there is no room, or the last could not be begun before its deadline.
            ClosedError: `close` was called.
        """
        with self._changed:
            self._check_room(len(jobs), min(job.deadline for job in jobs))
            now = self._clock()
            for job in jobs:
                job.queued_at = now
            self._queue.extend(jobs)
            self._changed.notify(len(jobs))

    def check_room(self, count: int, deadline: float) -> None:
        """Raise what `submit` would raise now for `count` jobs; spares reading a photo that would be refused."""
        with self._changed:
            self._check_room(count, deadline)

    def close(self, timeout_s: float) -> bool:
        """Take no more jobs, finish those that wait, end the workers.

        Returns:
            Whether all was finished within `timeout_s` seconds.
        """
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        end = time.monotonic() + timeout_s
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _check_room(self, count: int, deadline: float) -> None:
        if self._closing:
            raise ClosedError("the server is shutting down")
        waiting = len(self._queue)
        wait_s = (waiting + count - 1) * self._job_s / self.workers
        if waiting + count > self.capacity:
            raise QueueFullError(f"{waiting} photos wait, {self.capacity} may", retry_after_s=wait_s)
        # An idle queue always takes work, or a bad estimate could never be corrected.
        if waiting and self._clock() + wait_s > deadline:
            raise QueueFullError(f"{waiting} photos wait, about {wait_s:.1f} s of work", retry_after_s=wait_s)

    def _work(self) -> None:
        while (batch := self._take()) is not None:
            start = self._clock()
            try:
                self._run(batch, self._engine(batch))
            except Exception as error:
                for job in batch:
                    if not job.future.done():
                        job.future.set_exception(error)
            seconds = (self._clock() - start) / len(batch)
            with self._changed:
                self._running -= 1
                self._seen = min(self._seen + 1, _REMEMBERED)
                self._job_s += (seconds - self._job_s) / self._seen
            del batch  # an idle worker holds no photo

    def _take(self) -> list[Job] | None:
        """The next jobs that share a batch, or None when it is time to end."""
        with self._changed:
            while True:
                batch: list[Job] = []
                while self._queue and len(batch) < self._max_batch:
                    if batch and not self._queue[0].shares_batch_with(batch[0]):
                        break
                    job = self._queue.popleft()
                    if self._begin(job):
                        batch.append(job)
                if batch:
                    self._running += 1
                    return batch
                if self._closing:
                    return None
                self._changed.wait()

    def _begin(self, job: Job) -> bool:
        """Whether the job is still wanted."""
        if not job.future.set_running_or_notify_cancel():
            return False
        now = self._clock()
        if now > job.deadline:
            job.future.set_exception(DeadlineError("the photo waited longer than its deadline"))
            return False
        self._observer.stage("queue", now - job.queued_at)
        return True

    def _engine(self, batch: Sequence[Job]) -> Any:
        """All cores for a lone photo, one core each when several are in work."""
        lone = self._running == 1 and not self._queue and len(batch) == 1
        return batch[0].model.wide if lone else batch[0].model.narrow

    def _run(self, batch: Sequence[Job], engine: Any) -> None:
        inputs: list[NDArray[np.uint8]] = []
        ready: list[tuple[Job, float]] = []
        for job in batch:
            start = self._clock()
            try:
                inputs.append(job.prepare())
            except Exception as error:
                job.future.set_exception(error)
                continue
            seconds = self._clock() - start
            self._observer.stage("decode", seconds)
            ready.append((job, 1000 * seconds))
        if not ready:
            return
        start = self._clock()
        outputs: Outputs = engine.run(inputs[0] if len(inputs) == 1 else np.concatenate(inputs), batch[0].outputs)
        infer_s = (self._clock() - start) / len(ready)
        self._observer.batch(len(ready))
        first = 0
        for (job, decode_ms), prepared in zip(ready, inputs, strict=True):
            self._observer.stage("infer", infer_s)
            part = _rows(outputs, first, first + len(prepared)) if len(ready) > 1 else outputs
            first += len(prepared)
            self._finish(job, part, {"decode": decode_ms, "infer": 1000 * infer_s})

    def _finish(self, job: Job, outputs: Outputs, timing_ms: dict[str, float]) -> None:
        start = self._clock()
        try:
            result = job.finish(outputs, timing_ms)
        except Exception as error:
            job.future.set_exception(error)
            return
        self._observer.stage("render", self._clock() - start)
        job.future.set_result(result)


def await_result(job: Job, *, clock: Callable[[], float] = time.monotonic) -> Any:
    """What a submitted job gave, as soon as it is there.

    Raises:
        DeadlineError: it was not begun by its deadline; it will not be.
        Exception: whatever `prepare` or `finish` raised.
    """
    try:
        return job.future.result(timeout=max(0.0, job.deadline - clock()))
    except TimeoutError:
        if job.future.cancel():
            raise DeadlineError("the photo waited longer than its deadline") from None
        # Begun in time: it will be done soon, or it raised the error itself.
        return job.future.result()


def _rows(outputs: Outputs, first: int, last: int) -> Outputs:
    parts = {
        name: value[first:last]
        for name in ("logits", "biodegradable_logit", "attention", "features", "unfamiliarity")
        if (value := getattr(outputs, name)) is not None
    }
    return replace(Outputs(parts.pop("logits")), **parts)
