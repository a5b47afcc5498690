"""Intervals for many figures at once.

A resample is described by how often it counts each photo. Every figure is a function of these weights, computed for
thousands of resamples in a few matrix products, and on the same resamples for all figures.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from binsight.evaluation.metrics import Interval

__all__ = ["Figures", "bootstrap_intervals", "draw_weights", "wilson_interval"]

Figures = Callable[[NDArray[np.float64]], Mapping[str, NDArray[np.float64]]]
"""Takes weights `(r, n)`, gives for each name the figure on each of the r resamples `(r,)`; not-a-number: undefined."""

_RESAMPLES = 2000
_WEIGHTS_AT_ONCE = 4_000_000  # 32 MB
_Z = 1.959963984540054  # 97.5 % of a normal distribution lie below


def bootstrap_intervals(
    figures: Figures,
    sizes: int | Sequence[int],
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
        sizes: how many photos there are; several numbers are groups that are drawn from separately.
        seed: of the draws; the same seed gives the same intervals.
        resamples: how many draws.
        biased: the names of figures whose percentiles are moved so.

    Returns:
        Name → interval; not-a-number where a figure is undefined.

    References:
        Efron and Tibshirani 1993, An Introduction to the Bootstrap, chapter 13.
    """
    groups = [sizes] if isinstance(sizes, int) else list(sizes)
    total = sum(groups)
    values = figures(np.ones((1, total)))
    generator = np.random.default_rng(seed)
    rows = max(1, _WEIGHTS_AT_ONCE // total)
    drawn: dict[str, list[NDArray[np.float64]]] = {name: [] for name in values}
    for first in range(0, resamples, rows):
        count = min(rows, resamples - first)
        weights = np.concatenate([draw_weights(n, count, generator) for n in groups], axis=1)
        for name, found in figures(weights).items():
            drawn[name].append(found)
    return {
        name: _interval(float(value[0]), np.concatenate(drawn[name]), is_biased=name in biased)
        for name, value in values.items()
    }


def draw_weights(n: int, rows: int, generator: np.random.Generator) -> NDArray[np.float64]:
    """How often each of n photos is drawn in n draws with replacement, for each of `rows` resamples: `(rows, n)`."""
    draws = generator.integers(0, n, (rows, n)) + n * np.arange(rows)[:, None]
    return np.bincount(draws.ravel(), minlength=rows * n).reshape(rows, n).astype(np.float64)


def wilson_interval(count: int, total: int) -> Interval:
    """The share `count / total` with its 95 % score interval; it suits few photos and shares near 0 or 1.

    References:
        Wilson 1927, Probable Inference, the Law of Succession, and Statistical Inference.
    """
    if total == 0:
        return Interval(float("nan"), float("nan"), float("nan"))
    share, z2 = count / total, _Z**2
    middle = (share + z2 / (2 * total)) / (1 + z2 / total)
    half = _Z / (1 + z2 / total) * np.sqrt(share * (1 - share) / total + z2 / (4 * total**2))
    return Interval(share, float(max(0.0, middle - half)), float(min(1.0, middle + half)))


def _interval(value: float, drawn: NDArray[np.float64], *, is_biased: bool) -> Interval:
    defined = drawn[~np.isnan(drawn)]
    if np.isnan(value) or not len(defined):
        return Interval(value, float("nan"), float("nan"))
    low, high = (float(p) for p in np.percentile(defined, [2.5, 97.5]))
    if is_biased:
        excess = float(defined.mean()) - value
        low, high = max(0.0, low - excess), max(0.0, high - excess)
    return Interval(value, low, high)
