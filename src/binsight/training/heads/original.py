"""The experiments of the original course project, on cached features of its frozen backbone.

One choice after another, each by the best accuracy on the validation photos within the run's epochs: the learning rate
without an inner layer, the inner layer's size at that rate, the dropout behind it. Then each kind of augmentation by
itself. The backbone is frozen, so a photo's features never change, and training on them is the same as training on
photos; only augmentation differs, which draws from a few altered views of a photo instead of making a new one every
time.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from binsight.predictor import one_blas_thread, run_in_order
from binsight.settings import setting
from binsight.training.augment.settings import AugmentSettings
from binsight.training.heads.small_fit import FeatureSet, FitResult, fit_small_network
from binsight.training.heads.small_network import SmallNetworkSettings

__all__ = [
    "AUGMENTATIONS",
    "Experiment",
    "OriginalGrid",
    "best_experiment",
    "combine_augmentations",
    "run_experiments",
    "run_grid",
]

AUGMENTATIONS: Final[Mapping[str, Mapping[str, Any]]] = {
    "flip": {"flip_horizontal": 0.5},
    "rotate": {"warp": 1.0, "rotation": 30.0},
    "shift": {"warp": 1.0, "translation": 0.1},
    "shear": {"warp": 1.0, "shear": 10.0},
    "zoom": {"warp": 1.0, "zoom": (0.8, 1.25)},
    "brightness": {"colour": 1.0, "brightness": 0.2},
    "contrast": {"colour": 1.0, "contrast": 0.2},
}
"""Each kind of augmentation, and how far it goes."""


@dataclass(frozen=True, slots=True)
class OriginalGrid:
    """What is tried, and for how long."""

    learning_rates: tuple[float, ...] = setting((1e-4, 1e-3, 1e-2, 1e-1), "Rates of Adam to try.", low=1e-9)
    inner_sizes: tuple[int, ...] = setting((10, 100, 500), "Sizes of the inner layer to try.", low=1)
    dropouts: tuple[float, ...] = setting((0.0, 0.2, 0.4, 0.5, 0.8), "Dropouts to try.", low=0.0, high=0.95)
    rate_epochs: int = setting(10, "Epochs for each rate.", low=1)
    size_epochs: int = setting(10, "Epochs for each inner size.", low=1)
    dropout_epochs: int = setting(20, "Epochs for each dropout.", low=1)


@dataclass(frozen=True)
class Experiment:
    """One run of a step.

    Attributes:
        step: what was varied: `learning_rate`, `inner_size`, `dropout`, `augmentation` or `final`.
        value: what it was here.
        settings: of the whole head.
        result: its history, and the heads of its best epoch.
    """

    step: str
    value: float | int | str
    settings: SmallNetworkSettings
    result: FitResult

    @property
    def accuracy(self) -> float:
        """Of the best epoch, on the validation photos."""
        return self.result.best.val_accuracy

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form, without weights."""
        return {
            "step": self.step,
            "value": self.value,
            "accuracy": self.accuracy,
            "epoch": self.result.best.epoch,
            "history": [asdict(record) for record in self.result.history],
        }


def run_grid(
    train: FeatureSet,
    val: FeatureSet,
    *,
    classes: int,
    grid: OriginalGrid,
    base: SmallNetworkSettings,
    workers: int = 1,
    on_experiment: Callable[[Experiment], None] = lambda _done: None,
) -> tuple[list[Experiment], SmallNetworkSettings]:
    """The three steps, one after another.

    Args:
        train: photos to learn from.
        val: photos that choose.
        classes: C.
        grid: what is tried.
        base: everything else.
        workers: experiments of a step at a time.
        on_experiment: called as each is done.

    Returns:
        All experiments in order, and the settings of the best of the last step.
    """
    steps: tuple[tuple[str, Sequence[float], int], ...] = (
        ("learning_rate", grid.learning_rates, grid.rate_epochs),
        ("inner_size", grid.inner_sizes, grid.size_epochs),
        ("dropout", grid.dropouts, grid.dropout_epochs),
    )
    chosen, done = replace(base, inner_size=0, dropout=0.0), list[Experiment]()
    for step, values, epochs in steps:
        changes: list[dict[str, Any]] = [{step: value, "epochs": epochs} for value in values]
        planned = [(value, replace(chosen, **change)) for value, change in zip(values, changes, strict=True)]
        found = []
        for experiment in run_experiments(step, planned, train, val, classes=classes, workers=workers):
            on_experiment(experiment)
            found.append(experiment)
        chosen = best_experiment(found).settings
        done += found
    return done, chosen


def run_experiments(
    step: str,
    planned: Sequence[tuple[float | int | str, SmallNetworkSettings]],
    train: FeatureSet,
    val: FeatureSet,
    *,
    classes: int,
    workers: int,
) -> Iterator[Experiment]:
    """Train one head for each of the planned values; results come in their order."""

    def one(plan: tuple[float | int | str, SmallNetworkSettings]) -> Experiment:
        value, settings = plan
        return Experiment(step, value, settings, fit_small_network(train, val, classes=classes, settings=settings))

    with one_blas_thread():
        yield from run_in_order(one, planned, workers=workers)


def best_experiment(experiments: Sequence[Experiment]) -> Experiment:
    """The most accurate one; of equal ones the first."""
    return max(experiments, key=lambda experiment: experiment.accuracy)


def combine_augmentations(kinds: Collection[str]) -> AugmentSettings:
    """The settings that do all of `kinds`."""
    values: dict[str, Any] = {}
    for kind in kinds:
        values |= AUGMENTATIONS[kind]
    return AugmentSettings(**values)
