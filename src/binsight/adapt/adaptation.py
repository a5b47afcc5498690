"""Teach a bundle a camera: from a folder of its photos to a bundle that is right on it."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from binsight.adapt.camera import FEWEST, NOT_WASTE, SeenPhotos, look_at_camera
from binsight.adapt.card import adapted_card
from binsight.adapt.heads import Heads, read_heads, write_heads
from binsight.adapt.judging import Judged, decide_cross_fitted, fit_decisions
from binsight.adapt.result import Adaptation, ClassResult, Lesson, Suspect
from binsight.adapt.teaching import Taught, scores_of, teach
from binsight.bundle import (
    Bundle,
    CalibrationRecord,
    CameraPhotos,
    Manifest,
    Metric,
    Replay,
    SplitMetrics,
    check_target,
    load_bundle,
    photo_key,
    read_calibration,
    read_replay,
    resolve_bundle,
    write_bundle,
)
from binsight.bundle.calibration_record import ROLES
from binsight.bundle.container import CALIBRATION_NAME, CARD_NAME, MODEL_NAME, REPLAY_NAME
from binsight.dataset.audit.labels import suggest_labels
from binsight.errors import BundleError, DatasetError
from binsight.imaging import ImageLimits
from binsight.predictor import Predictor, available_cores
from binsight.probability.calibration import ReviewTargets, ScaledCalibration
from binsight.probability.intervals import Interval, share_interval
from binsight.progress import Stage, unheard_stage
from binsight.taxonomy import WasteClass

__all__ = ["adapt", "next_version"]

_SUSPECT_BELOW: Final = 0.05  # the probability of the label, by heads that were taught on other photos
_MARK: Final = "-adapted"
_CAMERA: Final = Lesson()


def adapt(
    bundle: str | Path,
    photos: str | Path,
    out: str | Path,
    *,
    new_classes: Sequence[WasteClass] = (),
    version: str | None = None,
    overwrite: bool = False,
    lesson: Lesson = _CAMERA,
    workers: int | None = None,
    limits: ImageLimits | None = None,
    stage: Stage = unheard_stage,
) -> Adaptation:
    """Teach a bundle a camera, and write the bundle that comes of it.

    Args:
        bundle: a path, or a name in the package; it may have been taught before.
        photos: a folder per class, 3 to 500 photos each; `not-waste/` for empty places.
        out: a folder, or a path that ends in `.zip`.
        new_classes: what folders may be called beside the model's classes.
        version: of the new bundle; by default `next_version` of the old one's.
        overwrite: replace a bundle that is there.
        lesson: which of the photos teach, and what the new bundle calls it.
        workers: cores.
        limits: larger photos are left out.
        stage: called with what is being done; the result is called with how much of it is.

    Raises:
        InputError: no bundle, or no folder.
        BundleError: the bundle cannot be taught: it has no replay, or heads of another kind.
        DatasetError: too few classes or different photos, or too few that it was not taught before.
        TaxonomyError: a folder is called like none of the classes.
        OutputError: `out` exists, or cannot be written.
    """
    check_target(Path(out), overwrite=overwrite)
    old = load_bundle(resolve_bundle(bundle))
    teachable = _Teachable.of(old)
    cores = workers or available_cores()
    seen = look_at_camera(
        Path(photos),
        Predictor(old, threads=1),
        new_classes,
        workers=cores,
        limits=limits,
        split=lesson.split,
        fewest=lesson.fewest,
        most=lesson.most,
        stage=stage,
    )
    stage("Teaching")
    teachable, fresh, again = _without_repeats(teachable, seen)
    if len(np.unique(fresh.groups)) < FEWEST:
        raise DatasetError(
            f"{photos}: expected at least {FEWEST} photos that {old.label} was not taught before, got "
            f"{len(fresh.photos)} beside {len(again.photos)} that it was: what it knows by heart cannot show what it "
            "has learned; add new ones"
        )
    taught = teach(teachable.heads, teachable.replay, fresh.taxonomy, fresh.photos, fresh.groups, fresh.views)
    suspects: tuple[Suspect, ...] = ()
    if lesson.drops_suspects:
        suspects = _suspects(fresh, decide_cross_fitted(taught.left_out, taught.known, teachable.record.targets))
        fresh = fresh.take(~np.isin(fresh.paths, [s.path for s in suspects]))
        taught = teach(teachable.heads, teachable.replay, fresh.taxonomy, fresh.photos, fresh.groups, fresh.views)
    result = _result(Path(out), version or next_version(old.manifest.version), teachable, fresh, again, taught, lesson)
    result = replace(result, suspects=suspects or result.suspects)
    stage("Writing the bundle")
    write_bundle(out, result.manifest, _files(teachable, result, fresh, taught, lesson), overwrite=overwrite)
    return result


def _without_repeats(source: _Teachable, seen: SeenPhotos) -> tuple[_Teachable, SeenPhotos, SeenPhotos]:
    """New photos, and those of an earlier lesson: these are remembered as they are labelled now, and judge nothing."""
    before = source.replay.camera
    if not len(before):
        return source, seen, seen.take(np.zeros(len(seen.photos), bool))
    same = seen.shots_among(before.features)
    repeated = np.isin(seen.groups, seen.groups[np.any(same, axis=0)])
    again = seen.take(repeated)
    memory = _followed_by(before.take(np.logical_not(np.any(same, axis=1))), again)
    return replace(source, replay=replace(source.replay, camera=memory)), seen.take(~repeated), again


@dataclass(frozen=True, eq=False)
class _Teachable:
    """A bundle, and what of it teaching needs."""

    bundle: Bundle
    model: bytes
    heads: Heads
    replay: Replay
    record: CalibrationRecord

    @classmethod
    def of(cls, bundle: Bundle) -> _Teachable:
        replay = read_replay(bundle)
        if replay is None:
            raise BundleError(
                f"{bundle.path}: {bundle.label} carries no {REPLAY_NAME}, without which it would forget what it knows; "
                "train it again with bundle.store_replay"
            )
        model = bundle.read_model()
        record = read_calibration(bundle) or CalibrationRecord.of(ReviewTargets(), 0.0, {})
        return cls(bundle, model, read_heads(model), replay, record)


def _result(
    out: Path, version: str, source: _Teachable, seen: SeenPhotos, again: SeenPhotos, taught: Taught, lesson: Lesson
) -> Adaptation:
    targets, old = source.record.targets, source.bundle.manifest
    fitted = fit_decisions(taught.left_out, taught.known, targets)
    judged = decide_cross_fitted(taught.left_out, taught.known, targets)
    held = scores_of(source.heads, old.taxonomy, source.replay.calibration_photos())
    accuracy, accepted, right = _shares(seen, taught.left_out.correct(), judged.accepted)
    accuracy_before, accepted_before, right_before = _shares(seen, seen.right_before, seen.accepted_before)
    known = share_interval(taught.known.correct())
    camera = {"accuracy": accuracy, "accepted_share": accepted, "accepted_accuracy": right}
    classes = _class_results(seen, again, taught, judged, len(old.taxonomy))
    measured = {lesson.metrics: _metrics(len(seen.photos), camera)}
    measured["known"] = _metrics(len(taught.known.labels), {"accuracy": known})
    return Adaptation(
        bundle=out,
        manifest=_manifest(source, version, fitted, seen, taught, measured, lesson),
        calibration=fitted,
        classes=classes,
        accuracy=accuracy,
        accuracy_before=accuracy_before,
        accepted=accepted,
        accepted_before=accepted_before,
        accepted_right=right,
        accepted_right_before=right_before,
        known=known,
        known_before=share_interval(held.correct()),
        suspects=_suspects(seen, judged),
        left_out=seen.left_out,
        dropped=tuple(name for name in old.files if _is_other_network(name)),
    )


def _shares(
    seen: SeenPhotos, right: NDArray[np.bool_], accepted: NDArray[np.bool_]
) -> tuple[Interval, Interval, Interval]:
    """What is right and what is accepted of the photos of a class, and what is right of all that is accepted."""
    items = seen.photos.labels >= 0
    return (
        share_interval(right[items], seen.groups[items]),
        share_interval(accepted[items], seen.groups[items]),
        share_interval(right[accepted], seen.groups[accepted]),
    )


def _manifest(
    source: _Teachable,
    version: str,
    fitted: ScaledCalibration,
    seen: SeenPhotos,
    taught: Taught,
    measured: Mapping[str, SplitMetrics],
    lesson: Lesson,
) -> Manifest:
    old, found = source.bundle.manifest, fitted.fitted
    told = {
        "from": {"name": old.name, "version": old.version, "created": old.created},
        "photos": dict(sorted(_counts(seen).items())),
        "camera_weight": taught.camera_weight,
        "data_sha256": hashlib.sha256("".join(sorted(seen.digests)).encode()).hexdigest(),
        "metrics_before": old.to_dict()["metrics"],
        **lesson.record,
    }
    return replace(
        old,
        version=version,
        created=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        taxonomy=seen.taxonomy,
        temperature=found.temperature,
        biodegradable_temperature=found.biodegradable_temperature,
        review=found.review,
        metrics=measured,
        training={**old.training, **_familiar(taught, fitted), "adapted": [*old.training.get("adapted", []), told]},
        files={},
    )


def _metrics(photos: int, measured: Mapping[str, Interval]) -> SplitMetrics:
    """Without shares of nothing."""
    found = {name: Metric(i.value, i.low, i.high) for name, i in measured.items() if math.isfinite(i.value)}
    return SplitMetrics(photos, found)


def _familiar(taught: Taught, fitted: ScaledCalibration) -> dict[str, float]:
    """The median unfamiliarity of the camera's photos or the old ones, whichever is larger, for the stream check."""
    parts = (taught.known, taught.left_out.take(taught.left_out.labels >= 0))
    medians = [np.median(part.exported(fitted.scale).unfamiliarity) for part in parts]  # type: ignore[arg-type]  # given
    return {"unfamiliarity_median": float(max(medians))}


