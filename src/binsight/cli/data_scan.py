"""`binsight data scan`: what there is."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from binsight.cli.app import EXIT_FAULTS
from binsight.cli.data_options import dataset_options, load_dataset
from binsight.cli.text import markup, plain

if TYPE_CHECKING:
    from rich.console import Console

    from binsight.dataset import Dataset

__all__ = ["describe", "print_counts", "scan"]

_SHOWN = 20


@click.command(short_help="List the photos of a data set, and what is wrong with it.")
@dataset_options
@click.option("--decode", is_flag=True, help="Decode every photo, to find damage behind a sound header; slower.")
@click.option(
    "--manifest",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write what was found to this .csv or .jsonl file.",
)
@click.option("--overwrite", is_flag=True, help="Replace the manifest if it exists.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def scan(manifest: Path | None, overwrite: bool, as_json: bool, **options: Any) -> None:
    """Count the photos in DATA by class and split, and list those that cannot be used.

    A photo that cannot be read is listed with the reason, never left out silently; so is every file that is no photo.
    Exits with 1 when a photo cannot be read.

    \b
    Examples:
      binsight data scan photos/
      binsight data scan photos/ --decode --json | jq '.errors[].path'
      binsight data scan photos/ --manifest photos/manifest.csv
      binsight data scan photos/ --taxonomy my-classes.toml
    """
    from binsight.dataset import write_manifest

    found = load_dataset(**options)
    if manifest is not None:
        write_manifest(found, manifest, overwrite=overwrite)
    if as_json:
        click.echo(json.dumps(describe(found), indent=2))
    else:
        _print(found)
    if any(s.error for s in found):
        sys.exit(EXIT_FAULTS)


def describe(found: Dataset) -> dict[str, Any]:
    """A JSON-ready summary of a data set."""
    counts = found.counts()
    splits: list[str | None] = [*found.splits, *([None] if any(s.split is None for s in found) else [])]
    return {
        "root": str(found.root),
        "taxonomy": found.taxonomy.name if found.taxonomy else None,
        "photos": len(found),
        "bytes": sum(s.bytes or 0 for s in found),
        "classes": {
            name: {part or "unsplit": counts.get((part, name), 0) for part in splits} for name in found.classes
        },
        "formats": dict(Counter(s.format for s in found if s.format).most_common()),
        "errors": [{"path": s.path, "code": s.error_code, "message": s.error} for s in found if s.error],
        "ignored": [{"path": i.path, "reason": i.reason} for i in found.ignored],
    }


def print_counts(console: Console, found: Dataset) -> None:
    """A table of how many photos each class has in each split."""
    from rich import box
    from rich.table import Table

    splits: list[str | None] = [*found.splits, *([None] if any(s.split is None for s in found) else [])]
    counts = found.counts()
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_footer=True)
    table.add_column("Class", "all")
    for part in splits:
        table.add_column(
            markup(part or "no split"), f"{sum(s.split == part for s in found):,}", justify="right", min_width=6
        )
    if len(splits) > 1:
        table.add_column("Photos", f"{len(found):,}", justify="right")
    for name in found.classes:
        row = [counts.get((part, name), 0) for part in splits]
        total = [f"{sum(row):,}"] if len(splits) > 1 else []
        table.add_row(markup(name), *(f"{n:,}" if n else "[dim]-[/]" for n in row), *total)
    console.print(table)


def _print(found: Dataset) -> None:
    from rich.console import Console

    console = Console(highlight=False, width=None if sys.stdout.isatty() else 160)
    console.print(plain(str(found.root)), markup=False)
    print_counts(console, found)
    formats = Counter(s.format for s in found if s.format)
    sides = sorted(min(s.width, s.height) for s in found if s.width and s.height)
    facts = [", ".join(f"{n:,} {name}" for name, n in formats.most_common())]
    facts.append(f"{sum(s.bytes or 0 for s in found) / 1e6:,.1f} MB")
    if sides:
        facts.append(f"short side {sides[0]} to {sides[-1]} px, half of them {sides[len(sides) // 2]} or less")
    facts.append(f"classes of {found.taxonomy.name}" if found.taxonomy else "classes as the folders are called")
    console.print("; ".join(fact for fact in facts if fact) + ".", markup=False)
    _print_list("could not be read", [(s.path, s.error or "") for s in found if s.error])
    _print_list("other files", [(i.path, i.reason) for i in found.ignored])


def _print_list(title: str, rows: list[tuple[str, str]]) -> None:
    if not rows:
        return
    click.echo(f"\n{len(rows):,} {title}:")
    for path, reason in rows[:_SHOWN]:
        click.echo(f"  {plain(path)}: {plain(reason)}")
    if len(rows) > _SHOWN:
        click.echo(f"  and {len(rows) - _SHOWN:,} more; --json lists them all")
