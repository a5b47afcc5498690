"""`binsight batch status`, `report` and `verify`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from binsight.cli.options import Command, html_option, json_option, quiet_option
from binsight.cli.progress import progress_bar
from binsight.cli.text import plain, print_json
from binsight.extras import needs_extra

if TYPE_CHECKING:
    from binsight.batch.status import Status
    from binsight.stores import Store

__all__ = ["print_status", "report", "status", "verify", "write_report"]

_REPORT = "_binsight/report.html"
_URI = click.argument("uri", metavar="URI")


@click.command(cls=Command)
@_URI
@json_option()
@needs_extra("binsight batch", "batch")
def status(uri: str, as_json: bool) -> None:
    """Say how far the job at URI is: photos done, errors by kind, categories, photos a second, time to the end.

    Features are told where there are any (binsight features); the exit code is that of the rows.

    \b
    Examples:
      binsight batch status job1
      binsight batch status s3://out/job1 --json | jq .remaining_s
    """
    from binsight.batch.job import FOLDERS, open_job
    from binsight.batch.status import read_status

    store, job = open_job(uri)
    found = read_status(store, job)
    others = {
        kind: read_status(store, job, kind=kind) for kind in FOLDERS if kind != "rows" and store.list(FOLDERS[kind])
    }
    if as_json:
        print_json(found.to_dict() | {kind: other.to_dict() for kind, other in others.items()})
    else:
        print_status(store, found)
        for kind, other in others.items():
            failed = f", {other.summary.failed:,} without" if other.summary.failed else ""
            done = f"{other.summary.photos:,} of {other.photos:,} photos{failed}"
            whole = ", complete" if other.is_complete else ""
            click.echo(f"{kind}: {done}, {other.done:,} of {other.shards:,} shards{whole}")
    sys.exit(found.exit_code)


@click.command(cls=Command)
@_URI
@html_option(f"Where to.  [default: URI/{_REPORT}]")
@needs_extra("binsight batch", "batch")
def report(uri: str, html: Path | None) -> None:
    """Write one HTML file on the job at URI: categories, review, errors by kind, throughput, a strange camera.

    \b
    Examples:
      binsight batch report job1
      binsight batch report s3://out/job1 --html report.html
    """
    click.echo(f"report: {plain(write_report(uri, html))}")


@click.command(cls=Command)
@_URI
@json_option()
@quiet_option()
@needs_extra("binsight batch", "batch")
def verify(uri: str, as_json: bool, quiet: bool) -> None:
    """Make sure that every photo of the plan has exactly one row, in its place; then write _SUCCESS.

    \b
    Example:
      binsight batch verify s3://out/job1
    """
    from binsight.batch.job import open_job
    from binsight.batch.status import verify_job

    store, job = open_job(uri)
    with progress_bar("Comparing", quiet=quiet) as progress:
        found = verify_job(store, job, progress=progress)
    if as_json:
        print_json(found.to_dict())
    else:
        print_status(store, found)
    sys.exit(found.exit_code)


def write_report(uri: str, html: Path | None) -> str:
    """Write a job's page, and say where."""
    from binsight.batch.job import open_job
    from binsight.batch.report import render_report
    from binsight.batch.status import read_status
    from binsight.files import write_whole

    store, job = open_job(uri)
    page = render_report(store, read_status(store, job))
    if html is None:
        store.write(_REPORT, page.encode("utf-8", "backslashreplace"))
        return f"{store.address.rstrip('/')}/{_REPORT}"
    write_whole(html, page)
    return str(html)


def print_status(store: Store, found: Status, again: str = "") -> None:
    """What a person wants to know of a job, on standard output; a strange camera on standard error.

    Args:
        store: the job's.
        found: what is shown.
        again: the command that goes on; by default that which classifies.
    """
    from binsight.batch.report import describe_camera

    summary = found.summary
    rate = "" if found.rate is None else f", {found.rate:,.0f} a second"
    click.echo(f"{summary.photos:,} of {found.photos:,} photos, {found.done:,} of {found.shards:,} shards{rate}")
    for name, number in summary.categories.most_common():
        click.echo(f"  {plain(name)}: {number:,}, {summary.reviewed[name]:,} of them to review")
    for code, number in summary.errors.most_common():
        click.echo(f"  error {plain(code)}: {number:,}, such as {plain(summary.examples[code][0])}")
    for fault in found.faults:
        click.echo(f"fault: {plain(fault)}")
    if found.is_complete:
        click.echo("complete, every row compared with the plan" if found.is_verified else "complete")
    else:
        left = "" if found.remaining_s is None else f", about {_duration(found.remaining_s)} to go at this rate"
        left = "; delete what is at fault, then" if found.faults else left
        click.echo(f"incomplete{left}: {again or f'binsight batch run {plain(store.address)}'}")
    if summary.photos and (warning := describe_camera(store, found.job, summary)):
        click.echo(f"warning: {plain(warning)}", err=True)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
