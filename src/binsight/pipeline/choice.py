"""Which backbone the preset `best` trains: the smallest, or a larger one where that is known to pay.

How much the frozen smallest network gets wrong decides; it held for the three data sets of 1,769 to 8,581 photos that
`docs/results.md` has under "When a larger backbone pays". For fewer photos nothing is known.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from binsight.pipeline.config import SMALLEST, TrainConfig
from binsight.pipeline.run import FeatureSource, Run

__all__ = ["choose_larger", "say_time"]

_LARGER, _LARGER_EPOCHS = "efficientnet_lite2", 20
_EASY, _FEWEST_PHOTOS = 0.95, 1500
# Training takes as long as so many passes of a training photo through the frozen smallest network: 23 and 60 minutes
# for the 8,581 photos of Garbage Dataset, of which a pass took 14 ms.
_PASSES: Final[Mapping[str, int]] = {SMALLEST: 11, _LARGER: 29}
_TIMED: Final = 32  # photos


def choose_larger(config: TrainConfig, accuracies: Mapping[str, float], photos: int) -> tuple[TrainConfig | None, str]:
    """The settings with a larger backbone, where `config` leaves it open and it pays, and why it is so.

    Args:
        config: the settings of the training.
        accuracies: of heads on the frozen smallest network's features, in cross-validation inside `train`.
        photos: of `train`.
    """
    best = max(accuracies.values())
    found = f"the frozen network is right on {best:.1%} of {photos:,} photos of train in cross-validation"
    if best >= _EASY:
        return None, f"{found}, so {SMALLEST} is large enough"
    advice = f"--backbone {_LARGER} --epochs {_LARGER_EPOCHS}"
    if photos < _FEWEST_PHOTOS:
        return None, f"{found}; whether a larger one pays is not known for so few: try {advice}"
    tuned = config.fine_tune
    epochs = _LARGER_EPOCHS if tuned.epochs == type(tuned)().epochs else tuned.epochs
    larger = replace(config, backbone=replace(config.backbone, name=_LARGER), fine_tune=replace(tuned, epochs=epochs))
    return larger, (
        f"{found}; below {_EASY:.0%} a larger one gained 1.5 to 4 points, so {_LARGER} is trained for {epochs} epochs. "
        f"A photo takes it twice as long; --backbone {SMALLEST} keeps the smaller one"
    )


def say_time(run: Run, source: FeatureSource, config: TrainConfig) -> str:
    """About how long training the backbone will take here.

    Args:
        run: the training.
        source: features of the smallest network, a few of which are computed for it.
        config: the settings that will be trained with.
    """
    paths = run.data.splits["train"].paths
    began = time.perf_counter()
    source.compute(paths[:_TIMED])
    seconds = (time.perf_counter() - began) / len(paths[:_TIMED])
    name = SMALLEST if config is run.config else config.backbone.name
    minutes = seconds * len(paths) * _PASSES[name] / 60
    return f"about {minutes:.0f} minutes here" if minutes >= 1 else "less than a minute here"
