"""What a model says of many photos, as arrays, through the same code that predicts for users."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from binsight.errors import DatasetError
from binsight.predictor import Outputs, Predictor, run_photos
from binsight.probability import Decision, ReviewThresholds, decide_each, sigmoid, softmax
from binsight.probability.calibration import Calibration, ScaledCalibration
from binsight.probability.folds import cross_fit_folds
from binsight.probability.scores import HeadScores, NetworkScores
from binsight.progress import Progress, unheard

__all__ = ["Scores", "Unreadable", "cross_fit", "interpret_scores", "judge", "score_photos"]


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A photo that could not be looked at.

    Attributes:
        path: as it is shown.
        code: of the error, as in `binsight.errors`.
        message: why.
    """

    path: str
    code: str
    message: str


@dataclass(frozen=True, eq=False)
class Scores:
    """What one model says of n photos.

    Attributes:
        network: what its network gives.
        probabilities: `(n, C)`, with the temperature.
        biodegradable: `(n,)`, the second head's probability; None for a model without it.
        verdicts: accept or review, and why, by the thresholds.
    """

    network: NetworkScores
    probabilities: NDArray[np.float64]
    biodegradable: NDArray[np.float64] | None
    verdicts: tuple[Decision, ...]

    @classmethod
    def of(cls, network: NetworkScores, calibration: Calibration) -> Scores:
        """The scores under certain temperatures and thresholds."""
        probabilities = softmax(network.logits, temperature=calibration.temperature)
        biodegradable = None
        if network.biodegradable is not None and calibration.biodegradable_temperature is not None:
            biodegradable = sigmoid(network.biodegradable, temperature=calibration.biodegradable_temperature)
        bare = cls(network, probabilities, biodegradable, ())
        return replace(bare, verdicts=bare.decide(calibration.review))

    def __len__(self) -> int:
        return len(self.network)

    @property
    def predicted(self) -> NDArray[np.intp]:
        """`(n,)`, the most probable class of each."""
        found: NDArray[np.intp] = self.probabilities.argmax(axis=1)
        return found

    @property
    def confidence(self) -> NDArray[np.float64]:
        """`(n,)`, the probability of that class."""
        found: NDArray[np.float64] = self.probabilities.max(axis=1)
        return found

    @property
    def accepted(self) -> NDArray[np.bool_]:
        """`(n,)`, whether the prediction is accepted rather than sent to review."""
        return np.array([v.decision == "accept" for v in self.verdicts], bool)

    def decide(self, review: ReviewThresholds) -> tuple[Decision, ...]:
        """The verdicts with other thresholds."""
        return decide_each(
            self.probabilities,
            review,
            biodegradable_mask=() if self.network.mask is None else self.network.mask.tolist(),
            biodegradable=self.biodegradable,
            unfamiliarity=self.network.unfamiliarity,
        )

    def replaced(self, positions: NDArray[np.intp], other: Scores) -> Scores:
        """The scores with those of the photos at `positions` taken from `other`, which is of these photos alone."""
        probabilities = self.probabilities.copy()
        probabilities[positions] = other.probabilities
        biodegradable = self.biodegradable
        if biodegradable is not None and other.biodegradable is not None:
            biodegradable = biodegradable.copy()
            biodegradable[positions] = other.biodegradable
        verdicts = list(self.verdicts)
        for position, verdict in zip(positions, other.verdicts, strict=True):
            verdicts[position] = verdict
        return Scores(self.network, probabilities, biodegradable, tuple(verdicts))


def judge(scores: HeadScores, calibration: ScaledCalibration) -> Scores:
    """Confidences and decisions as a bundle with these heads and this calibration gives them."""
    return Scores.of(scores.exported(calibration.scale), calibration.fitted)


def cross_fit(
    scores: Scores,
    labels: NDArray[np.intp],
    judge: Callable[[NDArray[np.intp], NDArray[np.intp]], Scores],
    *,
    chosen: NDArray[np.bool_] | None = None,
    copies: NDArray[np.intp] | None = None,
    seed: int = 0,
) -> Scores | None:
    """The scores with each photo judged by what was fitted on other photos, in five folds, copies in one.

    Args:
        scores: of n photos.
        labels: `(n,)`.
        judge: given positions to fit on and others to judge, gives the scores of the latter.
        chosen: `(n,)`, which photos to judge so; None: all.
        copies: `(n,)`, copies of one photo have the same number.
        seed: of the folds.

    Returns:
        None where all photos are copies of each other.
    """
    folds = list(cross_fit_folds(labels, copies, seed=seed))
    for fit, fold in folds:
        judged = fold if chosen is None else fold[chosen[fold]]
        if len(judged):
            scores = scores.replaced(judged, judge(fit, judged))
    return scores if folds else None


def score_photos(
    predictor: Predictor,
    paths: Sequence[Path],
    *,
    names: Callable[[int], str] | None = None,
    workers: int | None = None,
    progress: Progress = unheard,
) -> tuple[Scores, NDArray[np.intp], tuple[Unreadable, ...]]:
    """Classify photo files.

    Args:
        predictor: loaded with `threads=1`.
        paths: the files.
        names: gives what the file at a position is called in the list of unreadable ones; by default its path.
        workers: batches in work at a time; by default one per core.
        progress: called as photos are done.

    Returns:
        The scores of the photos that can be read, their positions in `paths`, and the photos that cannot.

    Raises:
        DatasetError: none of the photos can be read.
        BundleError: the network fails.
    """
    found = run_photos(predictor, paths, workers=workers, progress=progress)
    unreadable = tuple(
        Unreadable(names(position) if names else str(paths[position]), fault.code, str(fault))
        for position, fault in found.faults.items()
    )
    if found.outputs is None:
        first = f", the first because: {unreadable[0].message}" if unreadable else ""
        raise DatasetError(f"expected photos, got {len(paths)} of which none can be read{first}")
    return interpret_scores(predictor, found.outputs), found.kept, unreadable


def interpret_scores(predictor: Predictor, outputs: Outputs) -> Scores:
    """What a network gave for photos, with the bundle's temperatures and thresholds."""
    manifest = predictor.bundle.manifest
    has_second = manifest.taxonomy.has_biodegradability
    network = NetworkScores(
        outputs.logits.astype(np.float64),
        _column(outputs.biodegradable_logit),
        np.asarray(manifest.taxonomy.biodegradable_mask) if has_second else None,
        _column(outputs.unfamiliarity),
    )
    return Scores.of(network, Calibration(manifest.temperature, manifest.biodegradable_temperature, manifest.review))


def _column(values: NDArray[np.float32] | None) -> NDArray[np.float64] | None:
    return None if values is None else values[:, 0].astype(np.float64)
