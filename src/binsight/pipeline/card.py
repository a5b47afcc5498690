"""The model card of a trained bundle: what a person should know before using it."""

from __future__ import annotations

from string import Template
from typing import Any

import numpy as np
from numpy.typing import NDArray

from binsight.bundle import CalibrationRecord, Manifest, Metric

__all__ = ["class_rows", "metric_rows", "render_card", "shown_precision"]

_TEMPLATE = Template("""\
# Model card: $name $version

Made $created by `$recipe`.

## What it does
Says which of $count categories a photo shows$second, how sure it is, and whether a person should look: $classes.
One item in the middle of the photo is what it was trained on.

## How it was made
$backbone. Heads: $heads. Temperatures and review thresholds were fitted on `val`.$tuned

## Data
$photos. SHA-256 over paths, classes, splits and contents: `$digest`.
Split: $split.$left_out$leakage
The licences of the photos are not known to binsight: whoever trained the model knows them.

## How good it is
With 95 % intervals: Wilson's for shares, the bootstrap's for the others (2,000 resamples), copies counted once.
On `val`, `calibration_error` (expected calibration error, 15 bins), `accepted_share` and `accepted_accuracy` are those
of the temperature and thresholds in the bundle, which were fitted on these very photos and so look better than they
are; beside them, `..._cross_fitted`, each photo is judged by what was fitted on others.$chosen_on_val
$shown

| measured on | photos | metric | value | 95 % interval |
|---|---|---|---|---|
$metrics

| class | photos in val | recall | precision |
|---|---|---|---|
$rows

## Known weaknesses
- What was measured holds for photos like these. Expect less on photos by other people, with other cameras and
  backgrounds.
- Things of none of the categories are often, not always, sent to review.
""")


def render_card(
    manifest: Manifest, record: CalibrationRecord, logits: NDArray[np.float64], labels: NDArray[np.intp]
) -> str:
    """The card, Markdown.

    Args:
        manifest: complete but for its files; `training` as `binsight.pipeline.assemble` makes it.
        record: what it was calibrated for.
        logits: of the photos of `val`, `(n, C)`.
        labels: what they show, `(n,)`.
    """
    training = manifest.training
    return _TEMPLATE.substitute(
        name=manifest.name,
        version=manifest.version,
        created=manifest.created,
        recipe=training["recipe"],
        count=len(manifest.taxonomy),
        second=" and whether that is biodegradable" if manifest.taxonomy.has_biodegradability else "",
        classes=", ".join(f"`{name}`" for name in manifest.taxonomy.ids),
        backbone=training["backbone"],
        heads=training["heads"],
        tuned=_tuned(training),
        photos=", ".join(f"{number:,} photos in `{split}`" for split, number in training["photos"].items()),
        digest=training["data_sha256"],
        split=training["split"],
        left_out=_left_out(training),
        leakage=_leakage(training),
        chosen_on_val=_chosen_on_val(training),
        shown=shown_precision(record),
        metrics="\n".join(metric_rows(manifest)),
        rows="\n".join(class_rows(manifest.taxonomy.ids, logits, labels)),
    )


def shown_precision(record: CalibrationRecord) -> str:
    """A sentence on what the review threshold is worth."""
    certainty = f"with {record.targets.certainty:.0%} confidence"
    if record.shown_precision >= record.targets.precision:
        return (
            f"The threshold was chosen so that, {certainty}, at least {record.targets.precision:.1%} of what is "
            "accepted is right on photos like those of `val` (Clopper-Pearson bound, fixed sequence testing)."
        )
    return (
        f"{record.targets.precision:.1%} right among the accepted was wanted; {certainty}, "
        f"{record.shown_precision:.1%} could be shown on the photos of `val`."
    )


def metric_rows(manifest: Manifest) -> list[str]:
    """The metrics of all splits as rows of a Markdown table: split, photos, metric, value, interval."""
    return [
        f"| {split} | {measured.photos} | {name} | {metric.value:.4f} | {_interval(metric)} |"
        for split, measured in manifest.metrics.items()
        for name, metric in measured.values.items()
    ]


def class_rows(ids: tuple[str, ...], logits: NDArray[np.float64], labels: NDArray[np.intp]) -> list[str]:
    """Each class as a row of a Markdown table: id, photos, recall, precision."""
    predicted = logits.argmax(axis=1)
    rows = []
    for index, name in enumerate(ids):
        own, named = labels == index, predicted == index
        rows.append(f"| {name} | {own.sum()} | {_share(own & named, own)} | {_share(own & named, named)} |")
    return rows


def _share(part: NDArray[np.bool_], whole: NDArray[np.bool_]) -> str:
    return f"{part.sum() / whole.sum():.1%}" if whole.any() else "none"


def _interval(metric: Metric) -> str:
    return "" if metric.low is None or metric.high is None else f"{metric.low:.4f} to {metric.high:.4f}"


def _tuned(training: Any) -> str:
    return f" {training['fine_tuning']['summary']}" if training.get("fine_tuning") else ""


def _left_out(training: Any) -> str:
    count = training["left_out"]["photos"]
    return f" {count} photos could not be read and were left out." if count else ""


def _leakage(training: Any) -> str:
    count = training["leakage"]
    if not count:
        return ""
    return f"\n**{count} groups of copies lie on both sides of the split; the figures below are too good.**"


def _chosen_on_val(training: Any) -> str:
    if not training.get("chosen_on_val"):
        return ""
    return f" {training['chosen_on_val']} was chosen on `val` too, so figures there lean to the good side."
