"""Calibrate and measure a trained network, and write its bundle."""

from __future__ import annotations

import argparse
import csv
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np
from numpy.typing import NDArray
from pasted import SPEC
from photographers import NONE, Photos, list_test
from seen import BACKBONE, LAST_FROZEN, Seen, see

from binsight.bundle import (
    CalibrationRecord,
    Manifest,
    SplitMetrics,
    make_replay,
    photo_key,
    verify_bundle,
    write_bundle,
)
from binsight.bundle.container import CALIBRATION_NAME, REPLAY_NAME
from binsight.dataset import Dataset
from binsight.dataset.duplicates import duplicate_groups
from binsight.dataset.samples import Sample
from binsight.export.onnx_graph import attach_heads
from binsight.pipeline.auxiliary import write_noise
from binsight.pipeline.calibrate import ReviewTargets, ScaledCalibration, Scores, calibrate, judge
from binsight.pipeline.card import Confusion, render_card
from binsight.pipeline.measure import measure, measure_unknown
from binsight.taxonomy import Taxonomy
from binsight.training.backbones import find_backbone
from binsight.training.familiarity import FeatureSubspace, fit_subspace
from binsight.training.fine_tune.activations import Activations
from binsight.training.fine_tune.tail import predict_activations
from binsight.training.heads.linear import LinearModel

__all__ = ["Judge", "keep_decisions", "print_by_source", "write_model"]

TARGETS: Final = ReviewTargets(precision=0.993, disagreement_share=0.01, unfamiliar_share=0.02)
_REPLAYED: Final = 7000  # photos in replay.safetensors
Outputs = dict[str, NDArray[np.float32]]
_ABOUT: Final = Path(__file__).parent / "second_stage.md"


@dataclass(frozen=True, eq=False)
class Judge:
    """A network with what is fitted to it on `val`.

    Attributes:
        scored: gives logits and features of activations.
        taxonomy: its classes.
        outputs: what it gives for all photos as they are.
        known: what the features of training photos have in common.
        calibration: temperatures, thresholds, scale of the unfamiliarity.
    """

    scored: keras.Model
    taxonomy: Taxonomy
    outputs: Outputs
    known: FeatureSubspace
    calibration: ScaledCalibration

    @classmethod
    def of(
        cls, network: keras.Model, photos: Photos, seen: Seen, taxonomy: Taxonomy, rows: NDArray[np.intp], kept: Path
    ) -> Judge:
        """Fit it; `rows` are the photos that were trained on, `kept` is the file of the outputs."""
        scored = keras.Model(network.input, network.output | {"features": network.get_layer("pool").output})
        if not kept.exists():
            np.savez(kept, **predict_activations(scored, seen.views[0]))  # type: ignore[arg-type]  # names of arrays
        with np.load(kept) as stored:
            outputs = {name: stored[name] for name in stored.files}
        known = fit_subspace(outputs["features"][rows[photos.labels[rows] != NONE]])
        val = np.flatnonzero(photos.roles == "val")
        scores = _scores(outputs, taxonomy, known).take(val)
        fitted = calibrate(scores, photos.labels[val], TARGETS, groups=copies_among(photos, val, taxonomy))
        return cls(scored, taxonomy, outputs, known, fitted)

    def scores(self, rows: NDArray[np.intp]) -> Scores:
        """What the network says of some of the photos."""
        return _scores(self.outputs, self.taxonomy, self.known).take(rows)

    def scores_of(self, seen: Activations) -> Scores:
        """What it says of other photos."""
        return _scores(predict_activations(self.scored, seen), self.taxonomy, self.known)


def _scores(outputs: Outputs, taxonomy: Taxonomy, known: FeatureSubspace) -> Scores:
    found = {name: values.astype(np.float64) for name, values in outputs.items()}
    mask = np.asarray(taxonomy.biodegradable_mask)
    return Scores(found["logits"], found["biodegradable_logit"][:, 0], mask, known.residual(found["features"]))


def copies_among(photos: Photos, rows: NDArray[np.intp], taxonomy: Taxonomy) -> NDArray[np.intp]:
    """Which photos are copies of each other, `(n,)`: those of one number."""
    samples = tuple(Sample(path=str(photos.paths[i].resolve()), class_id=str(photos.classes[i])) for i in rows)
    return np.asarray(duplicate_groups(Dataset(Path(), taxonomy.ids, samples)), np.intp)


