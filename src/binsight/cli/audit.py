"""`binsight data audit`: what is wrong with a data set, before a model learns it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from binsight.cli.app import EXIT_FAULTS
from binsight.cli.data_options import dataset_options, load_dataset, photo_cache
from binsight.cli.options import Command, html_option, json_option, model_option, option, seed_option, setting_flag
from binsight.cli.progress import progress_bar, stages
from binsight.cli.text import markup, new_table, open_console, plain, print_json, sign
from binsight.dataset.audit.settings import AuditSettings
from binsight.settings import section_options

if TYPE_CHECKING:
    from binsight.dataset.audit import Audit, Finding
    from binsight.predictor import Predictor

__all__ = ["audit"]

_SHOWN = 8  # findings of a kind on the terminal; the rest is in the report and in the JSON
_FILES_SHOWN = 4
_NOTHING = "none"
_BOUNDS = [
    setting
    for setting in section_options(AuditSettings, "")
    if setting.name in {"near_similarity", "min_side", "max_aspect", "min_sharpness", "shortcut_gain", "max_imbalance"}
]


@click.command(cls=Command)
@dataset_options
@json_option("Print JSON; the schema is in docs/audit.md.")
@html_option()
@option(
    "--fail-on",
    default="leakage,label_conflict",
    metavar="KINDS",
    help="Exit with 1 when there is a finding of these kinds or severities (error, warning, info), separated by "
    "commas; none for never.",
)
@model_option(
    "Whose features are used to find wrong labels and outliers; none skips both, which is several times faster."
)
@seed_option("Of the division into folds.")
def audit(as_json: bool, html: Path | None, fail_on: str, model: str, **options: Any) -> None:
    """Find what is wrong with the photos in DATA, and say what to do about it. No photo is changed.

    Files: unreadable, truncated, damaged, animated, misnamed, tiny, blank, dark, overexposed, blurred. Copies, also
    flipped, turned, rescaled, recompressed, slightly cropped or recoloured: on both sides of a split (leakage), with
    different labels (label_conflict), or just too many. Labels that are probably wrong. Photos unlike all others.
    Uneven classes. And shortcuts: how well the class can be told from size, compression or border colour alone.

    Exits with 1 when there is leakage or a conflict (see --fail-on), so that it can guard a pipeline. What was measured
    is remembered by content; a second run takes seconds.

    \b
    Examples:
      binsight data audit photos/
      binsight data audit photos/ --html audit.html
      binsight data audit split.csv --json > audit.json
      binsight data audit photos/ --fail-on error --model none
      binsight data audit photos/ --json | jq -r '.findings[] | select(.kind == "label_error") | .files[0].path'
    """
    settings = _settings(options)
    kinds = _parse_fail_on(fail_on)
    quiet = options["quiet"]
    found = load_dataset(**options)
    from binsight.dataset.audit import audit as look_at

    with stages(quiet=quiet) as stage:
        result = look_at(
            found,
            settings=settings,
            predictor=_predictor(model),
            cache=photo_cache(options["cache"], no_cache=options["no_cache"]),
            workers=options["workers"],
            stage=stage,
        )
    if html is not None:
        from binsight.dataset.audit.report import render_report
        from binsight.files import write_whole

        with progress_bar("Writing the report", quiet=quiet) as progress:
            write_whole(html, render_report(result, progress=progress))
    if as_json:
        print_json(result.to_dict())
    else:
        _print(result, html)
    if any(finding.kind in kinds or finding.severity in kinds for finding in result.findings):
        sys.exit(EXIT_FAULTS)


def _settings(options: dict[str, Any]) -> AuditSettings:
    """Take the settings out of the options; what is left belongs to `load_dataset`."""
    names = [bound.name for bound in _BOUNDS]
    return AuditSettings(**{name: options.pop(name) for name in (*names, "seed")})


def _parse_fail_on(text: str) -> set[str]:
    from binsight.dataset.audit import KINDS, SEVERITIES

    words = {word.strip() for word in text.split(",") if word.strip()} - {_NOTHING}
    if unknown := sorted(words - set(KINDS) - set(SEVERITIES)):
        known = ", ".join((*SEVERITIES, *KINDS))
        raise click.BadParameter(f"no such kind: {', '.join(unknown)}; there are {known}", param_hint="--fail-on")
    return words


def _predictor(model: str) -> Predictor | None:
    from binsight.predictor import Predictor

    return None if model == _NOTHING else Predictor.load(model, threads=1)


def _print(result: Audit, html: Path | None) -> None:
    from binsight.dataset.audit import KINDS

    console = open_console()
    styles = {"error": "red", "warning": "yellow", "info": "dim"}
    for kind, count in result.counts().items():
        findings = result.of_kind(kind)
        worst = min(findings, key=lambda f: list(styles).index(f.severity)).severity
        console.print(f"[bold {styles[worst]}]{KINDS[kind]}[/]  [dim]{kind}[/]  {count:,}")
        table = new_table("", "", "", box=None, show_header=False, padding=(0, 2, 0, 0))
        for finding in findings[:_SHOWN]:
            table.add_row("", markup(finding.message), markup(_files(result, finding)))
        console.print(table)
        if count > _SHOWN:
            console.print(f"  [dim]and {count - _SHOWN:,} more[/]")
        console.print(f"  {sign('→')} {markup(findings[0].action)}")
    if result.shortcuts:
        table = new_table("What should not matter", "Tells the class", "By chance")
        for name, group in result.shortcuts["groups"].items():
            interval = f"{group['low']:.0%} to {group['high']:.0%}"
            table.add_row(name, f"{group['balanced_accuracy']:.0%}  ({interval})", f"{result.shortcuts['chance']:.0%}")
        console.print(table)
    for check in result.skipped:
        console.print(f"[dim]not checked: {check.check}: {markup(check.reason)}[/]")
    console.print(f"{len(result.dataset):,} photos, {len(result.findings):,} findings")
    if html is not None:
        click.echo(f"report: {plain(str(html))}")


def _files(result: Audit, finding: Finding) -> str:
    paths: Sequence[str] = [result.dataset.samples[i].path for i in finding.files[:_FILES_SHOWN]]
    more = f" and {len(finding.files) - _FILES_SHOWN} more" if len(finding.files) > _FILES_SHOWN else ""
    return ", ".join(paths) + more


audit.params += [setting_flag(bound, section="Bounds") for bound in _BOUNDS]