def _files(
    source: _Teachable, result: Adaptation, seen: SeenPhotos, taught: Taught, lesson: Lesson
) -> dict[str, bytes]:
    bundle, record = source.bundle, source.record
    files = {name: bundle.read(name) for name in bundle.manifest.files if name not in result.dropped}
    keys = {role: set(record.photos[role].tolist()) for role in ROLES}
    shown = {photo_key(digest) for digest in seen.digests if digest}
    keys |= {role: keys[role] | shown for role in ("trained", "calibrated")}
    found = result.calibration.fitted
    replay = replace(source.replay, camera=_followed_by(source.replay.camera, seen))
    card = files[CARD_NAME].decode("utf-8", "replace")
    return files | {
        MODEL_NAME: write_heads(source.model, taught.heads, result.calibration.scale),
        CARD_NAME: adapted_card(card, result, lesson).encode(),
        CALIBRATION_NAME: CalibrationRecord.of(record.targets, found.shown_precision, keys).to_bytes(),
        REPLAY_NAME: replay.to_bytes(),
    }


def _followed_by(before: CameraPhotos, seen: SeenPhotos) -> CameraPhotos:
    """Photos of cameras to remember: of copies the first."""
    first = np.unique(seen.groups, return_index=True)[1]
    new = CameraPhotos(seen.photos.features[first], seen.photos.labels[first])
    return before.followed_by(new) if len(before) else new


