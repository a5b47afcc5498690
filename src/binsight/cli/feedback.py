"""`binsight feedback`: the corrections that people sent from the web page."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from binsight.cli.options import DIRECTORY, FOLDER, Group, json_option, option
from binsight.cli.text import markup, new_table, open_console, plain, print_json

if TYPE_CHECKING:
    from binsight.serving.corrections import Copied, Correction

__all__ = ["feedback"]


@click.group(cls=Group)
def feedback() -> None:
    """List the corrections in DIR, and export them as a data set.

    DIR is the folder given to `binsight serve --feedback`.

    \b
    Examples:
      binsight feedback list corrections/
      binsight feedback export corrections/ --out data/corrected
    """


@feedback.command(name="list")
@DIRECTORY
@json_option("Print one JSON object per line.")
def list_corrections(directory: Path, as_json: bool) -> None:
    """List every correction: the class a person named, what the model had said, and when."""
    from binsight.serving.corrections import read_corrections

    corrections = read_corrections(directory)
    if as_json:
        for correction in corrections:
            print_json(asdict(correction), indent=None)
    elif corrections:
        _print_table(corrections)
    else:
        click.echo("no corrections yet")


@feedback.command(renamed={"--to": "--out"})
@DIRECTORY
@option("--out", type=FOLDER, required=True, metavar="OUT", help="The folder of the data set.")
@json_option("Print one JSON object.")
def export(directory: Path, out: Path, as_json: bool) -> None:
    """Copy the photos to OUT, one folder per class, ready for training.

    OUT may hold a data set already: photos that are there stay, and an export can be repeated.
    """
    from binsight.serving.corrections import export_corrections

    copied = export_corrections(directory, out)
    outcomes = Counter(outcome for _, outcome in copied)
    if as_json:
        print_json({"to": str(out), "classes": _classes(copied), **_outcomes(outcomes)}, indent=None)
        return
    for name, count in _classes(copied).items():
        click.echo(f"{count:>7}  {plain(name)}")
    words = ", ".join(f"{count} {outcome}" for outcome, count in _outcomes(outcomes).items())
    click.echo(f"{_count(len(copied), 'photo')} in {plain(str(out))}: {words}")


def _classes(copied: list[tuple[Correction, Copied]]) -> dict[str, int]:
    return dict(sorted(Counter(correction.corrected for correction, _ in copied).items()))


def _outcomes(counts: Counter[Copied]) -> dict[str, int]:
    return {outcome: counts[outcome] for outcome in ("new", "present", "moved")}


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _print_table(corrections: list[Correction]) -> None:
    table = new_table("Is", "Was taken for", "Model", "When", "Photo")
    for c in corrections:
        model = f"{c.model_name} {c.model_version}" if c.model_name else "?"
        table.add_row(*(markup(text) for text in (c.corrected, c.predicted or "?", model, c.created, c.sha256[:12])))
    open_console().print(table)
    click.echo(f"{_count(len(corrections), 'correction')}, {sum(c.size for c in corrections) / 1e6:.2f} MB")
