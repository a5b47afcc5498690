"""Whether one model is better than another on the same photos, or only luckier."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb

import numpy as np
from numpy.typing import NDArray

__all__ = ["PairedTest", "adjust_holm", "mcnemar_exact"]


@dataclass(frozen=True, slots=True)
class PairedTest:
    """On how many photos two models differ, and how likely that is when they are equally good.

    Attributes:
        only_first: photos that only the first has right.
        only_second: photos that only the second has right.
        p_value: two-sided, in (0, 1].
    """

    only_first: int
    only_second: int
    p_value: float


def mcnemar_exact(
    first: NDArray[np.bool_], second: NDArray[np.bool_], copies: NDArray[np.intp] | None = None
) -> PairedTest:
    """Compare which of the same n photos two models have right.

    Of the photos on which they differ, each is won by either with probability 1/2 when the models are equally good:
    `p = min(1, 2 P(X <= min(b, c)))` with X binomial over b + c throws.

    Args:
        first: `(n,)`, whether the first is right.
        second: `(n,)`, whether the second is right.
        copies: `(n,)`, copies of one photo have the same number and count once, for the model that has more of them
            right; None: there are no copies.

    References:
        McNemar 1947; the exact form: Fagerland, Lydersen and Laake 2013, BMC Medical Research Methodology 13:91.
    """
    lead = first.astype(np.intp) - second.astype(np.intp)
    if copies is not None:
        lead = np.bincount(np.unique(copies, return_inverse=True)[1], lead)
    only_first, only_second = int(np.count_nonzero(lead > 0)), int(np.count_nonzero(lead < 0))
    throws = only_first + only_second
    tail = sum(comb(throws, k) for k in range(min(only_first, only_second) + 1))
    # Whole numbers of any size: no float overflows before the division.
    return PairedTest(only_first, only_second, min(1.0, 2 * tail / 2**throws))


def adjust_holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """The p-values made fit for being looked at together: each stays below 5 % by chance for at most 5 % of families.

    The smallest is multiplied by their number, the next by one less, and so on; none falls below the one before it.

    References:
        Holm 1979, A Simple Sequentially Rejective Multiple Test Procedure.
    """
    adjusted = [0.0] * len(p_values)
    least = 0.0
    for rank, i in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        least = max(least, min(1.0, (len(p_values) - rank) * p_values[i]))
        adjusted[i] = least
    return tuple(adjusted)