def print_by_source(judged: Judge, photos: Photos, rows: NDArray[np.intp]) -> None:
    """Of each source: photos, right, accepted, right among the accepted; of what has no class, the share reviewed."""
    scores, labels = judged.scores(rows), photos.labels[rows]
    right, accepted = scores.logits.argmax(axis=1) == labels, judge(scores, judged.calibration).accepted
    names = np.where(labels == NONE, np.char.add(np.char.add(photos.sources[rows], " "), photos.classes[rows]), "")
    names = np.where(labels == NONE, names, photos.sources[rows])
    names = np.where(photos.roles[rows] == "val", "val", names)
    for name in np.unique(names):
        own = names == name
        if (labels[own] == NONE).all():
            print(
                f"| {name} | {own.sum()} | | {accepted[own].mean():.1%} | | reviewed {1 - accepted[own].mean():.1%} |"
            )
            continue
        among = f"{right[own & accepted].mean():.1%}" if (own & accepted).any() else "none"
        print(f"| {name} | {own.sum()} | {right[own].mean():.1%} | {accepted[own].mean():.1%} | {among} | |")


def keep_decisions(judged: Judge, photos: Photos, rows: NDArray[np.intp], file: Path) -> None:
    """What `benchmarks/streams.py` reads."""
    scores, calibration = judged.scores(rows), judged.calibration
    strange = scores.exported(calibration.scale).unfamiliarity
    if strange is None:
        raise SystemExit("expected a network with unfamiliarity")
    arrays: dict[str, NDArray[Any]] = {
        "sources": np.where(photos.roles[rows] == "val", "val", photos.sources[rows]),
        "classes": photos.classes[rows],
        "right": scores.logits.argmax(axis=1) == photos.labels[rows],
        "accepted": judge(scores, calibration).accepted,
        "unfamiliarity": strange,
        "median": np.median(strange[photos.roles[rows] == "val"]),
        "limit": np.asarray(calibration.fitted.review.unfamiliarity),
    }
    np.savez(file, **arrays)  # type: ignore[arg-type]  # names of arrays


def write_model(
    arguments: argparse.Namespace,
    photos: Photos,
    judged: Judge,
    model: tuple[keras.Model, keras.Model],
    about: Mapping[str, Any],
) -> None:
    """Measure a network, on `test` too, and write its bundle."""
    taxonomy, fitted = judged.taxonomy, judged.calibration.fitted
    rows = {role: np.flatnonzero(photos.roles == role) for role in ("train", "val")}
    metrics, (logits, labels) = _measure(arguments, photos, judged)
    trained, strangers = (rows["train"][(photos.labels[rows["train"]] == NONE) == none] for none in (False, True))
    own = judged.scores(rows["val"]).exported(judged.calibration.scale).unfamiliarity
    manifest = Manifest(
        name="waste8",
        version=arguments.version,
        created=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        taxonomy=taxonomy,
        preprocess=SPEC,
        temperature=fitted.temperature,
        biodegradable_temperature=fitted.biodegradable_temperature,
        review=fitted.review,
        metrics=metrics,
        training={
            "recipe": "recipes/waste8/second_stage.py",
            "backbone": f"{BACKBONE} at {SPEC.size[0]} px, ImageNet weights (Apache-2.0), trained behind block "
            f"{LAST_FROZEN}",
            "heads": "linear, trained with the network",
            **about,
            "photos": {"train": len(trained), "of none of the classes": len(strangers), "val": len(rows["val"])},
            "data_sha256": digest(arguments.data, [photos.paths[i] for i in np.concatenate([*rows.values()])]),
            "licences": "mixed, partly unknown; see card.md: for research and evaluation",
            "split": "that of waste8; copies were grouped before, by perceptual hash and feature cosine; five "
            "photos of train with a copy in val were left out",
            "left_out": {"photos": 0, "first": []},
            "leakage": 0,
            "chosen_on_val": "Every setting",
            "sources": sources_of(photos, np.concatenate([*rows.values()])),
            "unfamiliarity_median": None if own is None else round(float(np.median(own)), 6),
        },
    )
    keys = {role: [photo_key(photos.paths[i].read_bytes()) for i in found] for role, found in rows.items()}
    record = CalibrationRecord.of(
        TARGETS, fitted.shown_precision, {"trained": keys["train"], "calibrated": keys["val"], "chosen": keys["val"]}
    )
    confusion = Confusion.of("test", labels, logits.argmax(axis=1), taxonomy.ids)
    card = render_card(manifest, record, confusion, about=_ABOUT.read_text(encoding="utf-8"))
    files = {
        "model.onnx": _graph(judged, *model),
        "card.md": card.encode(),
        CALIBRATION_NAME: record.to_bytes(),
        REPLAY_NAME: _replay(photos, judged, model[1], trained),
    }
    out = write_bundle(arguments.out, manifest, files, overwrite=arguments.overwrite)
    if faults := verify_bundle(out):
        raise SystemExit(f"the bundle is not sound: {faults}")
    for split, measured in metrics.items():
        for name, metric in measured.values.items():
            print(f"{split}: {name} {metric.value:.4f} ({metric.low} to {metric.high})")


