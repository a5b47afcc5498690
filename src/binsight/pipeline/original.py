"""`--preset original`: the course project's steps, on cached features of its frozen backbone at two sizes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from binsight.pipeline.assemble import TrainedModel
from binsight.pipeline.backbone import ChosenBackbone
from binsight.pipeline.frozen import FittedHeads
from binsight.pipeline.run import FeatureSource, Run
from binsight.pipeline.work import key_of
from binsight.training.features import AugmentedView
from binsight.training.heads.linear import Heads
from binsight.training.heads.original import (
    Experiment,
    best_experiment,
    combine_augmentations,
    run_experiments,
    run_grid,
)
from binsight.training.heads.small_fit import FeatureSet
from binsight.training.heads.small_network import SmallNetworkSettings

__all__ = ["train_original"]

_NONE = "none"


def train_original(run: Run, chosen: ChosenBackbone) -> TrainedModel:
    """All steps: rates, inner sizes, dropouts and augmentations at the small size, then the network at full size.

    Every choice goes by the best accuracy on `val`, as it did in the course project.
    """
    source = run.frozen_source(chosen)
    key = key_of("original", source.key, asdict(run.config.original), asdict(run.config.heads), run.config.seed)
    kept, arrays = run.work.recall("original", key), run.work.recall_arrays("original", key)
    if kept is None or arrays is None:
        kept, heads = _run_steps(run, chosen, source)
        arrays = heads.to_arrays()
        run.work.remember_arrays("original", key, arrays)
        run.work.remember("original", key, kept)
    fitted = FittedHeads(Heads.from_arrays(arrays), source, kept["record"], kept["description"])
    return TrainedModel(fitted, chosen_on_val="Every setting, and the epoch of the final network,")


def _run_steps(run: Run, chosen: ChosenBackbone, source: FeatureSource) -> tuple[dict[str, Any], Heads]:
    config = run.config.original
    small = run.frozen_source(chosen.at_size(config.small_size))
    train, val = small.views("train"), small.views("val")
    experiments, settings = _search(run, train, val)
    tried = _try_augmentations(run, small, val, settings)
    none = next((e.accuracy for e in tried if e.value == _NONE), 0.0)
    kinds = [str(e.value) for e in tried if e.value != _NONE and e.accuracy > none]
    final = _train_final(run, source, kinds, replace(settings, epochs=config.final_epochs))
    experiments += [*tried, final]
    best = final.settings
    record = {
        "kind": "original",
        "learning_rate": best.learning_rate,
        "inner_size": best.inner_size,
        "dropout": best.dropout,
        "augmentations": kinds,
        "epoch": final.result.best.epoch,
        "experiments": [{key: e.to_dict()[key] for key in ("step", "value", "accuracy", "epoch")} for e in experiments],
    }
    also = f", augmented by {', '.join(kinds)}" if kinds else ", no augmentation"
    description = (
        f"inner layer of {best.inner_size} with ReLU, dropout {best.dropout:g}, Adam at {best.learning_rate:g}, epoch "
        f"{final.result.best.epoch} of {best.epochs}{also}; each chosen on val at {config.small_size} px"
    )
    return {"record": record, "description": description}, final.result.heads


def _search(run: Run, train: FeatureSet, val: FeatureSet) -> tuple[list[Experiment], SmallNetworkSettings]:
    config, heads = run.config.original, run.config.heads
    base = SmallNetworkSettings(
        batch_size=heads.batch_size, biodegradable_weight=heads.biodegradable_weight, seed=run.config.seed
    )
    total = len(config.learning_rates) + len(config.inner_sizes) + len(config.dropouts)
    progress, done = run.reporter.stage("Trying rates, sizes and dropouts"), 0

    def tell(experiment: Experiment) -> None:
        nonlocal done
        done += 1
        progress(done, total)
        _say(run, experiment)

    return run_grid(train, val, classes=run.classes, grid=config, base=base, workers=run.workers, on_experiment=tell)


def _try_augmentations(
    run: Run, small: FeatureSource, val: FeatureSet, settings: SmallNetworkSettings
) -> list[Experiment]:
    """None, and each kind by itself, for equally many epochs."""
    config = run.config.original
    kinds = [kind for kind in config.augmentations if kind != _NONE]
    if not kinds:
        return []
    plan = replace(settings, epochs=config.augmentation_epochs)
    found: list[Experiment] = []
    for kind in (_NONE, *kinds):
        train = small.views("train", *_views(config.views, [kind] if kind != _NONE else []))
        found += run_experiments("augmentation", [(kind, plan)], train, val, classes=run.classes, workers=1)
        _say(run, found[-1])
    return found


def _train_final(run: Run, source: FeatureSource, kinds: Sequence[str], settings: SmallNetworkSettings) -> Experiment:
    train = source.views("train", *_views(run.config.original.views, kinds))
    val = source.views("val")
    run.reporter.stage("Training the final head")
    size = source.chosen.size
    final = best_experiment(
        list(run_experiments("final", [(size, settings)], train, val, classes=run.classes, workers=1))
    )
    _say(run, final)
    return final


def _views(count: int, kinds: Sequence[str]) -> list[AugmentedView]:
    return [AugmentedView(combine_augmentations(kinds), draw) for draw in range(count)] if kinds else []


def _say(run: Run, experiment: Experiment) -> None:
    name = experiment.step.replace("_", " ")
    run.reporter.say(
        f"{name} {experiment.value}: val accuracy {experiment.accuracy:.2%} in epoch {experiment.result.best.epoch}"
    )
