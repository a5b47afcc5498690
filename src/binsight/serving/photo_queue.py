"""A bounded queue of photos, and the threads that decode and classify them before their deadlines.

Decoding happens here, not on the threads that talk to clients: so however many clients there are, only as many photos
are decoded at a time as there are workers, and memory stays bounded.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from binsight.errors import BinsightError, BundleError
from binsight.predictor import Outputs
from binsight.serving.models import LoadedModel

__all__ = ["ClosedError", "DeadlineError", "Job", "PhotoQueue", "QueueFullError", "await_result"]

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


@dataclass(eq=False, slots=True)
class Job:
    """One photo to classify.

    Attributes:
        model: what runs it.
        outputs: the outputs of the network it needs.
        prepare: gives the network's input, `(n, h, w, 3)` uint8; runs on a worker.
        finish: turns the outputs of those n and the milliseconds per stage into the result; runs on a worker.
        deadline: on the queue's clock; later than that the job is not begun.
        future: where the result comes out.
    """

    model: LoadedModel
    outputs: tuple[str, ...]
    prepare: Callable[[], NDArray[np.uint8]]
    finish: Callable[[Outputs, dict[str, float]], Any]
    deadline: float
    future: Future[Any] = field(default_factory=Future)


class PhotoQueue:
    """Takes jobs while there is room, and runs them in order of arrival, each by itself.

    Args:
        workers: threads, each of which decodes and runs on a core of its own.
        capacity: jobs that may wait.
        observe: called with a stage of a job (queue, decode, infer or render) and the seconds it took.
        clock: seconds that only ever increase.

    Attributes:
        on_fault: called with a model whose network failed on a photo, and what it said.
    """

    def __init__(
        self,
        *,
        workers: int,
        capacity: int,
        observe: Callable[[str, float], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.workers, self.capacity = workers, capacity
        self.on_fault: Callable[[LoadedModel, BundleError], None] = lambda _model, _error: None
        self._observe, self._clock = observe, clock
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="binsight-engine")
        self._changed = threading.Condition()
        self._waiting = self._running = 0
        self._closing = False
        self._job_s, self._seen = 0.0, 0

    @property
    def depth(self) -> int:
        """How many jobs wait."""
        return self._waiting

    def submit(self, jobs: Sequence[Job]) -> None:
        """Queue all jobs, or none.

        Raises:
            QueueFullError: there is no room, or the last could not be begun before its deadline.
            ClosedError: `close` was called.
        """
        with self._changed:
            self._check_room(len(jobs), min(job.deadline for job in jobs))
            self._waiting += len(jobs)
            for job in jobs:
                self._pool.submit(self._work, job, self._clock())

    def check_room(self, count: int, deadline: float) -> None:
        """Raise what `submit` would raise now for `count` jobs; spares reading a photo that would be refused."""
        with self._changed:
            self._check_room(count, deadline)

    def await_idle(self, timeout_s: float) -> bool:
        """Wait until no job waits or runs; whether that came within `timeout_s` seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting and not self._running, timeout_s)

    def close(self, timeout_s: float) -> bool:
        """Take no more jobs, finish those that wait, end the workers.

        Returns:
            Whether all was finished within `timeout_s` seconds.
        """
        with self._changed:
            self._closing = True
            done = self._changed.wait_for(lambda: not self._waiting and not self._running, timeout_s)
        self._pool.shutdown(wait=False)
        return done

    def _check_room(self, count: int, deadline: float) -> None:
        if self._closing:
            raise ClosedError("the server is shutting down")
        wait_s = (self._waiting + count - 1) * self._job_s / self.workers
        if self._waiting + count > self.capacity:
            raise QueueFullError(f"{self._waiting} photos wait, {self.capacity} may", retry_after_s=wait_s)
        # An idle queue always takes work, or a bad estimate could never be corrected.
        if self._waiting and self._clock() + wait_s > deadline:
            raise QueueFullError(f"{self._waiting} photos wait, about {wait_s:.1f} s of work", retry_after_s=wait_s)

    def _work(self, job: Job, queued_at: float) -> None:
        with self._changed:
            self._waiting -= 1
            self._running += 1
            # All cores for a lone photo, one core each when several are in work.
            engine = job.model.narrow if self._waiting or self._running > 1 else job.model.wide
        start = self._clock()
        begun = self._begin(job, start, queued_at)
        try:
            if begun:
                self._run(job, engine)
        except Exception as error:
            job.future.set_exception(error)
            if isinstance(error, BundleError):
                self.on_fault(job.model, error)
        with self._changed:
            self._running -= 1
            if begun:
                self._seen = min(self._seen + 1, _REMEMBERED)
                self._job_s += (self._clock() - start - self._job_s) / self._seen
            self._changed.notify_all()

    def _begin(self, job: Job, now: float, queued_at: float) -> bool:
        """Whether the job is still wanted."""
        if not job.future.set_running_or_notify_cancel():
            return False
        if now > job.deadline:
            job.future.set_exception(DeadlineError("the photo waited longer than its deadline"))
            return False
        self._observe("queue", now - queued_at)
        return True

    def _run(self, job: Job, engine: Any) -> None:
        times = [self._clock()]
        inputs = job.prepare()
        times.append(self._clock())
        outputs: Outputs = engine.run(inputs, job.outputs)
        times.append(self._clock())
        decode_s, infer_s = np.diff(times).tolist()
        result = job.finish(outputs, {"decode": 1000 * decode_s, "infer": 1000 * infer_s})
        for stage, seconds in (("decode", decode_s), ("infer", infer_s), ("render", self._clock() - times[-1])):
            self._observe(stage, seconds)
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
