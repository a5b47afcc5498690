"""Intervals for many figures at once.

A resample is described by how often it counts each photo. Every figure is a function of these weights, computed for
thousands of resamples in a few matrix products, and on the same resamples for all figures.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from binsight.probability.intervals import Interval

__all__ = ["Figures", "bootstrap_intervals", "draw_weights"]

Figures = Callable[[NDArray[np.float64]], Mapping[str, NDArray[np.float64]]]
"""Takes weights `(r, n)`, gives for each name the figure on each of the r resamples `(r,)`; not-a-number: undefined."""

_RESAMPLES = 2000
_WEIGHTS_AT_ONCE = 4_000_000  # 32 MB


def bootstrap_intervals(
    figures: Figures,
    groups: Sequence[NDArray[np.intp]],
    *,
    seed: int = 0,
    resamples: int = _RESAMPLES,
    biased: Collection[str] = (),
) -> dict[str, Interval]:
    """Each figure on the sample at hand, with its 95 % bootstrap interval.

    The interval is that of the percentiles. Some figures, the calibration errors, are larger on a resample than on the
    sample because of the drawing itself; there the percentiles are moved by what the resamples' mean is too large, and
    cut at 0.

    Args:
        figures: see `Figures`.
        groups: for each part that is drawn from separately the group of every photo, `(n_part,)`: copies of one photo
            have the same number, and are drawn together or not at all.
        seed: of the draws; the same seed gives the same intervals.
        resamples: how many draws.
        biased: the names of figures whose percentiles are moved so.

    Returns:
        Name → interval; not-a-number where a figure is undefined.

    References:
        Efron and Tibshirani 1993, An Introduction to the Bootstrap, chapter 13.
    """
    total = sum(map(len, groups))
    values = figures(np.ones((1, total)))
    generator = np.random.default_rng(seed)
    rows = max(1, _WEIGHTS_AT_ONCE // total)
    drawn: dict[str, list[NDArray[np.float64]]] = {name: [] for name in values}
    for first in range(0, resamples, rows):
        count = min(rows, resamples - first)
        weights = np.concatenate([draw_weights(part, count, generator) for part in groups], axis=1)
        for name, found in figures(weights).items():
            drawn[name].append(found)
    return {
        name: _interval(float(value[0]), np.concatenate(drawn[name]), is_biased=name in biased)
        for name, value in values.items()
    }


def draw_weights(groups: NDArray[np.intp], rows: int, generator: np.random.Generator) -> NDArray[np.float64]:
    """How often each photo is drawn when as many groups are drawn with replacement as there are: `(rows, n)`.

    Args:
        groups: `(n,)`, copies of one photo have the same number, and are drawn together.
        rows: how many resamples.
        generator: of the draws.

    References:
        Davison and Hinkley 1997, Bootstrap Methods and their Application, section 3.8 (clusters drawn whole).
    """
    numbers, group_of = np.unique(groups, return_inverse=True)
    size = len(numbers)
    draws = generator.integers(0, size, (rows, size)) + size * np.arange(rows)[:, None]
    drawn = np.bincount(draws.ravel(), minlength=rows * size).reshape(rows, size)
    return drawn[:, group_of].astype(np.float64)


def _interval(value: float, drawn: NDArray[np.float64], *, is_biased: bool) -> Interval:
    defined = drawn[~np.isnan(drawn)]
    if np.isnan(value) or not len(defined):
        return Interval(value, float("nan"), float("nan"))
    low, high = (float(p) for p in np.percentile(defined, [2.5, 97.5]))
    if is_biased:
        excess = float(defined.mean()) - value
        low, high = max(0.0, low - excess), max(0.0, high - excess)
    return Interval(value, low, high)
