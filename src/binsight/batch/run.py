"""Run a job: every shard that has no file yet, again where a worker died, in halves where it dies again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator

import pyarrow as pa

from binsight.batch.engines import Engine
from binsight.batch.job import FOLDERS, PIECES, Job, Kind, part_name
from binsight.batch.rows import decode_rows, encode_rows, read_summary
from binsight.batch.shard import Task, classify_shard, convict_photo, extract_shard
from binsight.batch.summary import Summary
from binsight.errors import AccessError, BinsightError, JobError, WorkerDiedError
from binsight.stores import Store

__all__ = ["run_job"]

_FAILURES_IN_A_ROW = 8  # of a store: then it is not a shard's fault, and the others are not tried
_DEATHS_IN_A_ROW = 32  # of workers: then it is nobody's photo

OnDone = Callable[[Summary], None]
OnFailure = Callable[[Task, BinsightError], None]


def run_job(
    store: Store,
    job: Job,
    engine: Engine,
    *,
    shards: Container[int] | None = None,
    retries: int = 3,
    kind: Kind = "rows",
    on_done: OnDone = lambda _summary: None,
    on_failure: OnFailure = lambda _task, _error: None,
) -> None:
    """Classify what has no file yet.

    A shard on which workers die is tried again `retries` times, then in halves, down to the photo at fault, which
    becomes an error row `worker_died`. That happens only where a worker can open the model at all.

    Args:
        store: the job's place.
        job: the job.
        engine: does the work.
        shards: which of them; None: all.
        kind: what to make of the photos.
        retries: of a shard and of a single photo, not of the pieces between.
        on_done: called with what came of each shard.
        on_failure: called whenever something is to be tried again.

    Raises:
        BinsightError: a store or a worker failed again and again; what was done stays done.
    """
    _Run(store, job, engine, kind, retries, on_done, on_failure).finish(_missing(store, job, shards, kind))


def _missing(store: Store, job: Job, shards: Container[int] | None, kind: Kind) -> list[int]:
    done = {f"{FOLDERS[kind]}{entry.name}" for entry in store.list(FOLDERS[kind])}
    return [s for s in range(job.shards) if (shards is None or s in shards) and part_name(s, kind) not in done]


class _Run:
    def __init__(
        self, store: Store, job: Job, engine: Engine, kind: Kind, retries: int, on_done: OnDone, on_failure: OnFailure
    ) -> None:
        self._store, self._job, self._engine, self._retries = store, job, engine, retries
        self._kind: Kind = kind
        self._function = classify_shard if kind == "rows" else extract_shard
        self._on_done, self._on_failure = on_done, on_failure
        self._failures: Counter[Task] = Counter()
        self._divided: set[int] = set()
        self._has_succeeded = False

    def finish(self, shards: Iterable[int]) -> None:
        """Rounds, each of what failed in the one before."""
        tasks: Iterable[Task] = (Task(self._store.place, s, 0, self._job.size_of(s), kind=self._kind) for s in shards)
        while failed := self._work(tasks):
            if not self._has_succeeded:
                self._try_workers()
            tasks = [task for pair in failed for task in self._next(*pair)]
        for shard in sorted(self._divided):
            self._join(shard)

    def _work(self, tasks: Iterable[Task]) -> list[tuple[Task, BinsightError]]:
        failed, in_a_row, self._has_succeeded = [], 0, False
        for task, outcome in self._engine.map(self._function, tasks):
            if isinstance(outcome, Summary):
                in_a_row, self._has_succeeded = 0, True
                if task.is_whole:
                    self._on_done(outcome)
                continue
            if isinstance(outcome, AccessError):
                raise outcome  # the same keys would be refused again
            failed.append((task, outcome))
            in_a_row += 1
            if in_a_row >= (_DEATHS_IN_A_ROW if isinstance(outcome, WorkerDiedError) else _FAILURES_IN_A_ROW):
                raise outcome
        return failed

    def _try_workers(self) -> None:
        """Make sure that a worker can open job and model, before photos are blamed and shards divided."""
        nothing = Task(self._store.place, 0, 0, 0, kind=self._kind)
        for _, outcome in self._engine.map(self._function, [nothing]):
            if isinstance(outcome, BinsightError):
                raise outcome

    def _next(self, task: Task, error: BinsightError) -> Iterator[Task]:
        """What is to be done about a task that failed."""
        self._failures[task] += 1
        can_retry = self._failures[task] <= self._retries
        if not isinstance(error, WorkerDiedError):
            if not can_retry:
                raise error
            self._on_failure(task, error)
            yield task
            return
        self._on_failure(task, error)
        if can_retry and (task.is_whole or task.photos == 1):
            yield task
        elif task.photos > 1:
            self._divided.add(task.shard)
            yield from (half for half in task.halves() if not self._has(half))
        else:
            self._convict(task, error)

    def _has(self, task: Task) -> bool:
        """Whether a piece was done before, by a run that ended too early."""
        name = task.name.rpartition("/")[2]
        return any(entry.name == name for entry in self._store.list(PIECES))

    def _convict(self, task: Task, error: WorkerDiedError) -> None:
        summary = convict_photo(task, error)
        if task.is_whole:
            self._on_done(summary)

    def _join(self, shard: int) -> None:
        """Make a shard's file of its pieces."""
        names = [e.name for e in self._store.list(PIECES) if e.name.startswith(f"{self._kind}-{shard:07d}-")]
        pieces = sorted((_range(name) for name in names), key=lambda r: (r[0], -r[1]))
        whole, tables, at = Summary(), [], 0
        for start, stop in pieces:
            if start != at:  # left by an older run, within a piece that was done as a whole since
                continue
            place = Task("", shard, start, stop, is_whole=False, kind=self._kind).name
            whole.add(read_summary(self._store, place, self._job)[1])
            tables.append(decode_rows(self._store.read(place), place))
            at = stop
        if at != self._job.size_of(shard):
            raise JobError(f"{self._store.address}: pieces of shard {shard} are missing; run the job again")
        self._store.write(
            part_name(shard, self._kind), encode_rows(pa.concat_tables(tables).unify_dictionaries(), self._job, whole)
        )
        for name in names:
            self._store.delete(f"{PIECES}/{name}")
        self._on_done(whole)


def _range(name: str) -> tuple[int, int]:
    _, _, start, stop = name.removesuffix(".parquet").split("-")
    return int(start), int(stop)
