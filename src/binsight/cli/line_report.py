"""`binsight line report`: what a line did, and how pure its lanes are."""

from __future__ import annotations

import csv
import datetime as dt
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from binsight.cli.line_ledger import ledger_options, open_ledger, read_span, span_options
from binsight.cli.options import Command, html_option, json_option, option
from binsight.cli.text import markup, new_table, open_console, plain, print_first, print_json, sign

if TYPE_CHECKING:
    from rich.console import Console

    from binsight.line.lane_purity import LanePurity
    from binsight.line.purity import Purity
    from binsight.line.report import LineReport

__all__ = ["report"]

_ALARMS_SHOWN = 10


@click.command(cls=Command)
@ledger_options
@span_options
@option("--csv", "as_csv", is_flag=True, help="Print one row per lane: target, non-target, non-recyclable.")
@json_option()
@html_option()
def report(
    ledger: str,
    line: str | None,
    since: dt.datetime | None,
    until: dt.datetime | None,
    shift: str | None,
    as_csv: bool,
    as_json: bool,
    html: Path | None,
) -> None:
    """Say what a line did: by default in the day up to its newest piece.

    LEDGER is a SQLite file or the address of a PostgreSQL; with line.toml it is the one set there. The purity of a lane
    comes from the pieces that were labelled with `binsight line audit`; its interval holds the truth 19 times in 20.

    \b
    Examples:
      binsight line report line1.sqlite
      binsight line report line.toml --shift early --since 2026-01-31 --until 2026-02-01
      binsight line report line1.sqlite --csv > january.csv
      binsight line report line1.sqlite --html report.html
    """
    if as_csv and as_json:
        raise click.UsageError("--csv and --json: one of them")
    with open_ledger(ledger, line) as opened:
        from binsight.line.report import make_report

        span = read_span(opened, since, until, shift)
        found = make_report(opened.database, span, config=opened.config, taxonomy=opened.taxonomy)
    if html is not None:
        from binsight.files import write_whole
        from binsight.line.report import render_page

        write_whole(html, render_page(found))
    if as_json:
        print_json(found.to_dict())
    elif as_csv:
        _print_csv(found)
    else:
        _print(found)
        if html is not None:
            click.echo(f"Report: {plain(str(html))}")


def _print_csv(found: LineReport) -> None:
    from binsight.line.report import COLUMNS

    writer = csv.DictWriter(sys.stdout, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(found.rows())


def _print(found: LineReport) -> None:
    console = open_console()
    console.print(plain(_headline(found)), markup=False)
    if not found.pieces:
        return
    if found.lanes:
        _print_lanes(console, found)
        _print_shares(console, found)
    else:
        console.print("\nThis ledger does not say what belongs in its lanes: give line.toml for their purity.")
    _print_counts(console, found, "End", "Reason", rows=found.by("status", "reason"))
    _print_counts(console, found, "Category", rows=found.by("category"))
    if len(found.by("shift")) > 1 or found.span.shift:
        _print_counts(console, found, "Shift", rows=found.by("shift"))
    for sentence in sentences(found):
        console.print(sentence, markup=False)
    _print_alarms(found)


def _headline(found: LineReport) -> str:
    span = found.span
    times = " to ".join(f"{at.astimezone():%Y-%m-%d %H:%M:%S}" for at in (span.since, span.until))
    shift = f", shift {span.shift}" if span.shift else ""
    return f"{span.line}, {times}{shift}: {found.pieces:,} pieces, {found.per_minute(found.pieces):,.1f} a minute"


def _print_lanes(console: Console, found: LineReport) -> None:
    from rich.table import Column

    titles = ("Pieces", "a minute", "Audited", "Wrong", "Purity", "95 % interval", "By weight", "Wanted")
    table = new_table("Lane", *(Column(title, justify="right") for title in titles))
    reached = found.by("reached")
    for number, lane in found.lanes.items():
        style = "[red]{}[/]" if lane.missed else "{}"
        cells = [
            f"{reached[number]:,}",
            f"{found.per_minute(reached[number]):,.1f}",
            f"{lane.target.audited:,}",
            f"{lane.target.wrong:,}",
            style.format(_percent(lane.target.purity)) if number else "",
            style.format(_interval(lane.target)) if number else "",
            "" if lane.by_weight is None or not number else f"{_percent(lane.by_weight.purity)}",
            _wanted(lane),
        ]
        table.add_row(markup(f"{number} {lane.name}".strip()), *cells)
    console.print(table)


def _wanted(lane: LanePurity) -> str:
    if lane.purity_target is None:
        return ""
    words = "missed" if lane.missed else "met" if lane.target.low >= lane.purity_target else "open"
    return f"{_percent(lane.purity_target)} {words}"


def _print_shares(console: Console, found: LineReport) -> None:
    from rich.table import Column

    titles = ("Target", "Non-target", "Non-recyclable")
    table = new_table("What lies there", *(Column(title, justify="right") for title in titles))
    for number, lane in found.lanes.items():
        if lane.target.audited:
            shares = (lane.target, lane.non_target, lane.non_recyclable)
            cells = [f"{_percent(share.purity)} [dim]({_interval(share)})[/]" for share in shares]
            table.add_row(markup(f"{number} {lane.name}".strip()), *cells)
    if table.row_count:
        console.print(table)


def _print_counts(console: Console, found: LineReport, *titles: str, rows: dict[Any, int]) -> None:
    from rich.table import Column

    table = new_table(*titles, Column("Pieces", justify="right"), Column("Share", justify="right"))
    for key, number in rows.items():
        words = key if isinstance(key, tuple) else (key,)
        cells = (markup(str(word)) if word is not None else "[dim]-[/]" for word in words)
        table.add_row(*cells, f"{number:,}", f"{number / found.pieces:.1%}")
    console.print(table)


def sentences(found: LineReport) -> list[str]:
    """What is not in the tables, in words."""
    said = []
    if found.review_rate is not None:
        said.append(f"To review: {found.review_rate:.1%} of the decided pieces.")
    if found.latency_ms is not None:
        times = ", ".join(f"p{percent:g} {ms:.1f} ms" for percent, ms in found.latency_ms.items())
        said.append(f"From frame to command: {times}.")
    if found.by("reached")[None]:
        said.append(f"{found.by('reached')[None]:,} pieces may lie in a lane or not (unknown, or without an end yet).")
    audit = found.audit
    said.append(f"Audit: {audit.labelled:,} of {audit.drawn:,} drawn pieces are labelled.")
    said += [
        f"Lane {number}: no wrong piece in {lane.target.audited:,} audits: below about {1 - lane.target.low:.2%}."
        for number, lane in found.lanes.items()
        if number and lane.target.audited and not lane.target.wrong and lane.target.low < 1
    ]
    return said


def _print_alarms(found: LineReport) -> None:
    if not found.alarms:
        return
    click.echo(f"\n{len(found.alarms):,} alarms came or went:")
    lines = []
    for event in found.alarms:
        words = "came" if event.active else "went"
        detail = f": {event.detail}" if event.detail and event.active else ""
        lines.append(f"{event.at.astimezone():%Y-%m-%d %H:%M:%S} {plain(event.code)} {words}{plain(detail)}")
    print_first(lines, _ALARMS_SHOWN, lead="  ", rest="older ones; --json lists them all")


def _percent(share: float | None) -> str:
    return "[dim]-[/]" if share is None else f"{100 * share:.1f} %"


def _interval(share: Purity) -> str:
    if not share.audited:
        return "[dim]no audit[/]"
    return f"{100 * share.low:.1f} {sign('–')} {100 * share.high:.1f} %"  # noqa: RUF001 - a dash between numbers
