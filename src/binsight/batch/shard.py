"""The work itself: `classify_shard` turns the photos of a shard into its file, and can be repeated without harm."""

from __future__ import annotations

import hashlib
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial

import numpy as np

from binsight.batch.job import PIECES, Job, Kind, Photo, open_job, opened_model, part_name, read_photos
from binsight.batch.reading import PhotoReader
from binsight.batch.rows import Row, encode_rows, make_feature_table, make_table
from binsight.batch.summary import Summary
from binsight.errors import BinsightError, JobError, StoreError, WorkerDiedError
from binsight.imaging import prepare_photo
from binsight.predictor import Prediction, Predictor, StreamCheck, predict_many
from binsight.stores import Store

__all__ = ["Task", "classify_shard", "convict_photo", "extract_shard", "feature_size"]

_BATCH = 4  # photos per run of the network, as `binsight predict` has it

Outcomes = Callable[[Sequence[Photo], PhotoReader, Predictor], Iterator[Row]]


@dataclass(frozen=True, slots=True)
class Task:
    """A shard, or a piece of one.

    Attributes:
        job: the job's address.
        shard: its number.
        start: the first photo of it.
        stop: the one after the last.
        is_whole: whether these are all.
        kind: what is made of them.
    """

    job: str
    shard: int
    start: int
    stop: int
    is_whole: bool = True
    kind: Kind = "rows"

    @property
    def name(self) -> str:
        """The file that it makes."""
        if self.is_whole:
            return part_name(self.shard, self.kind)
        return f"{PIECES}/{self.kind}-{self.shard:07d}-{self.start:07d}-{self.stop:07d}.parquet"

    @property
    def photos(self) -> int:
        """How many there are."""
        return self.stop - self.start

    def halves(self) -> tuple[Task, Task]:
        """The same in two pieces; always the same two."""
        middle = (self.start + self.stop) // 2
        return replace(self, stop=middle, is_whole=False), replace(self, start=middle, is_whole=False)


def classify_shard(task: Task) -> Summary:
    """Classify the photos of a task and put its file in its place; a photo that cannot be read is a row like others.

    With no photos to classify it opens job and model, writes nothing, and so shows that a worker can work.

    Raises:
        JobError: the job is damaged.
        StoreError: a store refuses, so that nothing can be said of the photos; nothing was written.
        OutputError: the file cannot be written.
    """
    return _work(task, _classify)


def extract_shard(task: Task) -> Summary:
    """Compute the features of the photos of a task, as `classify_shard` classifies them.

    Raises:
        JobError: the job is damaged, or its network has no output `features`.
        StoreError, OutputError: as `classify_shard`.
    """
    return _work(task, partial(_extract, is_mirrored=task.kind == "mirrored"))


def _work(task: Task, outcomes: Outcomes) -> Summary:
    store, job, predictor = _open(task.job)
    if not task.photos:
        return Summary()
    summary = Summary(began=time.time())
    reader, check = PhotoReader(job), StreamCheck(predictor.bundle.manifest)
    photos = read_photos(store, task.shard)[task.start : task.stop]
    rows = []
    for row in outcomes(photos, reader, predictor):
        if isinstance(row.outcome, StoreError):
            raise row.outcome
        rows.append(row)
        summary.bytes += row.bytes or 0
        summary.count(row.source, row.outcome)
        if isinstance(row.outcome, Prediction):
            summary.strange += check.looks_strange(row.outcome)
    reader.check()
    summary.ended = time.time()
    summary.busy_s = summary.ended - summary.began
    _write(store, job, task, rows, summary, predictor)
    return summary


def convict_photo(task: Task, reason: WorkerDiedError) -> Summary:
    """Put an error row in the place of the one photo of a task on which workers die."""
    store, job, predictor = _open(task.job)
    now = time.time()
    photo = read_photos(store, task.shard)[task.start]
    summary = Summary(began=now, ended=now)
    summary.count(photo.source, reason)
    _write(store, job, task, [Row(photo.source, outcome=reason)], summary, predictor)
    return summary


def _write(store: Store, job: Job, task: Task, rows: Sequence[Row], summary: Summary, predictor: Predictor) -> None:
    is_rows = task.kind == "rows"
    table = make_table(rows, job) if is_rows else make_feature_table(rows, feature_size(predictor))
    store.write(task.name, encode_rows(table, job, summary))


@cache
def _open(address: str) -> tuple[Store, Job, Predictor]:
    """Once in each process."""
    store, job = open_job(address)
    with opened_model(store, job) as bundle:
        return store, job, Predictor(bundle, threads=1)


def _classify(photos: Sequence[Photo], reader: PhotoReader, predictor: Predictor) -> Iterator[Row]:
    begun: deque[Row] = deque()

    def items() -> Iterator[tuple[Row, Callable[[], bytes]]]:
        for photo, read in reader.ahead(photos):
            begun.append(Row(photo.source))
            yield begun[-1], read

    def load(item: tuple[Row, Callable[[], bytes]]) -> bytes:
        return _load(*item)

    for outcome in predict_many(predictor, items(), load, workers=1, batch=_BATCH, limits=reader.limits):
        row = begun.popleft()
        row.outcome = outcome
        yield row


def _extract(photos: Sequence[Photo], reader: PhotoReader, predictor: Predictor, *, is_mirrored: bool) -> Iterator[Row]:
    feature_size(predictor)  # or say that there are none, before the first photo
    for photo, read in reader.ahead(photos):
        row = Row(photo.source)
        try:
            prepared = prepare_photo(_load(row, read), predictor.spec, limits=reader.limits)
            seen = np.ascontiguousarray(prepared[:, ::-1]) if is_mirrored else prepared
            found = predictor.run(seen[None], ["features"]).features
            row.features = None if found is None else found[0]
        except BinsightError as error:
            row.outcome = error
        yield row


def _load(row: Row, read: Callable[[], bytes]) -> bytes:
    data = read()
    row.sha256, row.bytes = hashlib.sha256(data).hexdigest(), len(data)
    return data


@cache
def feature_size(predictor: Predictor) -> int:
    """How many features the network gives for a photo.

    Raises:
        JobError: none.
    """
    found = predictor.run(np.zeros((1, *predictor.spec.size, 3), np.uint8), ["features"]).features
    if found is None:
        raise JobError(f"the model {predictor.bundle.label} has no output features; plan a job with another")
    return int(found.shape[1])
