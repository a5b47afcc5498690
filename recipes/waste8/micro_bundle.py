"""The bundle of the micro network: integers, thresholds, measurements, card."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
from micro_files import read_operations, to_micro, to_onnx
from micro_network import MEAN, SCALE, Layer, normalise
from micro_photos import Photos, copies_among, digest, list_photos, read_split
from numpy.typing import NDArray

from binsight.bundle import CalibrationRecord, Manifest, SplitMetrics, photo_key, write_bundle
from binsight.bundle.container import CALIBRATION_NAME, MICRO_NAME, MODEL_NAME
from binsight.evaluation.figures import confusion_matrix
from binsight.evaluation.scoring import Scores, cross_fit
from binsight.export.micro import arena_bytes, run_micro
from binsight.imaging import PreprocessSpec, prepare_photo
from binsight.pipeline.card import Confusion, front_matter, metric_rows, shown_precision
from binsight.pipeline.measure import measure_strangers, state_metrics
from binsight.probability.calibration import Calibration, ReviewTargets, calibrate
from binsight.probability.scores import NetworkScores
from binsight.taxonomy import Taxonomy
from binsight.training.photos import open_photo

HERE = Path(__file__).parent
_SHOWN = 320  # photos that set the ranges of the activations


def input_spec(size: int) -> PreprocessSpec:
    """How photos are prepared for the network."""
    return PreprocessSpec(size=(size, size), fit="stretch", filter="bilinear", mean=(MEAN,) * 3, scale=(SCALE,) * 3)


def read_pictures(paths: Sequence[Path], size: int) -> NDArray[np.uint8]:
    """Photos in the size of the network's input, `(n, size, size, 3)`."""
    spec = input_spec(size)
    return np.stack([open_photo(path, lambda data: prepare_photo(data, spec)) for path in paths])


