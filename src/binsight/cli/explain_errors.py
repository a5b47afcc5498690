"""`binsight explain-errors`: what a model gets wrong, and what it looked at."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from binsight.cli.labelled import labelled_options, load_labelled
from binsight.cli.options import BUNDLE, FOLDER, PLACE, Command, html_option, json_option, option
from binsight.cli.progress import stages
from binsight.cli.sources import find_photos
from binsight.cli.text import markup, new_table, open_console, plain, print_json

if TYPE_CHECKING:
    from binsight.evaluation.explanation import Explanation

__all__ = ["explain_errors"]

_SHOWN = 12


@click.command(cls=Command, name="explain-errors")
@click.argument("bundle", type=BUNDLE)
@click.argument("data", type=PLACE)
@labelled_options
@option("--out", type=FOLDER, help="Write a page and a JSON file into this folder.")
@html_option("Write the page alone, as one file.")
@option("--copy", is_flag=True, help="With --out: also copy the photos, sorted by what is taken for what.")
@option(
    "--reference",
    type=PLACE,
    metavar="DIR",
    help="Show the most similar photos of this folder beside each mistake, such as those the model was trained on.",
)
@option("--limit", type=click.IntRange(min=1), default=200, metavar="N", help="Explain at most N.")
@option("--overwrite", is_flag=True, help="Write into DIR though it is not empty.")
@json_option()
def explain_errors(
    bundle: str,
    data: Path,
    out: Path | None,
    html: Path | None,
    copy: bool,
    reference: Path | None,
    limit: int,
    overwrite: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Show the photos in DATA that BUNDLE gets wrong: the most confident first, grouped by what is taken for what.

    Each with what spoke for the wrong category, the scores, and whether it would have been accepted. A confident
    mistake is often a wrong label. Photos are only read, never changed or moved.

    \b
    Examples:
      binsight explain-errors waste8 photos/ --html mistakes.html
      binsight explain-errors waste8 photos/ --split test --reference photos/train --html mistakes.html
      binsight explain-errors my.zip photos/ --out mistakes/ --copy
    """
    from binsight.bundle import load_bundle, resolve_bundle
    from binsight.evaluation.explanation import explain_mistakes
    from binsight.evaluation.explanation_report import render_explanation, write_folder
    from binsight.evaluation.page import require_libraries
    from binsight.files import write_whole

    if copy and out is None:
        raise click.UsageError("--copy needs --out DIR, where the copies go")
    if html is not None or out is not None:
        require_libraries(plots=False)
    path = resolve_bundle(bundle)
    labelled = load_labelled(data, load_bundle(path).manifest.taxonomy, find_copies=False, **options)
    with stages(quiet=options["quiet"]) as stage:
        found = explain_mistakes(
            path,
            labelled.photos,
            reference=find_photos(str(reference)) if reference else (),
            limit=limit,
            split=labelled.split,
            workers=options["workers"],
            stage=stage,
        )
    if out is not None:
        write_folder(found, out, copy=copy, overwrite=overwrite)
    if html is not None:
        write_whole(html, render_explanation(found))
    if as_json:
        print_json(found.to_dict())
    else:
        _print(found, [p for p in (out and out / "index.html", html) if p is not None])


def _print(found: Explanation, pages: list[Path]) -> None:
    from binsight.evaluation.page import percent

    console = open_console()
    accepted = sum(c.accepted for c in found.confusions)
    console.print(
        f"{markup(found.model.name)} {markup(found.model.version)}: {found.total:,} of {found.photos:,} photos of "
        f"{markup(found.split)} are wrong, {accepted:,} of these accepted"
    )
    if found.mistakes:
        table = new_table("Photo", "Is", "Taken for", "Confidence", "Decision")
        for m in found.mistakes[:_SHOWN]:
            table.add_row(markup(m.path), markup(m.label), markup(m.predicted), percent(m.confidence), m.decision)
        console.print(table)
        pairs = new_table("Is", "Taken for", "Photos", "Accepted")
        for c in found.confusions[:_SHOWN]:
            pairs.add_row(markup(c.label), markup(c.predicted), f"{c.count:,}", f"{c.accepted:,}")
        console.print(pairs)
    for fault in found.unreadable:
        console.print(f"not looked at: {plain(fault.path)}: {plain(fault.message)}", markup=False, soft_wrap=True)
    for page in pages:
        click.echo(f"page: {plain(str(page))}")
