"""`binsight batch run`, and `binsight batch SOURCE`, which plans first."""

from __future__ import annotations

import os
import sys
import time
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import click

from binsight.cli.app import EXIT_FAULTS
from binsight.cli.batch_look import print_status, write_report
from binsight.cli.batch_plan import plan_options, planned_job
from binsight.cli.options import Command, option, quiet_option, together
from binsight.cli.progress import Reporter, reporter
from binsight.cli.text import plain
from binsight.errors import BinsightError, MissingExtraError, SettingsError
from binsight.extras import needs_extra

if TYPE_CHECKING:
    from binsight.batch.engines import Engine
    from binsight.batch.engines.part import Part
    from binsight.batch.job import Kind
    from binsight.batch.shard import Task
    from binsight.batch.summary import Summary
    from binsight.progress import Progress

__all__ = ["everything", "run", "run_here", "run_options"]

_LINE_EVERY_S = 10.0
_COMMANDS = {"rows": "binsight batch run", "features": "binsight features", "mirrored": "binsight features --mirrored"}


run_options = together(
    option(
        "--engine",
        type=click.Choice(["local", "ray", "index"]),
        help="local: processes of this machine; ray: a Ray cluster; index: this machine's part, as the scheduler of"
        " a job array numbers it.  [default: local]",
    ),
    option("--workers", type=click.IntRange(min=1), metavar="N", help="Photos at a time.  [default: one a core]"),
    option("--address", metavar="ADDRESS", help="Of the Ray cluster: ray://head:10001, or head:6379 on a node."),
    option(
        "--part",
        metavar="I/N",
        help="Part I of N, I from 0 to N-1, with --engine index.  [default: JOB_COMPLETION_INDEX,"
        " SLURM_ARRAY_TASK_ID or AWS_BATCH_JOB_ARRAY_INDEX; /N gives N alone]",
    ),
    option(
        "--retries",
        type=click.IntRange(min=0),
        default=3,
        help="How often a shard on which a worker dies is tried again, before it is halved.",
    ),
    quiet_option("No progress, no notes."),
    needs_extra("binsight batch", "batch"),
)
"""What all commands that work on a job are told."""


@click.command(cls=Command)
@click.argument("uri", metavar="URI")
@run_options
def run(uri: str, **options: Any) -> None:
    """Classify the photos of the job at URI that have no row yet.

    Each shard becomes one Parquet file, written whole; after an interruption of any kind the same command goes on. When
    all shards are there, every row is compared with the plan, and _SUCCESS is written. A photo on which workers die
    becomes an error row, worker_died.

    \b
    Examples:
      binsight batch run job1
      binsight batch run s3://out/job1 --engine ray --address ray://head:10001
      binsight batch run /shared/job1 --part 3/16
      binsight batch run s3://out/job1 --engine index
    """
    sys.exit(run_here(uri, **options))


@click.command(cls=Command, hidden=True)
@plan_options
@option("--resume", is_flag=True, help="Go on with the plan that is there, without listing SOURCE again.")
@run_options
def everything(source: str | None, listed: str | None, out: str, resume: bool, quiet: bool, **options: Any) -> None:
    """Plan the photos of SOURCE, run, verify, and report; or go on with that.

    \b
    Examples:
      binsight batch photos/ --out job1
      binsight batch s3://in/2026/ --out s3://out/job1 --engine ray --address ray://head:10001
      binsight batch --list paths.parquet --out job1
    """
    running = {name: options.pop(name) for name in ("engine", "workers", "address", "part", "retries")}
    _check_options(running["engine"], running["address"], running["part"])
    if not (resume and _has_plan(out, options["model"])):
        planned_job(source, listed, out, quiet=quiet, **options)
    code = run_here(out, quiet=quiet, **running)
    if running["part"] is None and running["engine"] != "index":
        click.echo(f"report: {plain(write_report(out, None))}")
    sys.exit(code)


