"""How far a job is, from the footers of its files; and the proof that it is complete."""

from __future__ import annotations

import re
from collections.abc import Container, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from binsight.batch.job import FOLDERS, PIECES, SUCCESS, Job, Kind, part_name, read_photos
from binsight.batch.rows import read_sources, read_summary
from binsight.batch.summary import Summary
from binsight.errors import InputError, JobError
from binsight.predictor import run_in_order
from binsight.progress import Progress, unheard
from binsight.stores import Store

__all__ = ["Status", "read_status", "verify_job"]

_AT_ONCE = 16
_PART = re.compile(r"part-(\d{7,})\.parquet")
_FAULTS_KEPT = 20

Span = tuple[float, float, int]


@dataclass(frozen=True, slots=True)
class Status:
    """What is done of a job.

    Attributes:
        shards: how many were looked at: all of the job, or those of a part.
        photos: of these.
        done: shards with a file.
        summary: what came of their photos.
        spans: of each shard when it began and ended, in seconds since 1970, and how many photos it has.
        faults: files that are damaged or do not belong there, in words.
        is_verified: whether `_SUCCESS` says so.
    """

    job: Job
    shards: int
    photos: int
    done: int
    summary: Summary
    spans: list[Span] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    is_verified: bool = False

    @property
    def is_complete(self) -> bool:
        """Every shard has its file, and no file is at fault."""
        return self.done == self.shards and not self.faults

    @property
    def exit_code(self) -> int:
        """0 complete, 2 complete with error rows, 1 incomplete."""
        return 1 if not self.is_complete else 2 if self.summary.failed else 0

    @property
    def rate(self) -> float | None:
        """Photos a second while any were in work, pauses left out; None where nothing is done."""
        active, until = 0.0, float("-inf")
        for began, ended, _ in sorted(self.spans):
            active += max(0.0, ended - max(began, until))
            until = max(until, ended)
        return self.summary.photos / active if active > 0 else None

    @property
    def remaining_s(self) -> float | None:
        """An estimate of the time to the end, at the rate so far; None where there is none."""
        return (self.photos - self.summary.photos) / self.rate if self.rate else None

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form."""
        found = self.summary
        return {
            "photos": self.photos,
            "shards": self.shards,
            "shards_done": self.done,
            "photos_done": found.photos,
            "errors": dict(found.errors),
            "categories": dict(found.categories),
            "review": found.review,
            "reasons": dict(found.reasons),
            "photos_per_second": self.rate,
            "worker_seconds": found.busy_s,
            "remaining_s": self.remaining_s,
            "complete": self.is_complete,
            "verified": self.is_verified,
            "faults": self.faults,
            "model": {"name": self.job.model.name, "version": self.job.model.version, "digest": self.job.model.digest},
        }


def read_status(store: Store, job: Job, shards: Container[int] | None = None, kind: Kind = "rows") -> Status:
    """Read the footers of all files, or of those of some shards.

    Raises:
        StoreError: the store refuses.
    """

    def read(shard: int) -> tuple[int, Summary] | JobError:
        try:
            return read_summary(store, part_name(shard, kind), job)
        except (JobError, InputError) as error:
            return JobError(str(error))

    names = {entry.name for entry in store.list(FOLDERS[kind])}
    wanted = [s for s in range(job.shards) if shards is None or s in shards]
    there = sorted(int(match[1]) for name in names if (match := _PART.fullmatch(name)))
    there = [s for s in there if shards is None or s in shards]
    summary, spans, faults = Summary(), [], []
    for shard, found in zip(there, run_in_order(read, there, workers=_AT_ONCE), strict=True):
        if shard >= job.shards:
            faults.append(f"{part_name(shard, kind)}: the job has no such shard; delete it")
        elif isinstance(found, JobError):
            faults.append(str(found))
        elif not found[0] == found[1].photos == job.size_of(shard):
            faults.append(
                f"{part_name(shard, kind)}: {found[0]:,} rows for {job.size_of(shard):,} photos; delete it, run again"
            )
        else:
            summary.add(found[1])
            spans.append((found[1].began, found[1].ended, found[1].photos))
    done, photos = sum(shard < job.shards for shard in there), sum(map(job.size_of, wanted))
    return Status(job, len(wanted), photos, done, summary, spans, faults[:_FAULTS_KEPT], is_verified=SUCCESS in names)


def verify_job(store: Store, job: Job, kind: Kind = "rows", *, progress: Progress = unheard) -> Status:
    """Compare every row with the plan: each photo has one, in its place; then write `_SUCCESS`, or take it away.

    What other runs have left behind is deleted where the job is complete.

    Raises:
        StoreError: the store refuses.
    """
    status = read_status(store, job, kind=kind)
    faults = list(status.faults)
    if not faults and status.done == job.shards:
        faults = list(_differences(store, job, kind, progress))
    status = replace(status, faults=faults[:_FAULTS_KEPT])
    if not status.is_complete:
        store.delete(f"{FOLDERS[kind]}{SUCCESS}")
        return replace(status, is_verified=False)
    for entry in store.list(PIECES):
        if entry.name.startswith(kind):
            store.delete(f"{PIECES}/{entry.name}")
    store.write(f"{FOLDERS[kind]}{SUCCESS}", b"")
    return replace(status, is_verified=True)


def _differences(store: Store, job: Job, kind: Kind, progress: Progress) -> Iterator[str]:
    def compare(shard: int) -> str | None:
        try:
            planned = [photo.source for photo in read_photos(store, shard)]
            rows = read_sources(store, part_name(shard, kind))
        except JobError as error:
            return str(error)
        if rows == planned and len(rows) == job.size_of(shard):
            return None
        return f"{part_name(shard, kind)}: its rows are not the photos of the plan; delete it and run again"

    for fault in run_in_order(compare, range(job.shards), workers=4, progress=progress):
        if fault is not None:
            yield fault