@dataclass(frozen=True)
class Micro:
    """The network in integers, and how it is asked.

    Attributes:
        file: for the micro interpreter.
        size: of its input.
        channels: likewise.
    """

    file: bytes
    size: int
    channels: int

    @classmethod
    def of(cls, layers: Sequence[Layer], photos: Photos, *, size: int, channels: int) -> Micro:
        """Quantised by what it gives on some of the photos it was trained on, all classes alike."""
        classes = np.unique(photos.labels)
        some = [np.flatnonzero(photos.labels == one)[: _SHOWN // len(classes)] for one in classes]
        pictures = read_pictures([photos.paths[i] for i in np.concatenate(some)], size)
        return cls(to_micro(layers, normalise(pictures, channels)), size, channels)

    def scores(self, paths: Sequence[Path]) -> NetworkScores:
        """What it says of photos, by the micro interpreter's kernels."""
        values = np.round(normalise(read_pictures(paths, self.size), self.channels) / SCALE + MEAN) - 128
        output = read_operations(self.file)[-1].output
        integers = run_micro(self.file, values.astype(np.int8)).astype(np.float64)
        return NetworkScores((integers - output.zero) * float(output.scale[0]))


def measure_split(
    scores: NetworkScores, photos: Photos, taxonomy: Taxonomy, fitted: Calibration, targets: ReviewTargets | None = None
) -> SplitMetrics:
    """Metrics of a split; with `targets`, those that depend on the calibration a second time, cross-fitted."""
    copies, labels = copies_among(photos, taxonomy), photos.labels
    judged, crossed = Scores.of(scores, fitted), None
    if targets is not None:

        def judge(fold_fit: NDArray[np.intp], fold: NDArray[np.intp]) -> Scores:
            found = calibrate(scores.take(fold_fit), labels[fold_fit], targets, groups=copies[fold_fit])
            return Scores.of(scores.take(fold), found)

        crossed = cross_fit(judged, labels, judge, copies=copies)
    return state_metrics(judged, crossed, labels, taxonomy, copies)


def write_micro_bundle(
    layers: Sequence[Layer],
    recipe: dict[str, Any],
    *,
    root: Path,
    known: Photos,
    val: Photos,
    taxonomy: Taxonomy,
    out: Path,
    float_accuracy: float,
    epochs: int,
    with_test: bool,
) -> None:
    """Quantise, calibrate and measure the network, and write its bundle.

    Args:
        layers: of the network.
        recipe: the TOML.
        root: of all photos.
        known: what it was trained on.
        val: what chooses its threshold.
        taxonomy: of the classes.
        out: where the bundle goes; replaced.
        float_accuracy: on `val`, before it was quantised.
        epochs: it was trained for.
        with_test: measure `test`: once, at the end.
    """
    shape, review = recipe["network"], recipe["review"]
    targets = ReviewTargets(
        review["precision"], disagreement_share=0, unfamiliar_share=0, certainty=review["certainty"]
    )
    micro = Micro.of(layers, known, size=shape["size"], channels=shape["channels"])
    scores = micro.scores(val.paths)
    fitted = calibrate(scores, val.labels, targets, groups=copies_among(val, taxonomy))
    metrics, shown = {}, scores
    rows_of = val
    if with_test:
        rows_of = read_split(root / "waste8", "test", taxonomy)
        shown = micro.scores(rows_of.paths)
        metrics["test"] = measure_split(shown, rows_of, taxonomy, fitted)
    metrics["val"] = measure_split(scores, val, taxonomy, fitted, targets)
    strange = Scores.of(micro.scores(list_photos(root / "not-waste")), fitted)
    metrics["not-waste"] = measure_strangers(strange)
    arena = arena_bytes(micro.file)
    facts = {
        "arena_bytes": arena,
        "weights_bytes": len(micro.file),
        "float_accuracy": round(float_accuracy, 4),
        "int8_accuracy": round(float(np.mean(scores.logits.argmax(axis=1) == val.labels)), 4),
    }
    record = CalibrationRecord.of(targets, fitted.shown_precision, {
        "trained": [photo_key(path.read_bytes()) for path in known.paths],
        "calibrated": (keys := [photo_key(path.read_bytes()) for path in val.paths]),
        "chosen": keys,
    })  # fmt: skip
    manifest = Manifest(
        name=recipe["name"],
        version=recipe["version"],
        created=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        taxonomy=taxonomy,
        preprocess=input_spec(shape["size"]),
        temperature=fitted.temperature,
        biodegradable_temperature=1.0,  # the output has the temperature of the categories in it
        review=fitted.review,
        metrics=metrics,
        training={
            "recipe": "recipes/waste8/micro.py",
            "settings": recipe,
            "epochs": epochs,
            "photos": {"train": len(known), "val": len(val)},
            "data_sha256": digest(root, [*known.paths, *val.paths]),
            "licences": "mixed, partly unknown; see card.md: for research and evaluation",
            "micro": facts,
        },
    )
    mask = np.asarray(taxonomy.biodegradable_mask)
    judged_by = "test" if with_test else "val"
    confusion = Confusion(
        judged_by, taxonomy.ids, confusion_matrix(rows_of.labels, shown.logits.argmax(axis=1), len(taxonomy))
    )
    files = {
        MODEL_NAME: to_onnx(micro.file, mask=mask, temperature=fitted.temperature),
        MICRO_NAME: micro.file,
        "card.md": _card(manifest, record, confusion).encode(),
        CALIBRATION_NAME: record.to_bytes(),
    }
    write_bundle(out, manifest, files, overwrite=True)
    for split, measured in metrics.items():
        print(split, {name: round(metric.value, 4) for name, metric in measured.values.items()})
    print(facts, "threshold", fitted.review.confidence[0], "shown", fitted.shown_precision, flush=True)


def _card(manifest: Manifest, record: CalibrationRecord, confusion: Confusion) -> str:
    facts, settings = manifest.training["micro"], manifest.training["settings"]
    return Template((HERE / "micro_card.md").read_text(encoding="utf-8")).substitute(
        front=front_matter(manifest, None),
        version=manifest.version,
        created=manifest.created,
        epochs=manifest.training["epochs"],
        rounded=settings["training"]["rounded_epochs"],
        train=manifest.training["photos"]["train"],
        val=manifest.training["photos"]["val"],
        digest=manifest.training["data_sha256"],
        size=settings["network"]["size"],
        colour="colour" if settings["network"]["channels"] == 3 else "grey",
        file_kb=f"{facts['weights_bytes'] / 1000:.0f}",
        arena_kb=f"{facts['arena_bytes'] / 1000:.0f}",
        float_accuracy=f"{facts['float_accuracy']:.1%}",
        int8_accuracy=f"{facts['int8_accuracy']:.1%}",
        shown=shown_precision(record),
        metrics="\n".join(metric_rows(manifest)),
        split=confusion.split,
        classes="\n".join(confusion.class_rows()),
    )
