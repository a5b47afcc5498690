"""How good the model is on live photos: an estimate from those labelled, with an interval that means what it says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from binsight.loop.sampling import Stratum
from binsight.probability.intervals import Interval, wilson_interval

__all__ = ["LabelledPhoto", "LiveAccuracy", "estimate_accuracy", "stratified_interval"]


@dataclass(frozen=True, slots=True)
class LabelledPhoto:
    """A live photo that was drawn, and labelled.

    Attributes:
        stratum: what the model had said.
        chance: with which probability it was drawn, in (0, 1].
        right: whether the model was right.
        truth: what it is.
    """

    stratum: Stratum
    chance: float
    right: bool
    truth: str


@dataclass(frozen=True, slots=True)
class LiveAccuracy:
    """How good a model is on live photos.

    Attributes:
        overall: the share of all photos that it has right.
        accepted: of those that it accepted.
        labelled: photos that were labelled.
        covered: the share of live photos in strata with at least one label; the others are left out of the estimate.
        confusion: (named, is) → labelled photos.
    """

    overall: Interval
    accepted: Interval
    labelled: int
    covered: float
    confusion: Mapping[tuple[str, str], int]


def stratified_interval(weights: ArrayLike, right: ArrayLike, labelled: ArrayLike) -> Interval:
    """A share over strata with its 95 % interval.

    `p = sum W_h k_h / n_h`; its variance is `sum W_h^2 q_h (1 - q_h) / n_h`, where `q_h = (k_h + 2 m) / (n_h + 2)` is
    drawn towards the mean m of all labels, so that a stratum without a mistake is not taken for perfect. As many
    photos drawn simply would be as sure: `n = p (1 - p) / variance`, for which Wilson's interval is given. Its coverage
    is 93 to 98 % where Wald's has 44 to 91 %. Where all labels are right, or none, `n = 1 / sum (W_h^2 / n_h)`.

    Args:
        weights: `(H,)`, shares of live photos; they are made to sum to 1.
        right: `(H,)`, k: labelled photos that are right; may be fractions.
        labelled: `(H,)`, n: labelled photos, above 0; may be fractions, as an effective number.

    References:
        Cochran 1977, Sampling Techniques, section 5; Wilson 1927; Korn and Graubard 1998 (intervals by effective size).
    """
    w, k, n = (np.asarray(x, np.float64) for x in (weights, right, labelled))
    if not len(n):
        return wilson_interval(0, 0)
    w = w / w.sum()
    share, mean = float((w * k / n).sum()), float(k.sum() / n.sum())
    drawn = (k + 2 * mean) / (n + 2)
    variance = float((w**2 * drawn * (1 - drawn) / n).sum())
    size = share * (1 - share) / variance if 0 < share < 1 and variance > 0 else 1 / float((w**2 / n).sum())
    return wilson_interval(share * size, size)


def estimate_accuracy(seen: Mapping[Stratum, int], photos: Sequence[LabelledPhoto]) -> LiveAccuracy:
    """The accuracy on all live photos, from the labels of those drawn.

    Within a stratum a photo stands for as many as its probability says, `1 / chance`; equal probabilities give the
    plain share.

    Args:
        seen: live photos of each stratum.
        photos: labelled ones, each drawn at random with a known probability.
    """
    strata: dict[Stratum, list[LabelledPhoto]] = {}
    for photo in photos:
        if photo.chance > 0:
            strata.setdefault(photo.stratum, []).append(photo)
    rows = {h: _row(group) for h, group in strata.items()}
    confusion: dict[tuple[str, str], int] = {}
    for photo in photos:
        key = photo.stratum.category, photo.truth
        confusion[key] = confusion.get(key, 0) + 1
    total = sum(seen.values())
    # More labels of a stratum than counts happen only where counts were lost; each label is a photo at least.
    sizes = {h: max(seen.get(h, 0), len(strata[h])) for h in rows}

    def interval(chosen: list[Stratum]) -> Interval:
        table = [(sizes[h], *rows[h]) for h in chosen]
        return stratified_interval(*zip(*table, strict=True)) if table else wilson_interval(0, 0)

    return LiveAccuracy(
        overall=interval(list(rows)),
        accepted=interval([h for h in rows if h.decision == "accept"]),
        labelled=len(photos),
        covered=min(1.0, sum(seen.get(h, 0) for h in rows) / total) if total else 0.0,
        confusion=confusion,
    )


def _row(group: Sequence[LabelledPhoto]) -> tuple[float, float]:
    """Right ones and labelled ones of a stratum, by effective number (Kish)."""
    weights = np.array([1 / photo.chance for photo in group])
    right = np.array([photo.right for photo in group], float)
    size = float(weights.sum() ** 2 / (weights**2).sum())
    return size * float((weights * right).sum() / weights.sum()), size
