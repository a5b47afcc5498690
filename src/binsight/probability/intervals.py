"""How sure a share is that was counted on some photos: intervals and bounds, exact where it matters.

`n` is the number of photos. Copies of one photo are one observation, not several: where photos have group numbers,
those of one number are copies of each other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Interval", "binomial_cdf", "clopper_pearson_upper", "share_interval", "wilson_interval"]

_Z = 1.959963984540054  # 97.5 % of a normal distribution lie below
_HALVINGS = 40  # of [0, 1]: to 1e-12


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure's value on the sample at hand, and the bounds of its 95 % confidence interval."""

    value: float
    low: float
    high: float


def wilson_interval(count: float, total: float) -> Interval:
    """The share `count / total` with its 95 % score interval; it suits few photos and shares near 0 or 1.

    Args:
        count: 0 to `total`; neither need be whole, see `share_interval`.
        total: 0 gives not-a-number.

    References:
        Wilson 1927, Probable Inference, the Law of Succession, and Statistical Inference.
    """
    if total == 0:
        return Interval(float("nan"), float("nan"), float("nan"))
    share, z2 = count / total, _Z**2
    middle = (share + z2 / (2 * total)) / (1 + z2 / total)
    half = _Z / (1 + z2 / total) * float(np.sqrt(share * (1 - share) / total + z2 / (4 * total**2)))
    # Rounding must not leave the share outside its own interval.
    return Interval(share, max(0.0, min(share, middle - half)), min(1.0, max(share, middle + half)))


def share_interval(hits: NDArray[np.bool_], groups: NDArray[np.intp] | None = None) -> Interval:
    """The share of hits among n photos with its 95 % interval: Wilson's, for as many as there are without copies.

    That number is n divided by the design effect `sum_g (sum_{i in g} (x_i - p))^2 / (n p (1 - p))`, or, where all or
    none are hits, `sum_g n_g^2 / n`, the most it can be; at least 1.

    Args:
        hits: `(n,)`.
        groups: `(n,)`; None: no copies.

    References:
        Kish 1965, Survey Sampling, sections 5.4 and 8.2; Wilson 1927.
    """
    n = len(hits)
    if n == 0 or groups is None:
        return wilson_interval(int(np.count_nonzero(hits)), n)
    share = float(np.mean(hits))
    group_of = np.unique(groups, return_inverse=True)[1]
    if 0 < share < 1:
        effect = float((np.bincount(group_of, hits - share) ** 2).sum()) / (n * share * (1 - share))
    else:
        effect = float((np.bincount(group_of) ** 2).sum()) / n
    alone = n / max(1.0, effect)
    return wilson_interval(share * alone, alone)


def binomial_cdf(count: int, total: int, p: float) -> float:
    """The probability of at most `count` successes in `total` throws of probability `p`, summed exactly."""
    if count >= total or p <= 0:
        return 1.0
    if p >= 1 or count < 0:
        return 0.0
    # From each term to the next: C(n, i) / C(n, i - 1) = (n - i + 1) / i.
    i = np.arange(1, count + 1)
    steps = np.log((total - i + 1) / i) + np.log(p) - np.log1p(-p)
    logs = total * np.log1p(-p) + np.concatenate([[0.0], np.cumsum(steps)])
    peak = logs.max()
    return min(1.0, float(np.exp(peak) * np.exp(logs - peak).sum()))


def clopper_pearson_upper(count: int, total: int, *, confidence: float = 0.95) -> float:
    """The largest probability under which `count` or fewer of `total` are no surprise: an exact one-sided upper bound.

    It is the p at which `P(X <= count) = 1 - confidence` for X binomial over `total` throws; for `count` 0 that is
    `1 - (1 - confidence)^(1 / total)`. The true probability is above it in at most a share `1 - confidence` of samples.

    Args:
        count: 0 to `total`.
        total: 0 gives 1.
        confidence: in (0, 1).

    References:
        Clopper and Pearson 1934, The Use of Confidence or Fiducial Limits Illustrated in the Case of the Binomial.
    """
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if binomial_cdf(count, total, middle) > 1 - confidence:
            low = middle
        else:
            high = middle
    return high
