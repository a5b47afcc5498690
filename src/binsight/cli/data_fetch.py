"""`binsight data fetch`: public sets of waste photos."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from binsight.cli.data_options import bar_reporter
from binsight.cli.text import plain
from binsight.errors import InputError

if TYPE_CHECKING:
    from binsight.dataset.catalog import Catalogue, PublicSet
    from binsight.dataset.fetch import Fetched

__all__ = ["fetch"]


@click.command(short_help="Download a public set of waste photos.")
@click.argument("name", required=False)
@click.option(
    "--to", type=click.Path(file_okay=False, path_type=Path), metavar="DIR", help="The folder to bring it to."
)
@click.option("--list", "as_list", is_flag=True, help="Show which sets there are, with licence and size.")
@click.option(
    "--catalogue",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="A catalogue of your own, in the format of docs/datasets.md.",
)
@click.option("--force", is_flag=True, help="Fetch it again though it is there.")
@click.option("--keep-archives", is_flag=True, help="Keep the downloaded archives in DIR/.download.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("-q", "--quiet", is_flag=True, help="No progress bar.")
def fetch(
    name: str | None,
    to: Path | None,
    as_list: bool,
    catalogue: Path | None,
    force: bool,
    keep_archives: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Download the public set NAME, check it, and write manifests of its classes and of those of waste8.

    Interrupted, the same command continues. A file whose checksum is not known yet has it recorded in
    DIR/binsight-lock.json the first time and must match ever after. Without a connection, the message says which file
    to put where. Sets from Kaggle need the extra binsight[data]; some also need an account there.

    Look at the licence before you use a set, and before you publish a model that was trained on it.

    \b
    Examples:
      binsight data fetch --list
      binsight data fetch trashnet --to data/trashnet
      binsight data fetch taco --to data/taco --keep-archives
      binsight data scan data/trashnet/waste8.csv
    """
    from binsight.dataset.fetch import fetch as fetch_set

    sets = _catalogue(catalogue)
    if as_list or name is None:
        _print_catalogue(sets, as_json=as_json)
        return
    public_set = sets.find(name)
    if to is None:
        raise click.UsageError(f"say where to: binsight data fetch {name} --to DIR")
    if not as_json:
        click.echo(f"{public_set.title}\nlicence: {public_set.licence}", err=True)
    with bar_reporter(quiet=quiet or as_json) as report:
        fetched = fetch_set(public_set, to, report=report, force=force, keep_archives=keep_archives)
    if as_json:
        click.echo(json.dumps({"set": public_set.name, **asdict(fetched), "folder": str(fetched.folder)}, indent=2))
    else:
        _print(public_set, fetched)


def _catalogue(path: Path | None) -> Catalogue:
    from binsight.dataset.catalog import Catalogue

    if path is None:
        return Catalogue.builtin()
    try:
        return Catalogue.from_toml(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {path}: {error}") from error


def _print_catalogue(sets: Catalogue, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps([asdict(s) for s in sets.sets.values()], indent=2))
        return
    from rich import box
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table("Name", "What", "Photos", "Download", "From", "Licence", box=box.SIMPLE_HEAD, pad_edge=False)
    for s in sets.sets.values():
        size = f"{s.download_bytes / 1e6:,.0f} MB" if s.download_bytes else "?"
        photos = f"{s.photos:,}" if s.photos else "?"
        row = (s.name, f"{s.title}\n{s.home}", photos, size, "Kaggle" if s.kaggle else "web", s.licence)
        table.add_row(*(escape(text) for text in row), end_section=True)
    Console(highlight=False, width=None if sys.stdout.isatty() else 160).print(table)


def _print(public_set: PublicSet, fetched: Fetched) -> None:
    lines = [f"{'already there' if fetched.was_there else 'fetched'}: {fetched.photos:,} photos in {fetched.folder}"]
    if public_set.photos and not public_set.crops and public_set.photos != fetched.photos:
        lines.append(f"note: {public_set.photos:,} photos were expected; this may be another version of the set")
    if fetched.unreadable:
        lines.append(f"{fetched.unreadable:,} of them cannot be read; binsight data scan lists them")
    lines.append("manifest.csv: " + ", ".join(f"{n:,} {name}" for name, n in fetched.classes.items()))
    if fetched.mapped:
        lines.append("waste8.csv: " + ", ".join(f"{n:,} {name}" for name, n in fetched.mapped.items()))
    if fetched.without_counterpart:
        lines.append("not in waste8.csv: " + ", ".join(f"{n:,} {k}" for k, n in fetched.without_counterpart.items()))
    if fetched.crops:
        lines.append("objects: " + ", ".join(f"{n:,} {outcome}" for outcome, n in fetched.crops.items()))
    click.echo("\n".join(plain(line) for line in lines))
