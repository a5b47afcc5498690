"""`binsight data scan`: what there is."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from binsight.cli.app import EXIT_FAULTS
from binsight.cli.data_options import dataset_options, load_dataset
from binsight.cli.options import FILE, Command, json_option, option
from binsight.cli.text import markup, new_table, open_console, plain, print_first, print_json

if TYPE_CHECKING:
    from rich.console import Console

    from binsight.dataset import Dataset

__all__ = ["describe", "print_counts", "scan"]

_SHOWN = 20


@click.command(cls=Command)
@dataset_options
@option("--decode", is_flag=True, help="Decode every photo, to find damage behind a sound header; slower.")
@option("--manifest", type=FILE, help="Write what was found to this .csv or .jsonl file.")
@option("--overwrite", is_flag=True, help="Replace the manifest if it exists.")
@json_option()
def scan(manifest: Path | None, overwrite: bool, as_json: bool, **options: Any) -> None:
    """Count the photos in DATA by class and split, and list those that cannot be used.

    A photo that cannot be read is listed with the reason, never left out silently; so is every file that is no photo.
    Exits with 1 when a photo or a folder cannot be read.

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
        print_json(describe(found))
    else:
        _print(found)
    if any(s.error for s in found) or any(i.hides_photos for i in found.ignored):
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
        "notes": list(found.notes),
    }


def print_counts(console: Console, found: Dataset) -> None:
    """A table of how many photos each class has in each split."""
    from rich.table import Column

    splits: list[str | None] = [*found.splits, *([None] if any(s.split is None for s in found) else [])]
    counts = found.counts()
    columns = [(markup(part or "no split"), sum(s.split == part for s in found)) for part in splits]
    if len(splits) > 1:
        columns.append(("Photos", len(found)))
    numbers = (Column(title, f"{total:,}", justify="right", min_width=6) for title, total in columns)
    table = new_table(Column("Class", "all"), *numbers, show_footer=True)
    for name in found.classes:
        row = [counts.get((part, name), 0) for part in splits]
        total = [f"{sum(row):,}"] if len(splits) > 1 else []
        table.add_row(markup(name), *(f"{n:,}" if n else "[dim]-[/]" for n in row), *total)
    console.print(table)


def _print(found: Dataset) -> None:
    console = open_console()
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
    lines = [f"{plain(path)}: {plain(reason)}" for path, reason in rows]
    print_first(lines, _SHOWN, lead="  ", rest="more; --json lists them all")
