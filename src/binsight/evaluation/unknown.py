"""What a model does with photos of things that are none of its classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from binsight.evaluation.bootstrap import bootstrap_intervals
from binsight.evaluation.pictures import Pictures, draw_pictures
from binsight.evaluation.scoring import Scores, Unreadable, score_photos
from binsight.predictor import Predictor
from binsight.probability.intervals import Interval, share_interval
from binsight.progress import Progress, unheard

__all__ = ["AcceptedUnknown", "UnknownPhotos", "detection_areas", "measure_unknown", "miss_rate_at"]

_HISTOGRAM_BINS = 30
_PICTURES = 12
_CELLS_AT_ONCE = 4_000_000


@dataclass(frozen=True, slots=True)
class AcceptedUnknown:
    """An unknown photo that was taken for waste."""

    path: str
    predicted: str
    confidence: float
    pictures: Pictures | None = None


@dataclass(frozen=True, slots=True)
class UnknownPhotos:
    """How well unknown photos are told from those of the classes.

    Attributes:
        photos: how many there are.
        unreadable: those that could not be looked at.
        reasons: why photos go to review → how many.
        accepted: those that do not, the most confident first.
        measure: what the histogram is of: `unfamiliarity`, or `confidence` for a model without it.
        edges: of the histogram's bins.
        known: for each bin the share of the evaluated photos.
        unknown: for each bin the share of the unknown photos.
        threshold: where the bundle's line lies; None: not used.
        miss_rate_at_95: the share of unknown photos that would pass a line which 95 % of the others pass.
    """

    photos: int
    unreadable: tuple[Unreadable, ...]
    reasons: Mapping[str, int]
    accepted: tuple[AcceptedUnknown, ...]
    measure: str
    edges: tuple[float, ...]
    known: tuple[float, ...]
    unknown: tuple[float, ...]
    threshold: float | None
    miss_rate_at_95: float


def measure_unknown(
    predictor: Predictor,
    paths: Sequence[Path],
    known: Scores,
    *,
    copies: NDArray[np.intp],
    resamples: int,
    seed: int = 0,
    workers: int | None = None,
    name: Callable[[Path], str] = str,
    progress: Progress = unheard,
) -> tuple[UnknownPhotos, dict[str, Interval]]:
    """Classify photos of nothing that the model knows, and compare them with those it does.

    Args:
        predictor: loaded with `threads=1`.
        paths: the photos.
        known: the scores of the evaluated photos.
        copies: `(n,)`, which of the evaluated photos are copies of each other.
        resamples: of the bootstrap.
        seed: of the bootstrap.
        workers: as in `score_photos`.
        name: what a path is shown as.
        progress: called as photos are done.

    Returns:
        The section of the report, and the three figures `unknown_…` with their intervals.

    Raises:
        DatasetError: none of the photos can be read.
    """
    scores, kept, unreadable = score_photos(
        predictor, paths, names=lambda i: name(paths[i]), workers=workers, progress=progress
    )
    strangeness = {"confidence": -np.concatenate([known.confidence, scores.confidence])}
    if known.network.unfamiliarity is not None and scores.network.unfamiliarity is not None:
        strangeness["unfamiliarity"] = np.concatenate([known.network.unfamiliarity, scores.network.unfamiliarity])
    measure = "unfamiliarity" if "unfamiliarity" in strangeness else "confidence"
    edges, shares = _histogram(strangeness[measure], len(known))
    if measure == "confidence":  # back to what is read as a confidence, from small to large
        edges, shares = -edges[::-1], shares[:, ::-1]
    review = predictor.bundle.manifest.review
    section = UnknownPhotos(
        photos=len(scores),
        unreadable=unreadable,
        reasons=dict(Counter(v.reason for v in scores.verdicts if v.reason is not None).most_common()),
        accepted=_accepted(predictor, scores, [paths[i] for i in kept], name),
        measure=measure,
        edges=tuple(edges.tolist()),
        known=tuple(shares[0].tolist()),
        unknown=tuple(shares[1].tolist()),
        threshold=review.unfamiliarity if measure == "unfamiliarity" else None,
        miss_rate_at_95=miss_rate_at(strangeness[measure], len(known)),
    )
    return section, _figures(strangeness, scores, copies, resamples=resamples, seed=seed)


def _figures(
    strangeness: Mapping[str, NDArray[np.float64]],
    unknown: Scores,
    copies: NDArray[np.intp],
    *,
    resamples: int,
    seed: int,
) -> dict[str, Interval]:
    names = {"unfamiliarity": "unknown_auroc", "confidence": "unknown_auroc_confidence"}

    def figures(w: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        return {names[m]: detection_areas(w, score, len(copies)) for m, score in strangeness.items()}

    parts = [copies, np.arange(len(unknown))]
    found = {"unknown_reviewed_share": share_interval(~unknown.accepted)}
    return found | bootstrap_intervals(figures, parts, seed=seed, resamples=resamples)


def _histogram(score: NDArray[np.float64], known: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Edges `(k + 1,)`, and the shares of known and unknown photos in each bin `(2, k)`."""
    finite = score[np.isfinite(score)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
    edges = np.linspace(low, high if high > low else low + 1, _HISTOGRAM_BINS + 1)
    # What is no number, or endless, counts as the strangest.
    shown = np.clip(np.nan_to_num(score, nan=edges[-1], posinf=edges[-1], neginf=edges[0]), edges[0], edges[-1])
    parts = [np.histogram(part, edges)[0] / max(1, len(part)) for part in (shown[:known], shown[known:])]
    return edges, np.stack(parts)


def _accepted(
    predictor: Predictor, scores: Scores, paths: Sequence[Path], name: Callable[[Path], str]
) -> tuple[AcceptedUnknown, ...]:
    passed = np.flatnonzero(scores.accepted)
    order = passed[np.argsort(-scores.confidence[passed], kind="stable")]
    return tuple(
        AcceptedUnknown(
            name(paths[i]),
            predictor.taxonomy.ids[int(scores.predicted[i])],
            float(scores.confidence[i]),
            draw_pictures(predictor, paths[i]) if rank < _PICTURES else None,
        )
        for rank, i in enumerate(order)
    )


def detection_areas(w: NDArray[np.float64], score: NDArray[np.float64], known: int) -> NDArray[np.float64]:
    """How often an unknown photo has a larger score than a known one, ties half: the area under the ROC curve.

    `AUROC = P(s_u > s_k) + P(s_u = s_k) / 2`; 1 is perfect, 0.5 is chance. Not-a-number counts as the largest score.

    Args:
        w: `(r, n)`, how often each photo counts.
        score: `(n,)`, large for unknown ones; the known photos come first.
        known: how many of the n are known.

    Returns:
        `(r,)`.

    References:
        Hanley and McNeil 1982, The Meaning and Use of the Area under a ROC Curve.
    """
    # NumPy sorts not-a-number behind everything else, and `equal_nan` makes one value of all of them.
    level = np.unique(score, return_inverse=True, equal_nan=True)[1]
    order = np.argsort(level, kind="stable")
    last = np.append(np.flatnonzero(np.diff(level[order])), len(order) - 1)
    is_known = order < known
    rows = max(1, _CELLS_AT_ONCE // len(score))
    parts = [_areas(part[:, order], is_known, last) for part in np.split(w, range(rows, len(w), rows))]
    return np.concatenate(parts)


def _areas(w: NDArray[np.float64], is_known: NDArray[np.bool_], last: NDArray[np.intp]) -> NDArray[np.float64]:
    known, unknown = (np.cumsum(w * mask, axis=1)[:, last] for mask in (is_known, ~is_known))
    unknown_here = np.diff(unknown, axis=1, prepend=0)
    known_here = np.diff(known, axis=1, prepend=0)
    below = known - known_here / 2
    result: NDArray[np.float64] = (unknown_here * below).sum(axis=1) / (known[:, -1] * unknown[:, -1])
    return result


def miss_rate_at(score: NDArray[np.float64], known: int) -> float:
    """The share of unknown photos whose score is no larger than what 95 % of the known ones stay within.

    Also called the false positive rate at 95 % true positives (FPR95).
    """
    limit = np.quantile(np.nan_to_num(score[:known], nan=np.inf), 0.95, method="higher")
    return float(np.mean(score[known:] <= limit))
