"""The frozen stage: heads on cached features, their settings chosen inside `train`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from binsight.bundle import load_bundle
from binsight.errors import BundleError
from binsight.pipeline.run import FeatureSource, Run
from binsight.pipeline.work import key_of
from binsight.predictor import one_blas_thread
from binsight.probability.folds import spread_folds
from binsight.probability.scores import LinearHead
from binsight.training.features import View
from binsight.training.heads.linear import LAYERS, Heads, choose_penalty, fit_heads
from binsight.training.heads.search import open_study, search_small_network, trial_records
from binsight.training.heads.small_fit import FeatureSet, fit_small_network
from binsight.training.heads.small_network import SmallNetworkSettings

__all__ = ["FittedHeads", "fit_inner", "fit_logistic", "search_inner", "take_from_bundle"]

_JUDGED = 5  # one part in so many of train judges the trials of a search


@dataclass(frozen=True)
class FittedHeads:
    """Heads, and how they came about.

    Attributes:
        heads: their weights.
        source: the features they are for.
        record: how they were chosen, JSON-ready, for the bundle.
        description: the same in a line, for people.
    """

    heads: Heads
    source: FeatureSource
    record: Mapping[str, Any]
    description: str


def fit_logistic(run: Run, source: FeatureSource) -> FittedHeads:
    """Logistic regression, its penalty chosen by cross-validation inside `train`, copies kept in one part."""
    config = run.config.heads
    key = key_of("logistic", source.key, asdict(config), run.config.seed)
    views = [source.of_split("train"), *([source.of_split("train", "mirrored")] if config.mirrored else [])]
    labels = run.data.splits["train"].labels
    tried = run.work.recall("penalty", key)
    if tried is None:
        progress = run.reporter.stage("Choosing the penalty")
        folds = _folds(run, config.folds)
        with one_blas_thread():
            _, found = choose_penalty(
                views, labels, folds, penalties=config.inverse_penalties, workers=run.workers, progress=progress
            )
        tried = {f"{penalty:g}": accuracy for penalty, accuracy in found.items()}
        run.work.remember("penalty", key, tried)
    penalty = max(config.inverse_penalties, key=lambda penalty: tried[f"{penalty:g}"])
    arrays = run.work.recall_arrays(f"heads-{key}", key)
    if arrays is None:
        run.reporter.stage("Fitting the heads")
        heads = fit_heads(
            np.concatenate(views),
            np.tile(labels, len(views)),
            inverse_penalty=penalty,
            biodegradable_mask=run.data.mask,
        )
        run.work.remember_arrays(f"heads-{key}", key, heads.to_arrays())
    else:
        heads = Heads.from_arrays(arrays)
    record = {"kind": "logistic", "inverse_penalty": penalty, "cross_validation": tried, "mirrored": config.mirrored}
    also = ", photos and their mirror images" if config.mirrored else ""
    return FittedHeads(heads, source, record, f"logistic regression, C = {penalty:g}, classes weighted equally{also}")


def take_from_bundle(run: Run, source: FeatureSource) -> FittedHeads:
    """The heads of the bundle that the backbone is of, for the classes of the photos.

    Raises:
        BundleError: it has none, or none for one of the classes.
    """
    from onnx import load_from_string  # noqa: PLC0415 - takes a while

    bundle = load_bundle(source.chosen.backbone.bundle or "")
    there, wanted = bundle.manifest.taxonomy.ids, run.data.taxonomy.ids
    if missing := [name for name in wanted if name not in there]:
        raise BundleError(f"{bundle.label} has no heads for {', '.join(missing)}; it knows {', '.join(there)}")
    constants = {c.name: c for c in load_from_string(bundle.read_model()).graph.initializer}
    parts = {
        name: LinearHead(*(_constant(constants[f"{layer}.{part}"]) for part in ("weight", "bias")))
        for name, layer in LAYERS.items()
        if f"{layer}.weight" in constants and (name != "biodegradable" or run.data.mask is not None)
    }
    if "categories" not in parts or ("biodegradable" in parts) != (run.data.mask is not None):
        raise BundleError(f"{bundle.label} has not the heads that these photos need; fit some with --head logistic")
    chosen, own = [there.index(name) for name in wanted], parts["categories"]
    parts["categories"] = LinearHead(own.weight[:, chosen], own.bias[chosen])
    return FittedHeads(Heads(**parts), source, {"kind": "bundle", "bundle": bundle.label}, f"those of {bundle.label}")


def fit_inner(run: Run, source: FeatureSource) -> FittedHeads:
    """A small network with the best settings of a search, fitted on all of `train`."""
    found, photos, settings = search_inner(run, source)
    key = key_of("inner", source.key, found, asdict(settings))
    arrays = run.work.recall_arrays(f"heads-{key}", key)
    if arrays is None:
        run.reporter.stage("Fitting the heads")
        with one_blas_thread():
            fitted = fit_small_network(photos, photos, classes=run.classes, settings=settings, keep="last")
        arrays = fitted.heads.to_arrays()
        run.work.remember_arrays(f"heads-{key}", key, arrays)
    record = {"kind": "inner", **found}
    layer = f"inner layer of {settings.inner_size} with ReLU, " if settings.inner_size else ""
    text = (
        f"{layer}dropout {settings.dropout:.2g}, Adam at {settings.learning_rate:.2g}, {settings.epochs} epochs, the "
        f"best of {found['trials']} trials"
    )
    return FittedHeads(Heads.from_arrays(arrays), source, record, text)


def search_inner(run: Run, source: FeatureSource) -> tuple[dict[str, Any], FeatureSet, SmallNetworkSettings]:
    """Search the settings of a small network; a fifth of `train` judges, copies on one side.

    Returns:
        What was found, the photos of `train`, and the settings to fit on all of them.
    """
    tuning, config = run.config.tuning, run.config.heads
    views: list[View] = ["mirrored"] if config.mirrored else []
    photos = source.views("train", *views)
    judging = _folds(run, _JUDGED) == 0
    base = SmallNetworkSettings(
        epochs=tuning.epochs,
        batch_size=config.batch_size,
        biodegradable_weight=config.biodegradable_weight,
        balanced=config.balanced,
        seed=run.config.seed,
    )
    study = open_study(study_name(run, source), run.study_url, prune=tuning.prune, alone=tuning.storage is None)
    with one_blas_thread():
        best = search_small_network(
            study,
            _take(photos, ~judging),
            _take(photos, judging),
            classes=run.classes,
            space=tuning,
            base=base,
            trials=tuning.trials,
            timeout_s=tuning.timeout_s,
            progress=run.reporter.stage("Tuning"),
        )
    found = {"trials": len(trial_records(study)), "accuracy": best.value, **best.params, "epochs": best.epoch}
    settings = replace(base, **best.params, epochs=best.epoch or base.epochs)
    return found, photos, settings


def study_name(run: Run, source: FeatureSource) -> str:
    """The name of the search in its database; another for other photos, another backbone or another space."""
    tuning = asdict(run.config.tuning)
    for name in ("trials", "timeout_s", "storage"):  # more of the same study
        tuning.pop(name)
    return f"head-{key_of(source.key, tuning, asdict(run.config.heads), run.config.seed)}"


def _folds(run: Run, number: int) -> NDArray[np.int64]:
    train = run.data.splits["train"]
    return spread_folds(train.labels, train.groups, folds=number, seed=run.config.seed)


def _take(photos: FeatureSet, chosen: NDArray[np.bool_]) -> FeatureSet:
    truth = None if photos.biodegradable is None else photos.biodegradable[chosen]
    return FeatureSet([view[chosen] for view in photos.views], photos.labels[chosen], truth)


def _constant(tensor: Any) -> NDArray[np.float64]:
    from onnx import numpy_helper  # noqa: PLC0415 - as above

    return numpy_helper.to_array(tensor).astype(np.float64)
