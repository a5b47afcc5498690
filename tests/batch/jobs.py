"""Small jobs of photos of one colour each, and engines that need no other process."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
from PIL import Image

from binsight.batch.job import Job, open_job
from binsight.batch.plan import plan_job
from binsight.batch.shard import Task, classify_shard
from binsight.batch.sources import find_source
from binsight.errors import BinsightError, WorkerDiedError
from binsight.imaging import ImageLimits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from binsight.stores import Store

__all__ = ["InlineEngine", "classify_or_die", "dies_on", "make_job", "rows_of", "save_photos"]


def save_photos(folder: Path, count: int) -> Path:
    """Write photos of different colours, in two folders."""
    for number in range(count):
        path = folder / ("even" if number % 2 == 0 else "odd") / f"{number:04d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        colour = [20, 20, 20]
        colour[number % 3] = 255 - number % 100
        Image.new("RGB", (20, 20), tuple(colour)).save(path)
    return folder


def make_job(source: str | Path, out: str | os.PathLike[str], model: Path, **options: Any) -> tuple[Store, Job]:
    """Plan a job, and open it."""
    values = {"model": model, "limits": ImageLimits(), "shard_size": 4} | options
    plan_job(find_source(str(source)), str(out), **values)
    return open_job(str(out))


def rows_of(out: Path) -> list[dict[str, Any]]:
    """All rows of a job's files, in order."""
    return [row for path in sorted(out.glob("part-*.parquet")) for row in pq.read_table(path).to_pylist()]


class InlineEngine:
    """Works in this process; `fails` says what a task ends in, if not in success."""

    def __init__(self, fails: Callable[[Task], BinsightError | None] = lambda _task: None) -> None:
        self.fails = fails
        self.tasks: list[Task] = []

    def map(self, function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
        for item in items:
            self.tasks.append(item)
            outcome = self.fails(item)
            if outcome is None:
                try:
                    outcome = function(item)
                except BinsightError as error:
                    outcome = error
            yield item, outcome


def dies_on(shard: int, photo: int) -> Callable[[Task], BinsightError | None]:
    """Return what makes every task die that has a certain photo."""

    def fails(task: Task) -> BinsightError | None:
        hit = task.shard == shard and task.start <= photo < task.stop
        return WorkerDiedError("the worker ended: killed by SIGKILL") if hit else None

    return fails


def classify_or_die(task: Task) -> object:
    """`classify_shard`, in a process that is killed when it comes to the second photo of the third shard."""
    if task.shard == 2 and task.start <= 1 < task.stop:
        os.kill(os.getpid(), signal.SIGKILL)
    return classify_shard(task)
