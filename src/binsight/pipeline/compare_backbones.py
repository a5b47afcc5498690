"""Which backbone to start from: the same logistic head on the frozen features of each, on the same photos."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from binsight.bundle.runtime import import_onnxruntime
from binsight.errors import BinsightError, DatasetError, ImageError, InputError
from binsight.evaluation.comparison import Comparison, Contestant, compare_contestants
from binsight.evaluation.labelled import LabelledSet
from binsight.evaluation.scoring import Unreadable
from binsight.imaging import PreprocessSpec, decode_image, read_photo
from binsight.pipeline.backbone import ChosenBackbone
from binsight.predictor import available_cores, run_in_order, time_in_turn
from binsight.probability.folds import spread_folds
from binsight.progress import Progress, Stage, unheard_stage
from binsight.training.backbones import find_backbone
from binsight.training.features import FeatureExtractor
from binsight.training.heads.linear import choose_penalty, fit_categories

__all__ = ["compare_backbones"]

_PENALTIES = (0.003, 0.01, 0.03)
_FOLDS = 3


def compare_backbones(
    names: Sequence[str],
    train: LabelledSet,
    val: LabelledSet,
    *,
    weights_dir: Path | None = None,
    cache: Path | None = None,
    split: str = "val",
    seed: int = 0,
    workers: int | None = None,
    stage: Stage = unheard_stage,
) -> Comparison:
    """Fit a head on the frozen features of each backbone, and compare what they say of the same photos.

    The head is multinomial logistic regression. Its penalty is chosen by cross-validation inside `train`; `val` is
    looked at once.

    Args:
        names: from `binsight.training.backbones`, at least two.
        train: photos to fit on, each class among them.
        val: photos to judge on.
        weights_dir: a folder that may have the weights.
        cache: a folder to keep features in; None keeps nothing.
        split: what the photos of `val` are called.
        seed: of folds and bootstrap.
        workers: photos in work at a time; by default one per core.
        stage: told what begins, and how far it is.

    Raises:
        DatasetError: fewer than two names, no photo that can be read, or a class of `val` is not in `train`. A photo
            that cannot be read is left out, and named in the result.
        WeightsError: there is no such backbone, or its weights are not there.
        MissingExtraError: Keras is needed for one of them and not installed.
    """
    if len(set(names)) < 2:
        raise DatasetError(f"expected at least two backbones to compare, got {', '.join(names) or 'none'}")
    # All are looked for before the first hour is spent on one.
    found = [find_backbone(name, weights_dir=weights_dir) for name in dict.fromkeys(names)]
    tell, first, total = stage("Reading photos"), len(train), len(train) + len(val)
    train, faults = _leave_out_unreadable(train, workers, lambda done, _: tell(done, total))
    val, more = _leave_out_unreadable(val, workers, lambda done, _: tell(first + done, total))
    if missing := sorted(set(val.labels.tolist()) - set(train.labels.tolist())):
        raise DatasetError(f"expected every class among the photos to fit on; none of class {missing[0]}")
    contestants, runs = [], []
    for name, backbone in zip(dict.fromkeys(names), found, strict=True):
        graph = ChosenBackbone(backbone, backbone.spec, "imagenet").to_onnx().SerializeToString()
        extractor = FeatureExtractor(graph, backbone.spec, cache=cache, workers=workers)
        features = []
        for photos, what in ((train, "photos to fit on"), (val, split)):
            features.append(extractor.extract(photos.paths, progress=stage(f"{name}, {what}")))
        predicted, cross_validated = _fit_and_predict(features[0], train, features[1], seed=seed)
        notes = (("cross-validation", cross_validated),)
        contestants.append(Contestant(name, predicted, len(graph), math.nan, notes))
        runs.append(_one_run(graph, backbone.spec))
    stage("Timing")
    timed = [replace(c, engine_ms=ms) for c, ms in zip(contestants, time_in_turn(runs), strict=True)]
    return compare_contestants(
        timed, val.labels, split=split, copies=val.copies, unreadable=(*faults, *more), seed=seed
    )


def _fit_and_predict(
    features: NDArray[np.float32], photos: LabelledSet, unseen: NDArray[np.float32], *, seed: int
) -> tuple[NDArray[np.intp], float]:
    """The classes of `unseen` by a head on the features of photos, and that head's accuracy in cross-validation."""
    copies = np.arange(len(photos)) if photos.copies is None else photos.copies
    folds = spread_folds(photos.labels, copies, folds=_FOLDS, seed=seed)
    penalty, tried = choose_penalty([features], photos.labels, folds, penalties=_PENALTIES)
    present, dense = np.unique(photos.labels, return_inverse=True)  # the taxonomy may have more classes
    head = fit_categories(features, dense, inverse_penalty=penalty)
    predicted: NDArray[np.intp] = present[head.logits(unseen).argmax(axis=1)]
    return predicted, tried[penalty]


def _leave_out_unreadable(
    photos: LabelledSet, workers: int | None, progress: Progress
) -> tuple[LabelledSet, tuple[Unreadable, ...]]:
    """The photos that can be decoded, and what is wrong with the others."""

    def check(path: Path) -> BinsightError | None:
        try:
            decode_image(read_photo(path))
        except (ImageError, InputError) as error:
            return error
        return None

    kept, faults = [], []
    for position, error in enumerate(run_in_order(check, photos.paths, workers=workers, progress=progress)):
        if error is None:
            kept.append(position)
        else:
            faults.append(Unreadable(photos.name(position), error.code, str(error)))
    if not kept:
        raise DatasetError(f"expected photos, got {len(photos)} of which none can be read: {faults[0].message}")
    return photos.take(kept), tuple(faults)


def _one_run(graph: bytes, spec: PreprocessSpec) -> Callable[[], object]:
    """One run for one photo, all cores sharing it."""
    ort = import_onnxruntime()
    options = ort.SessionOptions()
    options.intra_op_num_threads = available_cores()
    session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    image = np.random.default_rng(0).integers(0, 256, (1, *spec.size, 3), np.uint8)
    return lambda: session.run(["features"], {"images": image})
