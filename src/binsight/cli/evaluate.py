"""`binsight evaluate`: how good a model is on labelled photos, and whether that is good enough."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from binsight.cli.app import EXIT_FAULTS
from binsight.cli.labelled import labelled_options, load_labelled
from binsight.cli.options import (
    BUNDLE,
    FILE,
    PLACE,
    Command,
    NumberRange,
    html_option,
    json_option,
    option,
    seed_option,
)
from binsight.cli.progress import stages
from binsight.cli.sources import find_photos
from binsight.cli.text import markup, new_table, open_console, plain, print_json

if TYPE_CHECKING:
    from binsight.evaluation import Evaluation, EvaluationSettings
    from binsight.evaluation.requirements import Requirement, Verdict
    from binsight.taxonomy import Taxonomy

__all__ = ["evaluate"]

_SHOWN = ("accuracy", "balanced_accuracy", "macro_f1", "top2_accuracy", "biodegradable_accuracy",
          "biodegradable_sum_accuracy", "biodegradable_head_accuracy", "stream_accuracy", "stream_cost",
          "stream_cost_with_review", "calibration_error", "calibration_error_cross_fitted", "brier_score", "log_loss",
          "aurc", "accepted_share", "accepted_share_cross_fitted", "accepted_accuracy",
          "accepted_accuracy_cross_fitted", "unknown_reviewed_share", "unknown_auroc",
          "unknown_auroc_confidence", "robust_accuracy", "decode_ms", "engine_ms", "model_mb")  # fmt: skip
_FAULTS_SHOWN = 20


@click.command(cls=Command)
@click.argument("bundle", type=BUNDLE)
@click.argument("data", type=PLACE)
@labelled_options
@option(
    "--require",
    "required",
    multiple=True,
    metavar="FIGURE=BOUND",
    help="Exit with 1 when the figure is worse than the bound: accuracy=0.9, ece=0.02, recall.metal_cans>=0.95. May be "
    "repeated.",
)
@option(
    "--unknown",
    section="What is measured",
    type=PLACE,
    metavar="DIR",
    help="Photos of things that are none of the classes.",
)
@option(
    "--unseen",
    section="What is measured",
    is_flag=True,
    help="Leave out photos that the model was trained, calibrated or chosen on.",
)
@option(
    "--by",
    section="What is measured",
    metavar="COLUMN",
    help="Also measure by this column of a manifest, such as source.",
)
@option(
    "--cost-matrix",
    section="What is measured",
    type=FILE,
    help="What wrong streams cost (TOML; docs/evaluation.md has the form and the default).",
)
@option(
    "--target-precision",
    section="What is measured",
    type=NumberRange(0, 1, min_open=True),
    default=0.993,
    metavar="P",
    help="Choose review thresholds so that this share of the accepted is right.",
)
@option("--no-robustness", section="What is measured", is_flag=True, help="Do not degrade photos, which takes longest.")
@option(
    "--robustness-photos",
    section="What is measured",
    type=click.IntRange(min=1),
    default=200,
    metavar="N",
    help="Degrade at most N photos, of each class its share.",
)
@seed_option("Of intervals, folds and degradations.")
@html_option()
@json_option("Print JSON; the schema is in docs/evaluation.md.")
def evaluate(
    bundle: str,
    data: Path,
    required: tuple[str, ...],
    unknown: Path | None,
    unseen: bool,
    by: str | None,
    cost_matrix: Path | None,
    html: Path | None,
    as_json: bool,
    no_robustness: bool,
    **options: Any,
) -> None:
    """Measure BUNDLE on the labelled photos in DATA, a folder or a manifest as for binsight data.

    Accuracy in many forms with 95 % intervals, by class and by stream; whether confidences mean what they say; what
    accepting and reviewing costs; unknown things; degraded photos; speed and size. A photo that cannot be read is
    listed and not counted.

    The model records which photos it has seen. On those it was calibrated on, figures that depend on it are given
    cross-fitted too, and judged so by --require; on those it was trained on, --require is refused.

    Exits with 1 when a requirement is missed, and names it with its value and bound.

    \b
    Examples:
      binsight evaluate waste8 photos/ --html report.html
      binsight evaluate my.zip photos/ --split test --require accuracy=0.95 --require ece=0.02
      binsight evaluate waste8 split.csv --unknown clothes/ --by source --no-robustness
      binsight evaluate waste8 trashnet/ --class metal=metal_cans --class paper=paper_waste --class glass= ...
      binsight evaluate waste8 photos/ --json | jq .values.accuracy
    """
    from binsight.bundle import load_bundle, resolve_bundle
    from binsight.evaluation import evaluate_bundle, write_report
    from binsight.evaluation.overlap import find_overlap, judged_requirements, leave_out_seen
    from binsight.evaluation.page import require_libraries
    from binsight.evaluation.requirements import check_requirements

    if html is not None:
        require_libraries()
    loaded = load_bundle(resolve_bundle(bundle))
    taxonomy = loaded.manifest.taxonomy
    requirements = _requirements(required, taxonomy)
    settings = _settings(options, cost_matrix, taxonomy, pictured_mistakes=60 if html else 0)
    strange = find_photos(str(unknown)) if unknown else []
    labelled = load_labelled(data, taxonomy, by=by, **options)
    photos, overlap = labelled.photos, find_overlap(loaded, labelled.photos, workers=options["workers"])
    if unseen:
        photos = leave_out_seen(photos, overlap)
    else:
        requirements = judged_requirements(requirements, overlap)
    with stages(quiet=options["quiet"]) as stage:
        found = evaluate_bundle(
            loaded.path, photos, unknown=strange, robustness=not no_robustness, split=labelled.split, settings=settings,
            workers=options["workers"], stage=stage,
        )  # fmt: skip
    _warn_of_seen(found)
    verdicts = check_requirements(requirements, found.values)
    if html is not None:
        write_report(found, html, verdicts=verdicts, group_by=by or "group")
    if as_json:
        print_json({**found.to_dict(), "requirements": [_verdict(v) for v in verdicts]})
    else:
        _print(found, verdicts, html)
    _exit_if_missed(verdicts)


def _requirements(required: tuple[str, ...], taxonomy: Taxonomy) -> list[Requirement]:
    from binsight.evaluation.requirements import parse_requirement

    return [parse_requirement(text, taxonomy.ids) for text in required]


def _settings(
    options: dict[str, Any], costs: Path | None, taxonomy: Taxonomy, *, pictured_mistakes: int
) -> EvaluationSettings:
    """Take the settings out of the options; what is left belongs to `load_labelled`."""
    from binsight.evaluation import EvaluationSettings
    from binsight.evaluation.costs import read_costs

    streams = list(dict.fromkeys(each.stream for each in taxonomy.classes))
    return EvaluationSettings(
        target_precision=options.pop("target_precision"),
        costs=None if costs is None else read_costs(costs, streams=streams),
        seed=options.pop("seed"),
        robustness_photos=options.pop("robustness_photos"),
        pictured_mistakes=pictured_mistakes,
    )


def _warn_of_seen(found: Evaluation) -> None:
    if found.overlap is not None and (seen := found.overlap.describe()):
        click.echo(f"warning: {plain(found.model.name)} has seen these photos: {seen}", err=True)
        if any(name.startswith("accepted_share_") for name in found.values):
            click.echo("note: judge by the figures named …_cross_fitted; --require does", err=True)


def _exit_if_missed(verdicts: Sequence[Verdict]) -> None:
    missed = [v for v in verdicts if not v.met]
    for verdict in missed:
        click.echo(f"binsight: requirement missed: {plain(str(verdict))}", err=True)
    if missed:
        sys.exit(EXIT_FAULTS)


def _verdict(verdict: Verdict) -> dict[str, Any]:
    requirement = verdict.requirement
    return {
        "figure": requirement.name,
        "bound": requirement.bound,
        "at": "least" if requirement.is_minimum else "most",
        "value": verdict.value,
        "met": verdict.met,
    }


def _print(found: Evaluation, verdicts: Sequence[Verdict], html: Path | None) -> None:
    from binsight.evaluation.measures import measure_of
    from binsight.evaluation.page import format_interval, format_value

    console = open_console()
    console.print(
        f"[bold]{markup(found.model.name)} {markup(found.model.version)}[/] on {found.photos:,} photos of "
        f"{markup(found.split)}"
    )
    table = new_table("Figure", "", "Value", "95 % interval")
    for name in (n for n in _SHOWN if n in found.values):
        measure, value = measure_of(name), found.values[name]
        table.add_row(
            measure.title, f"[dim]{name}[/]", format_value(measure, value.value), format_interval(measure, value)
        )
    console.print(table)
    _print_classes(console, found)
    if missing := [name for name, row in zip(found.taxonomy.ids, found.confusion, strict=True) if not sum(row)]:
        console.print(
            f"no photos of {', '.join(missing)}: macro F1 counts a class that is only predicted as 0", markup=False
        )
    if found.groups:
        _print_groups(console, found)
    for fault in found.unreadable[:_FAULTS_SHOWN]:
        console.print(f"not looked at: {plain(fault.path)}: {plain(fault.message)}", markup=False, soft_wrap=True)
    if len(found.unreadable) > _FAULTS_SHOWN:
        console.print(f"and {len(found.unreadable) - _FAULTS_SHOWN:,} more photos not looked at; --json lists them")
    for verdict in verdicts:
        if verdict.met:
            console.print(f"[green]met[/]  {markup(str(verdict))}")
    if html is not None:
        click.echo(f"report: {plain(str(html))}")


def _print_classes(console: Any, found: Evaluation) -> None:
    from binsight.evaluation.page import percent

    table = new_table("Class", "Photos", "Recall", "Precision", "F1", "Taken for")
    for c, (name, row) in enumerate(zip(found.taxonomy.ids, found.confusion, strict=True)):
        values = [found.values.get(f"{kind}.{name}") for kind in ("recall", "precision", "f1")]
        cells = ["-" if value is None else percent(value.value) for value in values]
        wrong = sorted(((n, k) for k, n in enumerate(row) if n and k != c), reverse=True)
        taken = ", ".join(f"{n} {found.taxonomy.ids[k]}" for n, k in wrong)
        table.add_row(markup(name), f"{sum(row):,}", *cells, f"[dim]{markup(taken)}[/]")
    console.print(table)


def _print_groups(console: Any, found: Evaluation) -> None:
    from binsight.evaluation.page import percent

    table = new_table("Group", "Photos", "Accuracy", "Accepted", "Of these right")
    for g in found.groups:
        shares = (g.accuracy.value, g.accepted_share, g.accepted_accuracy)
        table.add_row(markup(g.name), f"{g.photos:,}", *(percent(share) for share in shares))
    console.print(table)
