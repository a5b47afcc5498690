"""How pure a stream is, from the few pieces that a person looked at: stratified Jeffreys, the unseen pieces predicted.

The pieces of a lane are divided into strata within which every piece was equally likely to be drawn for the audit. In
stratum `h`, of `N_h` pieces `n_h` were audited and `x_h` were right. Its share of right pieces has the posterior
Beta(x_h + ½·W_h, n_h - x_h + ½·W_h) with W_h = N_h / N; the right ones among the `N_h - n_h` that nobody looked at are
predicted by drawing that share and then a binomial number. The lane's purity is the sum of what was seen and what was
predicted, over all strata, divided by the number of pieces; its quantiles over many such draws are the interval. So
strata count by their pieces, not by their audits, and where every piece was audited the answer is exact.

With one stratum this is Jeffreys' prior, ½ and ½. With several, its mass is shared out among them by their pieces: ½
and ½ for each would add one invented piece an hour, half of it wrong, and the interval would lie too low to hold the
truth (`benchmarks/line_purity.py` shows by how much).

By weight, the true category of a piece counts and not only whether it was right: Dirichlet in the place of Beta,
multinomial in that of binomial. The prior mass of ½ on right is shared out among the right categories that were found
in the audit (among all right ones where none was found), that of ½ on wrong likewise; sums of the parts of a Dirichlet
vector being Beta again, the share of right pieces is the same in both.

References:
    L. Brown, T. Cai, A. DasGupta: Interval estimation for a binomial proportion. Statistical Science 16 (2001) 101-133:
        Jeffreys' interval, and its ends where nothing or everything is right.
    W. Ericson: Subjective Bayesian models in sampling finite populations. J. R. Statist. Soc. B 31 (1969) 195-233:
        predicting the pieces that were not drawn, stratum by stratum.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["METHOD", "Purity", "Stratum", "estimate_purity", "estimate_purity_by_weight", "merge_strata"]

METHOD = "stratified_jeffreys"
LEAST_AUDITS = 2

# Ends of the 95 % interval. The prior's half wrong piece pulls it down, the more the fewer audits there are: with 58 of
# a lane's pieces 5 % of simulated shifts were purer than the 97.5 % quantile, 1 to 3 % less pure than the 2.5 % one.
_TAILS = (0.025, 0.985)
_DRAWS = 10_000  # from seed to seed the ends then vary by about a fiftieth of the interval


@dataclass(frozen=True, slots=True)
class Stratum:
    """Pieces that were equally likely to be drawn.

    Attributes:
        pieces: how many there are, at least as many as were audited.
        found: true category → how many of the audited pieces are of it.
        kind: only strata of one kind are neighbours (accepted pieces, say, and reviewed ones).
    """

    pieces: int
    found: Mapping[str, int]
    kind: str = ""

    @property
    def audited(self) -> int:
        """How many a person looked at."""
        return sum(self.found.values())

    @property
    def complete(self) -> bool:
        """Whether all were looked at."""
        return self.audited >= self.pieces


@dataclass(frozen=True, slots=True)
class Purity:
    """A share of pieces, or of grams.

    Attributes:
        purity: the estimate, in [0, 1]; None while nothing was audited.
        low: lower end of the 95 % interval.
        high: upper end.
        audited: pieces that a person looked at.
        pieces: all of them.
        wrong: audited pieces that do not belong there.
        method: how the interval was found.
    """

    purity: float | None
    low: float
    high: float
    audited: int
    pieces: int
    wrong: int = 0
    method: str = METHOD


def estimate_purity(strata: Sequence[Stratum], right: Collection[str], *, seed: int = 0) -> Purity:
    """The share of pieces whose true category is one of `right`, with its 95 % interval.

    Args:
        strata: of one lane; neighbours in time stand next to each other.
        right: categories that belong there.
        seed: of the draws; the same seed gives the same interval.

    Returns:
        The estimate is Σ N_h · x_h / n_h over N. Without a wrong piece in the audit the interval goes up to 1, without
        a right one down to 0: with `n` audits and no defect, the share of defects is below about 3/n.
    """
    return _estimate(_by_rightness(strata, right), {"right": 1.0, "wrong": 1.0}, {"right"}, seed)


def estimate_purity_by_weight(strata: Sequence[Stratum], right: Collection[str], grams: Mapping[str, float]) -> Purity:
    """The share of the weight that belongs there, taking each piece to weigh what its true category does on average.

    Args:
        strata: as above; each category found is a key of `grams`.
        right: categories that belong there.
        grams: mean weight of one piece, per category; the interval takes it as known.

    Raises:
        KeyError: a category was found whose weight is not given.
    """
    missing = {category for stratum in strata for category in stratum.found} - grams.keys()
    if missing:
        raise KeyError(*sorted(missing))
    return _estimate(strata, grams, set(right), seed=0)


def merge_strata(strata: Sequence[Stratum]) -> list[Stratum]:
    """Strata of at least `LEAST_AUDITS` audits each.

    Within one kind, in the order given, a stratum with too few takes in the following ones until it has enough; what
    is left over at the end joins the last one before it. A kind that has too few as a whole joins the next kind.
    A stratum that was audited completely stays as it is, nothing being predicted in it, unless the others have too few.
    """
    kinds = dict.fromkeys(stratum.kind for stratum in strata)
    complete = [stratum for stratum in strata if stratum.complete]
    groups = [_gather([s for s in strata if s.kind == kind and not s.complete]) for kind in kinds]
    merged = [stratum for group in groups for stratum in group]
    if sum(stratum.audited for stratum in merged) < LEAST_AUDITS:
        merged, complete = [*merged, *complete], []
    short = [stratum for stratum in merged if stratum.audited < LEAST_AUDITS]
    return [*complete, *_gather([*short, *(s for s in merged if s.audited >= LEAST_AUDITS)])]


def _gather(strata: Sequence[Stratum]) -> list[Stratum]:
    gathered: list[Stratum] = []
    for stratum in strata:
        if gathered and gathered[-1].audited < LEAST_AUDITS:
            gathered[-1] = _join(gathered[-1], stratum)
        else:
            gathered.append(stratum)
    if len(gathered) > 1 and gathered[-1].audited < LEAST_AUDITS:
        last = gathered.pop()
        gathered[-1] = _join(gathered[-1], last)
    return gathered


def _join(one: Stratum, other: Stratum) -> Stratum:
    found = Counter(one.found) + Counter(other.found)
    return Stratum(one.pieces + other.pieces, found, one.kind)


def _by_rightness(strata: Sequence[Stratum], right: Collection[str]) -> list[Stratum]:
    def count(found: Mapping[str, int]) -> dict[str, int]:
        good = sum(number for category, number in found.items() if category in right)
        return {"right": good, "wrong": sum(found.values()) - good}

    return [Stratum(stratum.pieces, count(stratum.found), stratum.kind) for stratum in strata]


def _estimate(strata: Sequence[Stratum], grams: Mapping[str, float], right: set[str], seed: int) -> Purity:
    pieces, audited = sum(s.pieces for s in strata), sum(s.audited for s in strata)
    wrong = sum(number for s in strata for category, number in s.found.items() if category not in right)
    if audited == 0:
        return Purity(None, 0.0, 1.0, 0, pieces)
    merged = merge_strata(strata)
    categories = sorted(grams)
    weights = np.array([grams[category] for category in categories])
    is_right = np.array([category in right for category in categories])
    found = np.array([[s.found.get(category, 0) for category in categories] for s in merged], np.float64)
    sizes = np.array([s.pieces for s in merged])
    purity = float(_share((sizes / found.sum(axis=1)) @ found, weights, is_right))
    if all(s.complete for s in merged):
        return Purity(purity, purity, purity, audited, pieces, wrong)
    prior = _prior(found.sum(axis=0), is_right)
    key = (tuple(map(tuple, found)), tuple(sizes), tuple(prior), tuple(weights), tuple(is_right))
    low, high = _interval(*key, seed)
    low, high = (low if wrong < audited else 0.0), (high if wrong else 1.0)
    return Purity(purity, min(low, purity), max(high, purity), audited, pieces, wrong)


@lru_cache(maxsize=10_000)
def _interval(
    found: tuple[tuple[float, ...], ...],
    sizes: tuple[int, ...],
    prior: tuple[float, ...],
    weights: tuple[float, ...],
    is_right: tuple[bool, ...],
    seed: int,
) -> tuple[float, float]:
    """The tails of the draws; remembered, for dashboards ask for days that are over again and again."""
    totals = _predict(np.array(found), np.array(sizes), np.array(prior), np.random.default_rng(seed))
    low, high = np.quantile(_share(totals, np.array(weights), np.array(is_right)), _TAILS)
    return float(low), float(high)


def _prior(found: NDArray[np.float64], is_right: NDArray[np.bool_]) -> NDArray[np.float64]:
    """`(c,)`: ½ on the right categories and ½ on the wrong ones, shared out evenly among those found of each side."""
    prior = np.zeros(len(found))
    for side in (is_right, ~is_right):
        seen = side & (found > 0)
        among = seen if seen.any() else side
        prior[among] = 0.5 / max(1, among.sum())
    return prior


def _predict(
    found: NDArray[np.float64], sizes: NDArray[np.int64], prior: NDArray[np.float64], generator: np.random.Generator
) -> NDArray[np.float64]:
    """`(draws, c)`: pieces of each category in all strata together, those audited and those predicted."""
    possible = np.flatnonzero(prior)  # what was found has prior mass, too
    unseen = sizes - found.sum(axis=1).astype(np.int64)
    masses = np.where(unseen > 0, sizes, 0) / sizes[unseen > 0].sum()
    totals = np.tile(found.sum(axis=0), (_DRAWS, 1))
    for h in np.flatnonzero(unseen):
        shares = generator.dirichlet(found[h, possible] + masses[h] * prior[possible], _DRAWS)
        totals[:, possible] += generator.multinomial(unseen[h], shares)
    return totals


def _share(
    totals: NDArray[np.float64], weights: NDArray[np.float64], is_right: NDArray[np.bool_]
) -> NDArray[np.float64]:
    grams = totals * weights
    return np.asarray(grams[..., is_right].sum(axis=-1) / grams.sum(axis=-1))
