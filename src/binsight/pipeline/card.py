"""The model card of a trained bundle: what a person should know before using it, and what the Hugging Face hub reads.

The hub reads the YAML between the two lines `---` at the beginning: https://huggingface.co/docs/hub/model-cards.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from string import Template
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from binsight.bundle import CalibrationRecord, Manifest, Metric
from binsight.dataset.licences import NOT_STATED
from binsight.evaluation.figures import confusion_matrix
from binsight.evaluation.reliability import equal_width_bins, reliability_bins

__all__ = ["Confusion", "draw_pictures", "metric_rows", "render_card", "shown_precision"]

_TEMPLATE = Template("""\
---
$front
---

# Model card: $name $version

Made $created by `$recipe`.

## What it does
Says which of $count categories a photo shows$second, how sure it is, and whether a person should look: $classes.
One item in the middle of the photo is what it was trained on.
$about
## How it was made
$backbone. Heads: $heads. Temperatures and review thresholds were fitted on `val`.$tuned

## Data
$photos. SHA-256 over paths, classes, splits and contents: `$digest`.
Split: $split.$left_out$leakage
$sources

## How good it is
With 95 % intervals: Wilson's for shares, the bootstrap's for the others (2,000 resamples), copies counted once.
On `val`, `calibration_error` (expected calibration error, 15 bins), `accepted_share` and `accepted_accuracy` are those
of the temperature and thresholds in the bundle, which were fitted on these very photos and so look better than they
are; beside them, `..._cross_fitted`, each photo is judged by what was fitted on others.$chosen_on_val
`held out: …` are sources of which nothing was trained on, `elsewhere` other people's photos, `unknown` and `noise`
pictures of none of the classes.
$shown

| measured on | photos | metric | value | 95 % interval |
|---|---|---|---|---|
$metrics
$seeds
![Recall and precision of each class]($classes_png)

| class | photos in $judged | recall | precision |
|---|---|---|---|
$rows

![What photos of $judged were told to be]($confusion_png)

What is confused with what on `$judged`, the most frequent first:

| shown | told to be | photos |
|---|---|---|
$confused

![How often a photo of $judged is right, by its confidence]($reliability_png)

## Known weaknesses
- What was measured holds for photos like these. Expect less on photos by other people, with other cameras and
  backgrounds.
