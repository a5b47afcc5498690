"""The work itself: `classify_shard` turns the photos of a shard into its file, and can be repeated without harm."""

from __future__ import annotations

import hashlib
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from binsight.batch.job import Job, Photo, open_job, opened_model, part_name, read_photos
from binsight.batch.reading import PhotoReader
from binsight.batch.rows import Row, encode_rows, make_table
from binsight.batch.stores import Store
from binsight.batch.summary import Summary
from binsight.errors import BinsightError, StoreError, WorkerDiedError
from binsight.predictor import Prediction, Predictor, StreamCheck, predict_many

__all__ = ["Task", "classify_shard", "convict_photo", "piece_name"]

_BATCH = 4  # photos per run of the network, as `binsight predict` has it


@dataclass(frozen=True, slots=True)
class Task:
    """A shard, or a piece of one.

    Attributes:
        job: the job's address.
        shard: its number.
        start: the first photo of it.
        stop: the one after the last.
        is_whole: whether these are all.
    """

    job: str
    shard: int
    start: int
    stop: int
    is_whole: bool = True

    @property
    def name(self) -> str:
        """The file that it makes."""
        return part_name(self.shard) if self.is_whole else piece_name(self.shard, self.start, self.stop)

    @property
    def photos(self) -> int:
        """How many there are."""
        return self.stop - self.start

    def halves(self) -> tuple[Task, Task]:
        """The same in two pieces; always the same two."""
        middle = (self.start + self.stop) // 2
        return (
            Task(self.job, self.shard, self.start, middle, is_whole=False),
            Task(self.job, self.shard, middle, self.stop, is_whole=False),
        )


def piece_name(shard: int, start: int, stop: int) -> str:
    """Where a piece of a shard waits for the others."""
    return f"_binsight/pieces/{shard:07d}-{start:07d}-{stop:07d}.parquet"


def classify_shard(task: Task) -> Summary:
    """Classify the photos of a task and put its file in its place; a photo that cannot be read is a row like others.

    With no photos to classify it opens job and model, writes nothing, and so shows that a worker can work.

    Raises:
        JobError: the job is damaged.
        StoreError: a store refuses, so that nothing can be said of the photos; nothing was written.
        OutputError: the file cannot be written.
    """
    store, job, predictor = _open(task.job)
    if not task.photos:
        return Summary()
    summary = Summary(began=time.time())
    reader, check = PhotoReader(job), StreamCheck(predictor.bundle.manifest)
    photos = read_photos(store, task.shard)[task.start : task.stop]
    rows = []
    for row, outcome in _classify(photos, reader, predictor):
        if isinstance(outcome, StoreError):
            raise outcome
        row.outcome = outcome
        rows.append(row)
        summary.bytes += row.bytes or 0
        summary.count(row.source, outcome)
        if isinstance(outcome, Prediction):
            summary.strange += check.looks_strange(outcome)
    reader.check()
    summary.ended = time.time()
    summary.busy_s = summary.ended - summary.began
    store.write(task.name, encode_rows(make_table(rows, job), job, summary))
    return summary


def convict_photo(task: Task, reason: WorkerDiedError) -> Summary:
    """Put an error row in the place of the one photo of a task on which workers die."""
    store, job = open_job(task.job)
    now = time.time()
    photo = read_photos(store, task.shard)[task.start]
    summary = Summary(began=now, ended=now)
    summary.count(photo.source, reason)
    store.write(task.name, encode_rows(make_table([Row(photo.source, outcome=reason)], job), job, summary))
    return summary


@cache
def _open(address: str) -> tuple[Store, Job, Predictor]:
    """Once in each process."""
    store, job = open_job(address)
    with opened_model(store, job) as bundle:
        return store, job, Predictor(bundle, threads=1)


def _classify(
    photos: Sequence[Photo], reader: PhotoReader, predictor: Predictor
) -> Iterator[tuple[Row, Prediction | BinsightError]]:
    begun: deque[Row] = deque()

    def items() -> Iterator[tuple[Row, Callable[[], bytes]]]:
        for photo, read in reader.ahead(photos):
            begun.append(Row(photo.source))
            yield begun[-1], read

    def load(item: tuple[Row, Callable[[], bytes]]) -> bytes:
        row, read = item
        data = read()
        row.sha256, row.bytes = hashlib.sha256(data).hexdigest(), len(data)
        return data

    for outcome in predict_many(predictor, items(), load, workers=1, batch=_BATCH, limits=reader.limits):
        yield begun.popleft(), outcome