def _has_plan(out: str, model: str) -> bool:
    """Whether there is a plan, of the same model."""
    import hashlib

    from binsight.batch.job import open_job, pack_model
    from binsight.batch.plan import check_model
    from binsight.errors import JobError

    try:
        job = open_job(out)[1]
    except JobError:
        return False
    check_model(job, hashlib.sha256(pack_model(model)[1]).hexdigest(), out)
    return True


def _check_options(engine: str | None, address: str | None, part: str | None) -> None:
    if (engine == "ray") != (address is not None):
        raise click.UsageError("--engine ray and --address ADDRESS: one needs the other")
    if part is not None and engine not in {None, "index"}:
        raise click.UsageError(f"--part goes with --engine index, not {engine}")


def run_here(
    uri: str,
    *,
    kind: Kind = "rows",
    engine: str | None,
    workers: int | None,
    address: str | None,
    part: str | None,
    retries: int,
    quiet: bool,
) -> int:
    """Run a job, say what came of it, and give the exit code."""
    from binsight.batch.engines.part import find_part
    from binsight.batch.job import open_job
    from binsight.batch.run import run_job
    from binsight.batch.status import read_status, verify_job

    _check_options(engine, address, part)
    chosen: Part | None = find_part(part, os.environ) if part is not None or engine == "index" else None
    again = f"{_COMMANDS[kind]} {plain(uri)}"
    store, job = open_job(uri)
    before = read_status(store, job, chosen, kind)
    try:
        with reporter(quiet=quiet) as shown, _open_engine(engine, workers, address, before.shards) as opened:
            stage = shown.stage("Classifying" if kind == "rows" else "Computing features")
            watch = _Watch(shown, stage, before.summary.photos, before.photos, quiet=quiet)
            run_job(
                store, job, opened, shards=chosen, retries=retries, kind=kind, on_done=watch.add, on_failure=watch.tell
            )
    except (SettingsError, MissingExtraError):
        raise  # the command itself is wrong
    except BinsightError as error:
        click.echo(f"binsight: {plain(str(error))}", err=True)
        click.echo(f"what is done stays done; to go on: {again}", err=True)
        return EXIT_FAULTS
    after = read_status(store, job, chosen, kind) if chosen is not None else verify_job(store, job, kind)
    print_status(store, after, again)
    if chosen is not None:
        last = f"binsight batch verify {plain(uri)}" if kind == "rows" else again
        click.echo(f"part {chosen} is done; when all are: {last}")
    return after.exit_code


def _open_engine(
    name: str | None, workers: int | None, address: str | None, shards: int
) -> AbstractContextManager[Engine]:
    if name == "ray":
        from binsight.batch.engines.ray import RayEngine

        return RayEngine(address or "", workers)
    from binsight.batch.engines.local import LocalEngine
    from binsight.predictor.cores import available_cores

    return LocalEngine(min(workers or available_cores(), max(1, shards)))


class _Watch:
    """Tells how far a run is: a bar on a terminal, a line now and then elsewhere."""

    def __init__(self, shown: Reporter, stage: Progress, done: int, total: int, *, quiet: bool) -> None:
        self._shown, self._advance, self._quiet = shown, stage, quiet
        self._before, self._done, self._total = done, done, total
        self._began = self._told = time.monotonic()
        self._advance(done, total)

    def add(self, summary: Summary) -> None:
        """A shard is done."""
        self._done += summary.photos
        self._advance(self._done, self._total)
        now = time.monotonic()
        if self._quiet or sys.stderr.isatty() or now - self._told < _LINE_EVERY_S:
            return
        self._told = now
        rate = (self._done - self._before) / (now - self._began)
        end = time.strftime("%H:%M", time.localtime(time.time() + (self._total - self._done) / rate))
        self._shown.say(f"{self._done:,} of {self._total:,} photos, {rate:,.0f} a second, done about {end}")

    def tell(self, task: Task, error: BinsightError) -> None:
        """Something is tried again."""
        if not self._quiet:
            self._shown.say(f"note: shard {task.shard}, photos {task.start:,} to {task.stop:,}: {error}; trying again")
