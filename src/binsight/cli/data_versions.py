"""`binsight data freeze | log | diff`: versions of what was labelled."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from binsight.cli.options import DIRECTORY, Command, json_option, option, workers_option
from binsight.cli.text import plain, print_json

__all__ = ["diff", "freeze", "log"]


@click.command(cls=Command)
@DIRECTORY
@option("--retire", "retiring", is_flag=True, help="Locked photos that a gate looked at go to train; lock newer ones.")
@workers_option()
@json_option()
def freeze(directory: Path, retiring: bool, workers: int | None, as_json: bool) -> None:
    """Freeze what is labelled in DIR, the folder of `binsight serve --loop`, into a manifest named by its own hash.

    \b
    Examples:
      binsight data freeze loop/
      binsight gate new.zip --against waste8 --data loop/       on the locked photos of the newest version
      binsight data freeze loop/ --retire                       after ten looks at them
    """
    from binsight.loop.looks import retire
    from binsight.loop.queue import Queue
    from binsight.loop.versions import freeze as freeze_labels

    queue = Queue(directory)
    retired = retire(queue) if retiring else 0
    found = freeze_labels(queue, workers=workers)
    if as_json:
        print_json(asdict(found) | {"retired": retired}, indent=None)
        return
    counts = ", ".join(f"{count:,} {plain(split)}" for split, count in sorted(found.photos.items()))
    left = f"; {found.left_out:,} corrections left out, too many of one client" if found.left_out else ""
    gone = f"; {retired:,} locked photos retired into train" if retiring else ""
    click.echo(f"{directory / 'datasets' / (found.sha256 + '.csv')}: {counts}{left}{gone}")


@click.command(cls=Command)
@DIRECTORY
@json_option("Print one JSON object per line.")
def log(directory: Path, as_json: bool) -> None:
    """List the versions in DIR."""
    from binsight.loop.queue import Queue
    from binsight.loop.versions import versions

    for found in versions(Queue(directory)):
        counts = ", ".join(f"{count:,} {plain(split)}" for split, count in sorted(found.photos.items()))
        click.echo(json.dumps(asdict(found)) if as_json else f"{found.at}  {found.sha256[:12]}  {counts}")


@click.command(cls=Command)
@DIRECTORY
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@json_option()
def diff(directory: Path, first: str, second: str, as_json: bool) -> None:
    """Say what changed from version A to version B, each named by the beginning of its hash."""
    from binsight.loop.queue import Queue
    from binsight.loop.versions import compare_versions

    found = asdict(compare_versions(Queue(directory), first, second))
    if as_json:
        print_json(found, indent=None)
        return
    for name, items in found.items():
        click.echo(f"{len(items):,} {name}")
