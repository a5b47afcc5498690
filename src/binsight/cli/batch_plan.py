"""`binsight batch plan`, and the options of planning."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from binsight.cli.options import Command, model_option, option, quiet_option, together
from binsight.cli.predict import millions
from binsight.cli.progress import reporter
from binsight.cli.text import plain
from binsight.extras import needs_extra

if TYPE_CHECKING:
    from binsight.batch.plan import Planned
    from binsight.batch.sources import Source

__all__ = ["plan", "plan_options", "planned_job"]


plan_options = together(
    click.argument("source", metavar="[SOURCE]", required=False),
    option("--out", required=True, metavar="URI", help="Where the job is kept: a folder, s3://…, gs://…, az://…"),
    option(
        "--list",
        "listed",
        metavar="FILE",
        help="Photos from a list: text, CSV, JSON lines, Parquet, or the manifest.json of an S3 Inventory.",
    ),
    model_option("A model bundle (folder or .zip), or the name of one in the package; the job keeps a copy."),
    option(
        "--shard-size",
        type=click.IntRange(min=1),
        metavar="N",
        help="Photos in a shard.  [default: 10000, of few photos less]",
    ),
    option("--max-mb", type=float, callback=millions, default=20, help="Refuse larger files."),
    option("--max-megapixels", type=float, callback=millions, default=65, help="Refuse larger photos."),
)
"""What both commands that plan are told."""


@click.command(cls=Command)
@plan_options
@option("--dry-run", is_flag=True, help="List and count, but write nothing.")
@quiet_option("No progress, no notes.")
@needs_extra("binsight batch", "batch")
def plan(source: str | None, listed: str | None, out: str, dry_run: bool, quiet: bool, **options: Any) -> None:
    """List the photos of SOURCE, divide them into shards, and keep that with a copy of the model at URI.

    SOURCE is a folder, an address such as s3://bucket/photos/, or a list. A photo that is listed twice counts once.
    The same command again changes nothing; with other photos, another model or other limits it is refused.

    \b
    Examples:
      binsight batch plan photos/ --out job1
      binsight batch plan s3://in/2026/ --out s3://out/job1 --shard-size 20000
      binsight batch plan --list paths.parquet --out job1 --dry-run
      binsight batch plan --list s3://inventories/in/daily/2026-11-27T01-00Z/manifest.json --out s3://out/job1
    """
    planned = planned_job(source, listed, out, dry_run=dry_run, quiet=quiet, **options)
    job = planned.job
    model = f"{plain(job.model.name)} {plain(job.model.version)} ({job.model.digest[:12]})"
    click.echo(f"{job.photos:,} photos in {job.shards:,} shards of at most {job.shard_size:,}, model {model}")
    if dry_run:
        click.echo("nothing was written")
    else:
        click.echo(f"{'planned' if planned.is_new else 'planned before'}; next: binsight batch run {plain(out)}")


def planned_job(
    source: str | None, listed: str | None, out: str, *, model: str, quiet: bool, dry_run: bool = False, **options: Any
) -> Planned:
    """Plan, or find the same plan; tells on standard error what was passed over."""
    from binsight.batch.plan import plan_job
    from binsight.batch.sources import find_source
    from binsight.imaging import ImageLimits

    if (source is None) == (listed is None):
        raise click.UsageError("expected photos: either SOURCE or --list FILE")
    found = find_source(source or listed or "", is_list=listed is not None)
    limits = ImageLimits(max_bytes=options["max_mb"], max_pixels=options["max_megapixels"])
    with reporter(quiet=quiet, lines=True) as shown:
        advance = shown.stage("Listing")
        planned = plan_job(
            found,
            out,
            model=model,
            limits=limits,
            shard_size=options["shard_size"],
            dry_run=dry_run,
            progress=lambda photos: advance(photos, 0),
        )
    if not quiet:
        _print_notes(found, planned)
    return planned


def _print_notes(source: Source, planned: Planned) -> None:
    if planned.repeated:
        click.echo(f"note: {planned.repeated:,} photos are listed again; each counts once", err=True)
    if source.passed_over:
        click.echo(f"note: {source.passed_over:,} files passed over that are no photos", err=True)
    for fault in source.unreadable:
        click.echo(f"note: {plain(fault)}; what is in it is missing", err=True)