def _class_results(
    seen: SeenPhotos, again: SeenPhotos, taught: Taught, judged: Judged, known: int
) -> tuple[ClassResult, ...]:
    labels = seen.photos.labels
    shown = np.unique(np.concatenate([labels, again.photos.labels])).tolist()
    right = np.where(labels < 0, ~judged.accepted, taught.left_out.correct())
    before = np.where(labels < 0, ~seen.accepted_before, seen.right_before)
    return tuple(
        ClassResult(
            name=_name(label, seen.taxonomy.ids),
            photos=int((labels == label).sum()),
            distinct=len(np.unique(seen.groups[labels == label])),
            right=int(right[labels == label].sum()),
            right_before=int(before[labels == label].sum()),
            again=int((again.photos.labels == label).sum()),
            is_new=label >= known,
        )
        for label in sorted(shown, key=lambda label: (label < 0, label))
    )


def _suspects(seen: SeenPhotos, judged: Judged) -> tuple[Suspect, ...]:
    ids = seen.taxonomy.ids
    items = np.flatnonzero(seen.photos.labels >= 0)
    found = suggest_labels(judged.probabilities[items], seen.photos.labels[items])
    return tuple(
        Suspect(seen.paths[items[s.position]], ids[s.label], ids[s.suggested], s.suggested_probability)
        for s in found
        if s.label_probability < _SUSPECT_BELOW
    )


def _counts(seen: SeenPhotos) -> dict[str, int]:
    return dict(Counter(_name(int(label), seen.taxonomy.ids) for label in seen.photos.labels))


def _name(label: int, ids: tuple[str, ...]) -> str:
    return ids[label] if label >= 0 else NOT_WASTE


def next_version(version: str) -> str:
    """The version of a bundle that was taught: `1.2.0` gives `1.2.0-adapted1`, that gives `1.2.0-adapted2`."""
    base, mark, number = version.rpartition(_MARK)
    if mark and number.isdecimal():
        return f"{base}{_MARK}{int(number) + 1}"
    return f"{version[: 64 - len(_MARK) - 4]}{_MARK}1"


def _is_other_network(name: str) -> bool:
    return name.endswith(".tflite") or (name.endswith(".onnx") and name != MODEL_NAME)
