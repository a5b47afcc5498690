"""The last stages: scores, calibration, measures, and the bundle itself."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from binsight import __version__
from binsight.bundle import (
    CalibrationRecord,
    Manifest,
    Replay,
    SplitMetrics,
    make_replay,
    photo_key,
    verify_bundle,
    write_bundle,
)
from binsight.bundle.container import CALIBRATION_NAME, CARD_NAME, MODEL_NAME, REPLAY_NAME
from binsight.dataset.folder import find_photos
from binsight.errors import BundleError, InputError
from binsight.export.onnx_graph import attach_heads
from binsight.pipeline.calibrate import ReviewTargets, ScaledCalibration, Scores, calibrate
from binsight.pipeline.card import render_card
from binsight.pipeline.frozen import FittedHeads
from binsight.pipeline.measure import measure, measure_unknown
from binsight.pipeline.run import Run
from binsight.probability.calibration import Calibration
from binsight.probability.unfamiliarity import UnfamiliarityScale
from binsight.training.backbones import BACKBONE_FILE
from binsight.training.familiarity import FeatureSubspace, fit_subspace

__all__ = ["TrainedModel", "assemble_bundle", "unknown_photos"]

_LEFT_OUT_LISTED: Final = 20
_NAME_LENGTH: Final = 64
_VERSIONS: Final = ("numpy", "onnx", "onnxruntime", "scikit-learn", "keras", "tensorflow")


@dataclass(frozen=True)
class TrainedModel:
    """A network before it is calibrated.

    Attributes:
        fitted: heads, and the backbone they are for.
        weights: the backbone's weights as a safetensors file, where they were trained.
        record: what else is to be said about the training, JSON-ready.
        chosen_on_val: what was chosen by the accuracy on `val`, to begin a sentence with; empty where nothing was.
    """

    fitted: FittedHeads
    weights: bytes | None = None
    record: Mapping[str, Any] = field(default_factory=dict)
    chosen_on_val: str = ""


def assemble_bundle(run: Run, model: TrainedModel, out: Path, *, overwrite: bool) -> Path:
    """Calibrate and measure a model, and write its bundle.

    Args:
        run: the training.
        model: what it gave.
        out: a folder, or a path that ends in `.zip`.
        overwrite: replace a bundle that is there.

    Raises:
        OutputError: `out` exists, or cannot be written.
        BundleError: the bundle is not sound: a bug.
    """
    known = fit_subspace(model.fitted.source.of_split("train"))
    seen = {name: _scores(run, model, known, name) for name in ("val", "test") if name in run.data.splits}
    targets = run.config.review.targets()
    val = run.data.splits["val"]
    run.reporter.stage("Calibrating")
    calibration = calibrate(seen["val"], val.labels, targets, groups=val.groups)
    _say_what_is_shown(run, calibration.fitted, targets)
    metrics = {name: _measure(run, scores, calibration, name, targets) for name, scores in seen.items()}
    if unknown := unknown_photos(run.config.evaluate.unknown):
        strange = _scores_of(run, model, known, model.fitted.source.of_photos(unknown, what="unknown"))
        metrics["unknown"] = measure_unknown(strange, calibration)
    manifest = _manifest(run, model, calibration.fitted, metrics)
    strangeness = seen["val"].exported(calibration.scale).unfamiliarity
    if strangeness is not None:
        familiar = {"unfamiliarity_median": float(np.median(strangeness))}
        manifest = replace(manifest, training={**manifest.training, **familiar})
    network = _network(model, known, calibration.scale)
    record = _record(run, model, calibration.fitted, targets)
    files = {
        MODEL_NAME: network,
        CARD_NAME: render_card(manifest, record, seen["val"].logits, val.labels).encode(),
        CALIBRATION_NAME: record.to_bytes(),
    }
    if model.fitted.heads.inner is None:  # other heads cannot be taught
        files[REPLAY_NAME] = _replay(run, model).to_bytes()
    if model.weights is not None and run.config.bundle.store_weights:
        files[BACKBONE_FILE] = model.weights
    run.reporter.stage("Writing the bundle")
    written = write_bundle(out, manifest, files, overwrite=overwrite)
    if faults := verify_bundle(written):
        raise BundleError(f"the bundle written is not sound: {faults[0].message}", file=faults[0].file)
    return written


def _replay(run: Run, model: TrainedModel) -> Replay:
    """What `binsight adapt` needs of the photos that were trained and calibrated on."""
    parts = [(run.data.splits[name].labels, model.fitted.source.of_split(name)) for name in ("train", "val")]
    heads = [head.weight for head in (model.fitted.heads.categories, model.fitted.heads.biodegradable) if head]
    return make_replay(
        np.concatenate([features for _, features in parts]),
        np.concatenate([labels for labels, _ in parts]),
        np.repeat([False, True], [len(labels) for labels, _ in parts]),
        heads=np.concatenate(heads, axis=1),
    )


def _measure(
    run: Run, scores: Scores, calibration: ScaledCalibration, name: str, targets: ReviewTargets
) -> SplitMetrics:
    split = run.data.splits[name]
    fitted_for = targets if name == "val" else None
    return measure(scores, split.labels, run.data.taxonomy, calibration, groups=split.groups, fitted_for=fitted_for)


def _say_what_is_shown(run: Run, found: Calibration, targets: ReviewTargets) -> None:
    if found.shown_precision >= targets.precision:
        return
    wanted = f"that {targets.precision:.1%} of what is accepted is right, with {targets.certainty:.0%} confidence"
    if not found.shown_precision:
        run.reporter.say(f"no threshold on val reaches the precision wanted ({targets.precision:.1%}): all is reviewed")
        return
    run.reporter.say(
        f"val has too few photos, or mistakes too sure of themselves, to show {wanted}; what is shown is "
        f"{found.shown_precision:.1%}. More photos in val help, or a lower --review-precision"
    )


def _record(run: Run, model: TrainedModel, found: Calibration, targets: ReviewTargets) -> CalibrationRecord:
    keys = {name: [photo_key(digest) for digest in split.digests if digest] for name, split in run.data.splits.items()}
    chosen = keys["val"] if model.chosen_on_val else []
    return CalibrationRecord.of(
        targets, found.shown_precision, {"trained": keys["train"], "calibrated": keys["val"], "chosen": chosen}
    )


def unknown_photos(folder: str | None) -> list[Path]:
    """The photos below the folder of things that are none of the classes, sorted; none without a folder.

    Raises:
        InputError: there is no such folder, or no photo in it.
    """
    if folder is None:
        return []
    root = Path(folder).expanduser()
    if not root.is_dir():
        raise InputError(f"{root}: no such folder of unknown photos")
    found = sorted(root.joinpath(*parts) for parts in find_photos(root)[0])
    if not found:
        raise InputError(f"{root}: expected photos, found none")
    return found


def _scores(run: Run, model: TrainedModel, known: FeatureSubspace, split: str) -> Scores:
    return _scores_of(run, model, known, model.fitted.source.of_split(split))


def _scores_of(run: Run, model: TrainedModel, known: FeatureSubspace, features: NDArray[np.float32]) -> Scores:
    heads = model.fitted.heads
    second = heads.biodegradable_logits(features)
    return Scores(heads.logits(features), second, run.data.mask, known.residual(features))


def _network(model: TrainedModel, known: FeatureSubspace, scale: UnfamiliarityScale | None) -> bytes:
    heads = model.fitted.heads
    graph = attach_heads(
        model.fitted.source.graph(),
        heads.categories,
        biodegradable=heads.biodegradable,
        inner=heads.inner,
        known=None if scale is None else (known, scale),
    )
    data: bytes = graph.SerializeToString()
    return data


def _manifest(run: Run, model: TrainedModel, calibration: Calibration, metrics: Mapping[str, SplitMetrics]) -> Manifest:
    bundle, taxonomy = run.config.bundle, run.data.taxonomy
    return Manifest(
        name=bundle.name or _as_name(taxonomy.name),
        version=bundle.version,
        created=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        taxonomy=taxonomy,
        preprocess=model.fitted.source.chosen.spec,
        temperature=calibration.temperature,
        biodegradable_temperature=calibration.biodegradable_temperature,
        review=calibration.review,
        metrics=metrics,
        training=_training(run, model),
    )


def _training(run: Run, model: TrainedModel) -> dict[str, Any]:
    record = run.data.record
    left_out = record["left_out"]
    return {
        "recipe": f"binsight train --preset {run.config.preset}",
        "backbone": model.fitted.source.chosen.description,
        "heads": model.fitted.description,
        "selection": dict(model.fitted.record),
        **model.record,
        **({"chosen_on_val": model.chosen_on_val} if model.chosen_on_val else {}),
        "photos": dict(record["photos"]),
        "split": record["split"],
        "data_sha256": run.data.sha256,
        "audit": dict(record["findings"]),
        "leakage": len(record["leakage"]),
        "allow_leakage": run.config.data.allow_leakage,
        "left_out": {"photos": len(left_out), "first": left_out[:_LEFT_OUT_LISTED]},
        "licences": "not known to binsight; see card.md",
        "versions": _versions(),
        "config": run.config.to_dict(),
    }


def _versions() -> dict[str, str]:
    found = {"binsight": __version__, "python": platform.python_version()}
    for name in _VERSIONS:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _as_name(text: str) -> str:
    """What is left of a taxonomy's name when it has to be a bundle's: ASCII letters, digits, `.`, `_`, `-`."""
    kept = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "-" for c in text).strip("._-")
    return kept[:_NAME_LENGTH] or "model"
