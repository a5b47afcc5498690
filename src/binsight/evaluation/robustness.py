"""How much of the accuracy is left when photos are worse than those it was measured on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from binsight.evaluation.corruption import CORRUPTIONS, corrupt, working_copy
from binsight.evaluation.scoring import interpret_scores
from binsight.imaging import read_photo, resize_image
from binsight.predictor import Outputs, Predictor, run_in_order
from binsight.probability.intervals import Interval, wilson_interval
from binsight.progress import Progress, unheard

__all__ = ["Robustness", "RobustnessCell", "RobustnessRow", "measure_robustness"]

_SEVERITIES = (1, 2, 3)
_BATCH = 5  # pictures per run of the network; 25 at once would hold 25 times the activations


@dataclass(frozen=True, slots=True)
class RobustnessCell:
    """What became of the photos under one corruption of one strength.

    Attributes:
        strength: as a text.
        accuracy: with its 95 % score interval.
        accepted_share: the share not sent to review.
        accepted_accuracy: the share of right ones among those; not-a-number when there are none.
    """

    strength: str
    accuracy: Interval
    accepted_share: float
    accepted_accuracy: float


@dataclass(frozen=True, slots=True)
class RobustnessRow:
    """One corruption at its three severities."""

    name: str
    title: str
    cells: tuple[RobustnessCell, ...]


@dataclass(frozen=True, slots=True)
class Robustness:
    """The table of all corruptions.

    Attributes:
        photos: how many photos were made worse.
        of: of how many there are.
        clean: the same photos as they are.
        rows: one for each corruption.
        mean_accuracy: over all corruptions and severities.
    """

    photos: int
    of: int
    clean: RobustnessCell
    rows: tuple[RobustnessRow, ...]
    mean_accuracy: float


def measure_robustness(
    predictor: Predictor,
    paths: Sequence[Path],
    labels: NDArray[np.intp],
    *,
    of: int,
    seed: int = 0,
    workers: int | None = None,
    progress: Progress = unheard,
) -> Robustness:
    """Classify photos made worse in every way of `binsight.evaluation.corruption`.

    Args:
        predictor: loaded with `threads=1`.
        paths: photos that can be read.
        labels: `(n,)`, their classes.
        of: how many photos these were chosen from, for the report.
        seed: of what is random in the corruptions; the same seed gives the same pictures.
        workers: photos in work at a time; by default one per core.
        progress: called as photos are done.
    """
    outputs: list[Outputs] = []

    def run(position: int) -> list[Outputs]:
        return _run_variants(predictor, paths[position], seed=seed + 1000 * position)

    for found in run_in_order(run, range(len(paths)), workers=workers, progress=progress):
        outputs += found
    scores = interpret_scores(predictor, Outputs.join(outputs))
    right = scores.predicted.reshape(len(paths), _VARIANTS) == labels[:, None]
    accepted = scores.accepted.reshape(len(paths), _VARIANTS)
    clean = _cell("as they are", right[:, 0], accepted[:, 0])
    rows = []
    for k, corruption in enumerate(CORRUPTIONS):
        texts = [corruption.text.format(s) for s in corruption.strengths]
        columns = [1 + len(_SEVERITIES) * k + s for s in range(len(_SEVERITIES))]
        cells = tuple(_cell(t, right[:, c], accepted[:, c]) for t, c in zip(texts, columns, strict=True))
        rows.append(RobustnessRow(corruption.name, corruption.title, cells))
    return Robustness(len(paths), of, clean, tuple(rows), float(right[:, 1:].mean()))


_VARIANTS = 1 + len(CORRUPTIONS) * len(_SEVERITIES)


def _run_variants(predictor: Predictor, path: Path, *, seed: int) -> list[Outputs]:
    """The outputs for the photo as it is and for all that is made of it, in batches."""
    spec = predictor.spec
    image = working_copy(read_photo(path), spec)
    pictures = [image]
    for corruption in CORRUPTIONS:
        pictures += [corrupt(image, corruption, s, spec, seed=seed + len(pictures)) for s in _SEVERITIES]
    prepared = np.stack([resize_image(picture, spec) for picture in pictures])
    return [predictor.run(prepared[first : first + _BATCH]) for first in range(0, len(prepared), _BATCH)]


def _cell(strength: str, right: NDArray[np.bool_], accepted: NDArray[np.bool_]) -> RobustnessCell:
    return RobustnessCell(
        strength,
        wilson_interval(int(np.count_nonzero(right)), len(right)),
        float(accepted.mean()),
        float(right[accepted].mean()) if accepted.any() else float("nan"),
    )
