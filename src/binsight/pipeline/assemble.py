"""The last stages: scores, calibration, measures, and the bundle itself."""

from __future__ import annotations

import io
import platform
from collections import Counter
from collections.abc import Mapping, Sequence
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
from binsight.dataset.licences import NOT_STATED
from binsight.errors import BundleError
from binsight.evaluation.scoring import judge
from binsight.export.onnx_graph import attach_heads
from binsight.files import write_whole
from binsight.pipeline.auxiliary import list_unknown, write_noise
from binsight.pipeline.card import Confusion, draw_pictures, render_card
from binsight.pipeline.data import HELD_OUT
from binsight.pipeline.frozen import FittedHeads
from binsight.pipeline.measure import calibrate, measure, measure_strangers
from binsight.pipeline.run import FeatureSource, Run
from binsight.pipeline.work import Work
from binsight.probability.calibration import Calibration, ReviewTargets, ScaledCalibration
from binsight.probability.scores import HeadScores
from binsight.probability.unfamiliarity import Familiarity, fit_familiarity
from binsight.text_files import read_text
from binsight.training.backbones import BACKBONE_FILE
from binsight.training.heads.linear import fit_biodegradable

__all__ = ["TrainedModel", "assemble_bundle"]

_LEFT_OUT_LISTED: Final = 20
_OUTLIER_PENALTY: Final = (
    0.03  # inverse, of the logit of an outlier; from 0.003 to 0.1 it finds as many: docs/results.md
)
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
        seeds: where several trainings were averaged, each by itself.
    """

    fitted: FittedHeads
    weights: bytes | None = None
    record: Mapping[str, Any] = field(default_factory=dict)
    chosen_on_val: str = ""
    seeds: Mapping[str, FittedHeads] = field(default_factory=dict)


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
    judged = _judge(run, model.fitted)
    run.reporter.stage("Calibrating")
    targets = run.config.review.targets()
    _say_what_is_shown(run, judged.calibration.fitted, targets)
    training = {**_training(run, model), **judged.familiar}
    if model.seeds:
        each = {seed: _flat(_judge(run, fitted, test=False).metrics) for seed, fitted in model.seeds.items()}
        training |= {"seeds": each}
    manifest = _manifest(run, model, judged, training)
    record = _record(run, model, judged.calibration.fitted, targets)
    card = render_card(manifest, record, judged.confusion, about=_about(run), licence=run.config.bundle.licence)
    files = {
        MODEL_NAME: _network(model, judged),
        CARD_NAME: card.encode(),
        CALIBRATION_NAME: record.to_bytes(),
        **judged.pictures,
    }
    if run.config.bundle.store_replay and model.fitted.heads.inner is None:  # other heads cannot be taught
        files[REPLAY_NAME] = _replay(run, model).to_bytes()
    if model.weights is not None and run.config.bundle.store_weights:
        files[BACKBONE_FILE] = model.weights
    run.reporter.stage("Writing the bundle")
    written = write_bundle(out, manifest, files, overwrite=overwrite)
    if faults := verify_bundle(written):
        raise BundleError(f"the bundle written is not sound: {faults[0].message}", file=faults[0].file)
    return written


@dataclass(frozen=True, eq=False)
class _Judged:
    """What was fitted to a network, and how good it is.

    Attributes:
        known: what tells the features of its training photos from others.
        calibration: fitted on `val`.
        metrics: of each split, and of photos of none of the classes.
        confusion: `(C, C)`, photos of class i told to be of class j, of `test`, or of `val` where there is none.
        pictures: of the same photos, for the card.
        familiar: how unfamiliar the photos of `val` are in the middle; empty where the network does not say.
    """

    known: Familiarity
    calibration: ScaledCalibration
    metrics: Mapping[str, SplitMetrics]
    confusion: Confusion
    pictures: Mapping[str, bytes]
    familiar: Mapping[str, float]


def _judge(run: Run, fitted: FittedHeads, *, test: bool = True) -> _Judged:
    """Calibrate heads on `val`, and measure them."""
    source, val = fitted.source, run.data.splits["val"]
    known = _familiarity(run, source)
    names = [name for name in run.data.splits if name != "train" and (test or name != "test")]
    seen = {name: _scores_of(run, fitted, known, source.of_split(name)) for name in names}
    targets = run.config.review.targets()
    calibration = calibrate(seen["val"], val.labels, targets, groups=val.groups)
    metrics = {name: _measure(run, scores, calibration, name, targets) for name, scores in seen.items()}
    strange = {
        name: _scores_of(run, fitted, known, source.of_photos(paths, what=name))
        for name, paths in _strangers(run).items()
    }
    metrics |= {name: measure_strangers(judge(scores, calibration)) for name, scores in strange.items()}
    _write_decisions(run.work, seen | strange, {name: run.data.splits[name].labels for name in seen}, calibration)
    strangeness = seen["val"].exported(calibration.scale).unfamiliarity
    familiar = {} if strangeness is None else {"unfamiliarity_median": float(np.median(strangeness))}
    shown = "test" if "test" in seen else "val"
    labels = run.data.splits[shown].labels
    predicted = seen[shown].logits.argmax(axis=1)
    confusion = Confusion.of(shown, labels, predicted, run.data.taxonomy.ids)
    pictures = draw_pictures(confusion, judge(seen[shown], calibration).confidence, predicted == labels)
    return _Judged(known, calibration, metrics, confusion, pictures, familiar)


def _write_decisions(
    work: Work, seen: Mapping[str, HeadScores], labels: Mapping[str, NDArray[np.intp]], calibration: ScaledCalibration
) -> None:
    """Keep what the network says of every photo that judges it in `decisions.npz`, to study what is accepted.

    Nothing is kept where the network does not say how unfamiliar a photo is.

    Args:
        work: where.
        seen: split, or set of photos of none of the classes → scores.
        labels: of a split's photos.
        calibration: of the network.

    The file's arrays are, for each of n photos, `sources` (the split, or the source that was held out), `classes` (-1
    for none), `right`, `accepted` and `unfamiliarity`, and the `median` of the latter on `val` and its `limit`.
    """
    strangeness = {name: scores.exported(calibration.scale).unfamiliarity for name, scores in seen.items()}
    if any(values is None for values in strangeness.values()):
        return
    names = list(seen)
    classes = np.concatenate([labels.get(name, np.full(len(seen[name]), -1)) for name in names])
    arrays: dict[str, NDArray[Any]] = {
        "sources": np.repeat([name.removeprefix(HELD_OUT) for name in names], [len(seen[name]) for name in names]),
        "classes": classes,
        "right": np.concatenate([scores.logits.argmax(axis=1) for scores in seen.values()]) == classes,
        "accepted": np.concatenate([judge(seen[name], calibration).accepted for name in names]),
        "unfamiliarity": np.concatenate([np.asarray(strangeness[name]) for name in names]),
        "median": np.median(np.asarray(strangeness["val"])),
        "limit": np.asarray(calibration.fitted.review.unfamiliarity),
    }
    stream = io.BytesIO()
    np.savez(stream, allow_pickle=False, **arrays)
    write_whole(work.root / "decisions.npz", stream.getvalue())


def _familiarity(run: Run, source: FeatureSource) -> Familiarity:
    """Fitted on `train`, and on photos of none of the classes where there are any."""
    known = source.of_split("train")
    found, outliers = fit_familiarity(known), run.data.strangers.learnt
    if not outliers:
        return found
    features = np.concatenate([known, source.of_photos(outliers, what="outliers")])
    is_outlier = np.arange(len(features)) >= len(known)
    head = fit_biodegradable(features, is_outlier, inverse_penalty=_OUTLIER_PENALTY)
    return replace(found, outlier=(head.weight, head.bias))


def _strangers(run: Run) -> dict[str, list[Path]]:
    """Photos of none of the classes, by what they are called among the metrics."""
    config = run.config.evaluate
    found = list_unknown(config.unknown)
    found |= {HELD_OUT + source: list(paths) for source, paths in run.data.strangers.held.items()}
    return found | ({"noise": write_noise(run.work.folder("noise"))} if config.noise else {})


def _flat(metrics: Mapping[str, SplitMetrics]) -> dict[str, float]:
    """All metrics by name; those of `val` have none of the split before them."""
    return {
        name if split == "val" else f"{split}: {name}": round(metric.value, 4)
        for split, measured in metrics.items()
        for name, metric in measured.values.items()
    }


def _about(run: Run) -> str:
    path = run.config.bundle.about
    return "" if path is None else read_text(Path(path).expanduser())


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
    run: Run, scores: HeadScores, calibration: ScaledCalibration, name: str, targets: ReviewTargets
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
    outliers = [photo_key(path.read_bytes()) for path in run.data.strangers.learnt]
    chosen = keys["val"] if _chosen_on_val(run, model) else []
    photos = {"trained": [*keys["train"], *outliers], "calibrated": keys["val"], "chosen": chosen}
    return CalibrationRecord.of(targets, found.shown_precision, photos)


def _scores_of(run: Run, fitted: FittedHeads, known: Familiarity, features: NDArray[np.float32]) -> HeadScores:
    heads = fitted.heads
    second = heads.biodegradable_logits(features)
    return HeadScores(heads.logits(features), second, run.data.mask, known.measures(features))


def _network(model: TrainedModel, judged: _Judged) -> bytes:
    heads, scale = model.fitted.heads, judged.calibration.scale
    graph = attach_heads(
        model.fitted.source.graph(),
        heads.categories,
        biodegradable=heads.biodegradable,
        inner=heads.inner,
        known=None if scale is None else (judged.known, scale),
    )
    data: bytes = graph.SerializeToString()
    return data


def _manifest(run: Run, model: TrainedModel, judged: _Judged, training: Mapping[str, Any]) -> Manifest:
    bundle, taxonomy = run.config.bundle, run.data.taxonomy
    fitted = judged.calibration.fitted
    return Manifest(
        name=bundle.name or _as_name(taxonomy.name),
        version=bundle.version,
        created=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        taxonomy=taxonomy,
        preprocess=model.fitted.source.chosen.spec,
        temperature=fitted.temperature,
        biodegradable_temperature=fitted.biodegradable_temperature,
        review=fitted.review,
        metrics=judged.metrics,
        training=training,
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
        **({"chosen_on_val": chosen} if (chosen := _chosen_on_val(run, model)) else {}),
        "photos": dict(record["photos"]),
        "split": record["split"],
        "data_sha256": run.data.sha256,
        "audit": dict(record["findings"]),
        "leakage": len(record["leakage"]),
        "allow_leakage": run.config.data.allow_leakage,
        "left_out": {"photos": len(left_out), "first": left_out[:_LEFT_OUT_LISTED]},
        "sources": list(record["sources"]),
        "licences": _licences(record["sources"]),
        "versions": _versions(),
        "config": run.config.to_dict(),
    }


def _chosen_on_val(run: Run, model: TrainedModel) -> str:
    return "Every setting" if run.config.evaluate.chosen_on_val else model.chosen_on_val


def _licences(sources: Sequence[Mapping[str, Any]]) -> dict[str, int] | str:
    """How many photos are under which licence, as the manifest says it."""
    found: Counter[str] = Counter()
    for source in sources:
        found[source["licence"]] += source["photos"]
    return "not known to binsight; see card.md" if set(found) <= {NOT_STATED} else dict(found.most_common())


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
