"""Whether labellers agree, beyond luck."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from binsight.probability.intervals import Interval, wilson_interval

__all__ = ["Agreement", "cohen_kappa", "krippendorff_alpha", "measure_agreement"]

_RESAMPLES = 1000


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far two people who looked at the same photos agree.

    Attributes:
        photos: that two people labelled.
        share: of these, on which both said the same.
        kappa: Cohen's.
        alpha: Krippendorff's, nominal.
    """

    photos: int
    share: Interval
    kappa: Interval
    alpha: Interval


def cohen_kappa(first: NDArray[np.intp], second: NDArray[np.intp]) -> float:
    """`(p_o - p_e) / (1 - p_e)`: the agreement of two people beyond what their habits alone would give.

    Args:
        first: `(n,)`, the answers of the first, as numbers from 0.
        second: `(n,)`, those of the second.

    Returns:
        Not-a-number where both always say the same one thing.

    References:
        Cohen 1960, A Coefficient of Agreement for Nominal Scales.
    """
    size = int(max(first.max(), second.max())) + 1
    observed = float((first == second).mean())
    expected = float(np.bincount(first, minlength=size) @ np.bincount(second, minlength=size)) / len(first) ** 2
    return float("nan") if expected >= 1 else (observed - expected) / (1 - expected)


def krippendorff_alpha(first: NDArray[np.intp], second: NDArray[np.intp]) -> float:
    """`1 - D_o / D_e` for nominal answers of two people: 1 is agreement, 0 what chance gives.

    Args:
        first: `(n,)`, answers as numbers from 0.
        second: `(n,)`.

    References:
        Krippendorff 2011, Computing Krippendorff's Alpha-Reliability.
    """
    values = np.bincount(np.concatenate([first, second]))
    total = int(values.sum())
    expected = (total**2 - int((values**2).sum())) / (total * (total - 1))
    return float("nan") if expected == 0 else 1 - float((first != second).mean()) / expected


def measure_agreement(pairs: Sequence[tuple[str, str]]) -> Agreement:
    """Agreement over photos that two people labelled, with 95 % bootstrap intervals over the photos.

    Args:
        pairs: what the first and the second said of each.
    """
    if not pairs:
        nothing = wilson_interval(0, 0)
        return Agreement(0, nothing, nothing, nothing)
    names = sorted({name for pair in pairs for name in pair})
    number = {name: i for i, name in enumerate(names)}
    table = np.array([[number[a], number[b]] for a, b in pairs], np.intp)
    drawn = np.random.default_rng(0).integers(0, len(table), (_RESAMPLES, len(table)))

    def interval(measure: Callable[[NDArray[np.intp], NDArray[np.intp]], float]) -> Interval:
        values = np.array([measure(table[rows, 0], table[rows, 1]) for rows in drawn])
        values = values[~np.isnan(values)]
        low, high = np.percentile(values, [2.5, 97.5]) if len(values) else (float("nan"), float("nan"))
        return Interval(measure(table[:, 0], table[:, 1]), float(low), float(high))

    same = int((table[:, 0] == table[:, 1]).sum())
    return Agreement(len(pairs), wilson_interval(same, len(pairs)), interval(cohen_kappa), interval(krippendorff_alpha))
