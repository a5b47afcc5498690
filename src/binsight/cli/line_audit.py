"""`binsight line audit`: people say what the pieces drawn at random are."""

from __future__ import annotations

import csv
import datetime as dt
import getpass
import io
from pathlib import Path
from typing import TYPE_CHECKING

import click

from binsight.cli.line_ledger import OpenLedger, ledger_options, open_ledger
from binsight.cli.options import FILE, Command, json_option, option
from binsight.cli.text import open_console, plain, print_json
from binsight.errors import SettingsError
from binsight.text_files import read_text

if TYPE_CHECKING:
    from binsight.line.ledger.audit import AuditItem, Label
    from binsight.taxonomy import Taxonomy

__all__ = ["audit"]

_HEADER = ("id", "true_category", "audited_by")
_CELLS = 48  # of a picture on the terminal, two pixels high each
_ALL = 1_000_000


@click.command(cls=Command)
@ledger_options
@option("--by", metavar="NAME", help="Who labels.  [default: the name of the user]")
@option("--label", "asks", is_flag=True, help="Show one piece after another on the terminal, and ask.", section="Label")
@option(
    "--set", "given", multiple=True, metavar="ID=CATEGORY", help="Label one piece; again for more.", section="Label"
)
@option("--list", "shown", type=click.IntRange(1), metavar="N", help="Print the next N ids.", section="Label")
@option(
    "--export",
    "target",
    type=FILE,
    help="Write a CSV to fill in, and the pictures into a folder beside it.",
    section="Files",
)
@option("--import", "source", type=FILE, help="Read a CSV that was filled in.", section="Files")
@option("--overwrite", is_flag=True, help="Replace the exported file if it exists.", section="Files")
@json_option()
def audit(
    ledger: str,
    line: str | None,
    by: str | None,
    asks: bool,
    given: tuple[str, ...],
    shown: int | None,
    target: Path | None,
    source: Path | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Say how far the audit has come; label pieces.

    The line draws pieces at random. Who labels sees the picture, never what the model said, and the pieces in random
    order. CATEGORY is a class of the model or `other`: something else, several pieces, or not to be made out.
    Nobody's label is replaced by another person's.

    \b
    Examples:
      binsight line audit line1.sqlite
      binsight line audit line1.sqlite --label
      binsight line audit line1.sqlite --set 01KE…=metal_cans --by Eve
      binsight line audit line1.sqlite --export audit.csv
      binsight line audit line1.sqlite --import audit.csv --by Eve
    """
    if sum(map(bool, (asks, given, shown, target, source))) > 1:
        raise click.UsageError("--label, --set, --list, --export, --import: one at a time")
    with open_ledger(ledger, line) as opened:
        if source is not None:
            _store(opened, _read_csv(source, _who(by) if by else None))
        elif given:
            _store(opened, [_parse(text, _who(by)) for text in given])
        elif target is not None:
            _export(opened, target, _who(by), overwrite=overwrite)
        elif asks:
            _ask(opened, _who(by))
        elif shown is not None:
            for item in _next(opened, _who(by), shown):
                click.echo(item.id)
            return
        if target is None:
            _print_progress(opened, as_json=as_json)


def _who(by: str | None) -> str:
    if by is not None:
        return by
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        raise click.UsageError("--by NAME: say who labels") from None


def _taxonomy(opened: OpenLedger) -> Taxonomy:
    if opened.taxonomy is None:
        raise SettingsError("this ledger does not say which classes there are; give the line's line.toml in its place")
    return opened.taxonomy


def _next(opened: OpenLedger, auditor: str, count: int, skip: tuple[str, ...] = ()) -> list[AuditItem]:
    from binsight.line.ledger.audit import next_for_audit

    return next_for_audit(opened.database, opened.line, auditor=auditor, count=count, skip=skip)


def _store(opened: OpenLedger, labels: list[Label]) -> None:
    from binsight.line.ledger.audit import label_pieces

    changed = label_pieces(opened.database, labels, at=dt.datetime.now(dt.UTC), taxonomy=_taxonomy(opened))
    click.echo(f"{changed:,} labels written, {len(labels) - changed:,} were there already", err=True)


def _parse(text: str, who: str) -> Label:
    from binsight.line.ledger.audit import Label

    key, sign, category = text.partition("=")
    if not sign:
        raise click.UsageError(f"--set: expected ID=CATEGORY, got {text!r}")
    return Label(key.strip(), category.strip(), who)


def _read_csv(file: Path, who: str | None) -> list[Label]:
    """The rows that have a category; those without one are still to be labelled."""
    from binsight.line.ledger.audit import Label, LabelError

    text = read_text(file)
    header = text.partition("\n")[0]
    # A spreadsheet writes `;` where the comma is for decimals.
    delimiter = ";" if ";" in header and "," not in header else ","
    rows = csv.DictReader(io.StringIO(text), delimiter=delimiter, strict=True)
    labels, faults, nameless = [], [], 0
    try:
        missing = [name for name in _HEADER[: 2 if who else 3] if name not in (rows.fieldnames or ())]
        if missing:
            raise LabelError(f"{file}: expected the columns {', '.join(_HEADER)}; there is no {', '.join(missing)}")
        for row in rows:
            if None in row or None in row.values():
                faults.append(f"line {rows.line_num}: expected {len(rows.fieldnames or ())} fields")
                continue
            category = row["true_category"].strip()
            if category:
                name = row.get("audited_by", "").strip() or who or ""
                labels.append(Label(row["id"].strip(), category, name))
                nameless += not name
    except csv.Error as error:
        faults.append(f"line {rows.line_num}: {error}")
    if nameless:
        faults.append(f"{nameless:,} labels without audited_by; fill in that column, or add --by NAME")
    if faults:
        raise LabelError(f"{file}: " + "; ".join(faults))
    if not labels:
        raise LabelError(f"{file}: no row has a true_category; fill in that column")
    return labels


def _export(opened: OpenLedger, file: Path, who: str, *, overwrite: bool) -> None:
    from binsight.files import write_whole

    items = _next(opened, who, _ALL)
    folder = file.with_name(f"{file.stem}-pictures")
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_HEADER)
    writer.writerows((item.id, "", "") for item in items)
    # The list last: where it is, the pictures are.
    if not overwrite and file.exists():
        write_whole(file, "", overwrite=False)
    for item in items:
        write_whole(folder / f"{item.id}.jpg", item.jpeg)
    write_whole(file, text.getvalue(), overwrite=overwrite)
    classes = f"; the classes are {', '.join(opened.taxonomy.ids)} and other" if opened.taxonomy else ""
    click.echo(f"{len(items):,} pieces in {plain(str(file))}, their pictures in {plain(str(folder))}{plain(classes)}")


def _ask(opened: OpenLedger, who: str) -> None:
    from binsight.line.ledger.audit import OTHER, Label, label_piece, match_category

    taxonomy = _taxonomy(opened)
    words = [*taxonomy.ids, *([] if OTHER in taxonomy.ids else [OTHER])]
    menu = "  ".join(f"{number} {word}" for number, word in enumerate(words, start=1))
    skipped: tuple[str, ...] = ()
    while items := _next(opened, who, 1, skipped):
        _show(items[0])
        click.echo(plain(f"{menu}  s skip  q quit"))
        answer = click.prompt("What is it", default="q", show_default=False).strip()
        if answer in {"q", "quit"}:
            return
        if answer in {"s", "skip"}:
            skipped += (items[0].id,)
            continue
        try:
            named = words[int(answer) - 1] if answer.isdecimal() and 0 < int(answer) <= len(words) else answer
            label = Label(items[0].id, match_category(named, taxonomy), who)
            label_piece(opened.database, label, at=dt.datetime.now(dt.UTC), taxonomy=taxonomy)
        except ValueError as error:
            click.echo(f"note: {plain(str(error))}", err=True)
    click.echo("nothing is left to label")


def _show(item: AuditItem) -> None:
    """A picture in coloured half blocks; over a slow line, too."""
    from rich.color import Color
    from rich.style import Style
    from rich.text import Text

    from binsight.imaging import decode_image

    image = decode_image(item.jpeg)
    height = max(1, round(_CELLS * image.shape[0] / image.shape[1] / 2)) * 2
    rows = [round(i * (image.shape[0] - 1) / max(1, height - 1)) for i in range(height)]
    columns = [round(i * (image.shape[1] - 1) / (_CELLS - 1)) for i in range(_CELLS)]
    pixels = image[rows][:, columns]
    picture = Text()
    for upper, lower in zip(pixels[::2], pixels[1::2], strict=True):
        for top, bottom in zip(upper, lower, strict=True):
            picture.append("▀", Style(color=Color.from_rgb(*top), bgcolor=Color.from_rgb(*bottom)))
        picture.append("\n")
    open_console().print(picture)


def _print_progress(opened: OpenLedger, *, as_json: bool) -> None:
    from dataclasses import asdict

    from binsight.line.ledger.audit import read_progress

    progress = read_progress(opened.database, opened.line)
    if as_json:
        print_json({"line": opened.line, **asdict(progress), "open": progress.open}, indent=None)
        return
    share = f" ({progress.labelled / progress.drawn:.0%})" if progress.drawn else ""
    click.echo(f"{plain(opened.line)}: {progress.labelled:,} of {progress.drawn:,} drawn pieces are labelled{share}")
    for name, number in sorted(progress.auditors.items()):
        click.echo(f"  {number:>7,}  {plain(name)}")
    if progress.without_picture:
        click.echo(f"  {progress.without_picture:,} have no picture and cannot be labelled here")
    if progress.open:
        click.echo(f"  {progress.open:,} to go: binsight line audit … --label, or --export FILE")