- Things of none of the categories are often, not always, sent to review.
""")
CLASSES_NAME: Final = "card.classes.png"
CONFUSION_NAME: Final = "card.confusion.png"
RELIABILITY_NAME: Final = "card.reliability.png"
_BINS: Final = 15
_COLOURS: Final = 32
_CONFUSED_SHOWN: Final = 10
_METRIC_TYPES: Final = {"accuracy": "accuracy", "macro_f1": "f1"}  # as the hub calls them; others by their own names


@dataclass(frozen=True, eq=False)
class Confusion:
    """What photos of each class were told to be.

    Attributes:
        split: which photos.
        ids: the C classes.
        counts: `(C, C)`, photos of class i told to be of class j.
    """

    split: str
    ids: tuple[str, ...]
    counts: NDArray[np.intp]

    @classmethod
    def of(cls, split: str, labels: NDArray[np.intp], predicted: NDArray[np.intp], ids: tuple[str, ...]) -> Confusion:
        """Count what `(n,)` photos show, and what they were told to show."""
        return cls(split, ids, confusion_matrix(labels, predicted, len(ids)))

    def class_rows(self) -> Iterator[str]:
        """Each class as a row of a Markdown table: id, photos, recall, precision."""
        for name, right, own, named in zip(
            self.ids, self.counts.diagonal(), self.counts.sum(axis=1), self.counts.sum(axis=0), strict=True
        ):
            yield f"| {name} | {own} | {_share(right, own)} | {_share(right, named)} |"

    def confused_rows(self) -> list[str]:
        """Which classes were taken for which others, the most frequent first, as rows of a Markdown table."""
        wrong = self.counts.copy()
        np.fill_diagonal(wrong, 0)
        order = np.argsort(-wrong, axis=None, kind="stable")[:_CONFUSED_SHOWN]
        pairs = [(i, j) for i, j in zip(*np.unravel_index(order, wrong.shape), strict=True) if wrong[i, j]]
        return [f"| {self.ids[i]} | {self.ids[j]} | {wrong[i, j]} |" for i, j in pairs] or ["| nothing | | 0 |"]


def render_card(
    manifest: Manifest, record: CalibrationRecord, confusion: Confusion, *, about: str = "", licence: str | None = None
) -> str:
    """The card, Markdown with YAML before it.

    Args:
        manifest: complete but for its files; `training` as `binsight.pipeline.assemble` makes it.
        record: what it was calibrated for.
        confusion: of the photos by which it is judged.
        about: what its maker has to say of it, Markdown.
        licence: the model's own, as the hub names it.
    """
    training = manifest.training
    return _TEMPLATE.substitute(
        front=front_matter(manifest, licence),
        name=manifest.name,
        version=manifest.version,
        created=manifest.created,
        recipe=training["recipe"],
        count=len(manifest.taxonomy),
        second=" and whether that is biodegradable" if manifest.taxonomy.has_biodegradability else "",
        classes=", ".join(f"`{name}`" for name in manifest.taxonomy.ids),
        about=f"\n{about.strip()}\n" if about else "",
        backbone=training["backbone"],
        heads=training["heads"],
        tuned=_tuned(training),
        photos=", ".join(f"{number:,} photos in `{split}`" for split, number in training["photos"].items()),
        digest=training["data_sha256"],
        split=training["split"],
        left_out=_left_out(training),
        leakage=_leakage(training),
        sources=_sources(training["sources"]),
        chosen_on_val=_chosen_on_val(training),
        shown=shown_precision(record),
        metrics="\n".join(metric_rows(manifest)),
        seeds=_seeds(training.get("seeds", {})),
        judged=confusion.split,
        rows="\n".join(confusion.class_rows()),
        confused="\n".join(confusion.confused_rows()),
        classes_png=CLASSES_NAME,
        confusion_png=CONFUSION_NAME,
        reliability_png=RELIABILITY_NAME,
    )


def draw_pictures(
    confusion: Confusion, confidence: NDArray[np.float64], correct: NDArray[np.bool_]
) -> dict[str, bytes]:
    """The pictures of the card, file name → PNG.

    Args:
        confusion: of the photos by which it is judged.
        confidence: of each of these n photos, `(n,)`.
        correct: whether it is right, `(n,)`.
    """
    from binsight.evaluation import charts  # noqa: PLC0415 - matplotlib takes a while
    from binsight.evaluation.svg import save_figure  # noqa: PLC0415 - likewise

    bins = reliability_bins(confidence, correct, equal_width_bins(confidence, _BINS), bins=_BINS)
    figures = {
        CLASSES_NAME: charts.draw_classes(confusion.counts, confusion.ids),
        CONFUSION_NAME: charts.draw_confusion(confusion.counts, confusion.ids),
        RELIABILITY_NAME: charts.draw_reliability(bins),
    }
    return {name: _few_colours(save_figure(figure, form="png")) for name, figure in figures.items()}


def _few_colours(png: bytes) -> bytes:
    """The same picture with a palette, in a third of the room."""
    stream = io.BytesIO()
    Image.open(io.BytesIO(png)).convert("RGB").quantize(_COLOURS).save(stream, "PNG", optimize=True)
    return stream.getvalue()


def front_matter(manifest: Manifest, licence: str | None) -> str:
    """What the hub shows of a model, in YAML: licence, task, and each measured split as a result."""
    own = {"license": licence} if licence else {"license": "other", "license_name": "see-the-card"}
    results = [
        {
            "task": {"type": "image-classification", "name": "Image classification"},
            "dataset": {"type": "imagefolder", "name": f"{manifest.taxonomy.name} photos, {split}", "split": split},
            "metrics": [
                {"type": _METRIC_TYPES.get(name, name), "name": name, "value": round(metric.value, 4)}
                for name, metric in measured.values.items()
            ],
        }
        for split, measured in manifest.metrics.items()
    ]
    shown = {
        **own,
        "library_name": "binsight",
        "pipeline_tag": "image-classification",
        "tags": ["waste", "recycling", "onnx", "calibrated"],
        "model-index": [{"name": manifest.name, "results": results}],
    }
    return "\n".join(_yaml_lines(shown))


def _yaml_lines(value: Any, indent: str = "") -> Iterator[str]:
    """A value of mappings, lists and scalars as YAML, one scalar a line; scalars as JSON has them, which YAML reads."""
    for key, part in value.items() if isinstance(value, Mapping) else ((None, part) for part in value):
        lead = f"{indent}-" if key is None else f"{indent}{key}:"
        if not isinstance(part, Mapping | list):
            yield f"{lead} {json.dumps(part, ensure_ascii=False)}"
        elif key is None:
            first, *rest = _yaml_lines(part, f"{indent}  ")
            yield from (f"{lead} {first.lstrip()}", *rest)
        else:
            yield lead
            yield from _yaml_lines(part, f"{indent}  ")


def _sources(sources: Sequence[Mapping[str, Any]]) -> str:
    """Where the photos of `train` and `val` come from, and under which licences."""
    if all(s["licence"] == NOT_STATED and not s["source"] for s in sources):
        return "The licences of the photos are not known to binsight: whoever trained the model knows them."
    rows = "\n".join(
        f"| {_cell(s['source'])} | {s['photos']:,} | {_cell(s['licence'])} | {_cell(s['attribution'])} |"
        for s in sources
    )
    return f"\n| source | photos | licence as stated | from |\n|---|---|---|---|\n{rows}"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def _seeds(seeds: Mapping[str, Mapping[str, float]]) -> str:
    """Each metric over the trainings that were averaged: mean, and the half-width of Student's 95 % interval of it."""
    if not seeds:
        return ""
    from scipy.stats import t  # noqa: PLC0415 - takes a while

    rows = []
    for name in next(iter(seeds.values())):
        values = np.array([metrics[name] for metrics in seeds.values() if name in metrics])
        half = t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan
        rows.append(f"| {name} | {values.mean():.4f} | ± {half:.4f} | {', '.join(f'{v:.4f}' for v in values)} |")
    table = "\n".join(["| metric, on val if no other is named | mean | | each |", "|---|---|---|---|", *rows])
    return (
        f"\nThe trainings with the seeds {', '.join(seeds)} by themselves, before they were averaged; mean and "
        f"Student's 95 % interval of the mean:\n\n{table}\n"
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


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "none"


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