def _measure(
    arguments: argparse.Namespace, photos: Photos, judged: Judge
) -> tuple[dict[str, SplitMetrics], tuple[NDArray[np.float64], NDArray[np.intp]]]:
    """The metrics of all sets of photos; and of `test` logits and labels."""
    taxonomy, calibration = judged.taxonomy, judged.calibration
    test, val = list_test(arguments.data, taxonomy), np.flatnonzero(photos.roles == "val")
    scores = judged.scores_of(see(test.paths, arguments.cache, "test"))
    copies = copies_among(test, np.arange(len(test.paths)), taxonomy)
    metrics = {
        "test": measure(scores, test.labels, taxonomy, calibration, groups=copies),
        "val": measure(
            judged.scores(val),
            photos.labels[val],
            taxonomy,
            calibration,
            groups=copies_among(photos, val, taxonomy),
            fitted_for=TARGETS,
        ),
    }
    kept_back = photos.roles == "eval"
    sets = {"not-waste": "clothes", "glass": "trashnet", "glass, known source": "gd-glass", "textiles": "gd-textiles"}
    for name, source in sets.items():
        own = np.flatnonzero(kept_back & (photos.sources == source) & (photos.labels == NONE))
        metrics[name] = measure_unknown(judged.scores(own), calibration)
    noise = see(write_noise(arguments.cache / "noise"), arguments.cache, "noise")
    metrics["noise"] = measure_unknown(judged.scores_of(noise), calibration)
    return metrics, (scores.logits, test.labels)


def _head(network: keras.Model, name: str) -> LinearModel:
    weight, bias = network.get_layer(name).get_weights()
    return LinearModel(weight.astype(np.float64), bias.astype(np.float64))


def _graph(judged: Judge, model: keras.Model, network: keras.Model) -> bytes:
    scale = judged.calibration.scale
    graph = attach_heads(
        find_backbone(BACKBONE).to_onnx(model),
        _head(network, "logits"),
        biodegradable=_head(network, "biodegradable_logit"),
        known=None if scale is None else (judged.known, scale),
    )
    return bytes(graph.SerializeToString())


def _replay(photos: Photos, judged: Judge, network: keras.Model, trained: NDArray[np.intp]) -> bytes:
    """Of all photos of `val`, and of as many that were trained on as there is room for, each class in its share."""
    val = np.flatnonzero(photos.roles == "val")
    by_class = trained[np.argsort(photos.labels[trained], kind="stable")]
    kept = by_class[np.linspace(0, len(trained) - 1, min(len(trained), _REPLAYED - len(val))).astype(np.intp)]
    rows = np.concatenate([np.sort(kept), val])
    weights = [_head(network, name).weight for name in ("logits", "biodegradable_logit")]
    replay = make_replay(
        judged.outputs["features"][rows],
        photos.labels[rows],
        photos.roles[rows] == "val",
        heads=np.concatenate(weights, axis=1),
    )
    return replay.to_bytes()


def sources_of(photos: Photos, rows: NDArray[np.intp]) -> list[dict[str, Any]]:
    """Of each source: photos, licence, attribution."""
    with (Path(__file__).parent / "sources.csv").open(newline="", encoding="utf-8") as file:
        listed = list(csv.DictReader(file))
    own = photos.sources[rows]
    return [{**row, "photos": int((own == row["source"]).sum())} for row in listed]


def digest(root: Path, photos: Sequence[Path]) -> str:
    """SHA-256 over path and content of every photo, in sorted order."""
    total = hashlib.sha256()
    for photo in sorted(photos):
        content = hashlib.sha256(photo.read_bytes()).hexdigest()
        total.update(f"{content}  {photo.relative_to(root).as_posix()}\n".encode())
    return total.hexdigest()
