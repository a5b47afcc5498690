"""Which live photos are kept to be labelled, each with the probability of it.

The flags `random` and `review` are drawn independently of each other, so that the probability that a photo is among the
labelled ones is known: `1 - (1 - pi_random) (1 - pi_review)`. A draw depends on a secret key and the pixels alone: the
same photo sent again is drawn again or not again, and nobody can choose photos that will be kept.
"""

from __future__ import annotations

import hashlib
import hmac
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "WEEK_S",
    "Chances",
    "Quotas",
    "Stratum",
    "chance_of_any",
    "draw",
    "farthest_first",
    "parse_quota",
    "random_chance",
    "review_chance",
]

WEEK_S: Final = 604_800.0
_DAY_S: Final = 86_400.0
_MOST: Final = 1e9
_LEAST: Final = 5.0  # of a stratum, a week
_RAISED: Final = 2.0


class Stratum(NamedTuple):
    """Photos that are alike to the model: what it decided, and which class it named."""

    decision: str
    category: str


class Chances(NamedTuple):
    """With which probability a photo was kept at random, and as one of those to review."""

    random: float
    review: float


@dataclass(frozen=True, slots=True)
class Quotas:
    """How much is to be kept.

    Attributes:
        random: photos a week, at random; twice as many while a notice of drift stands.
        review: photos a day of those sent to review; beyond that at random.
        days: unlabelled photos are deleted after so many.
    """

    random: float = 100.0
    review: float = 100.0
    days: float = 30.0

    def at_random(self, *, noticed: bool) -> float:
        """Photos a week to keep at random: twice as many while photos look strange to the model."""
        return self.random * (_RAISED if noticed else 1.0)


def parse_quota(text: str, per: str) -> float:
    """How many photos a `week` or `day` are meant by `100/week`, `20/day`, `1/hour`, or by a number alone.

    Args:
        text: as it is written.
        per: the unit of the result, and of a number alone.

    Raises:
        ValueError: it is none of these.
    """
    number, sign, unit = text.strip().partition("/")
    seconds = {"hour": 3600.0, "day": _DAY_S, "week": WEEK_S}
    wanted = seconds[per] / seconds.get(unit.strip() if sign else per, math.nan)
    value = float(number) * wanted
    if not 0 <= value <= _MOST:
        raise ValueError(f"expected a number of photos such as 100/{per}, got {text!r}")
    return value


def random_chance(stratum: Stratum, seen: Mapping[Stratum, int], quota: float, span_s: float) -> float:
    """The probability with which a photo of a stratum is kept: `min(1, B w_h / N_h)`, `w` as the root of `N`.

    Roots give rare strata more than their share; each gets at least 5 a week. `N_h` is what a week brings: of a record
    of less than a week as if it went on so, counting the first day as a whole one.

    Args:
        stratum: of the photo.
        seen: photos of each stratum in the last week, the present one among them.
        quota: B, photos a week over all strata.
        span_s: how long the record is, in seconds; at most a week counts.
    """
    if quota <= 0:
        return 0.0
    roots = {h: math.sqrt(n) for h, n in seen.items() if n > 0}
    own = max(1, seen.get(stratum, 0))
    share = math.sqrt(own) / max(sum(roots.values()), math.sqrt(own))
    a_week = own * WEEK_S / min(max(span_s, _DAY_S), WEEK_S)
    return min(1.0, max(min(_LEAST, quota), quota * share) / a_week)


def review_chance(number: int, quota: float) -> float:
    """The probability with which a day's `number`-th photo sent to review is kept: all, beyond the quota fewer."""
    return 0.0 if quota <= 0 else min(1.0, quota / max(1, number))


def chance_of_any(chances: Chances) -> float:
    """The probability that at least one of the two draws keeps the photo."""
    return 1 - (1 - chances.random) * (1 - chances.review)


def draw(key: bytes, purpose: str, pixels: str, chance: float) -> bool:
    """Whether a photo is drawn: its keyed hash, as a number in [0, 1), is below the probability.

    Args:
        key: secret, of this loop.
        purpose: draws for different purposes are independent.
        pixels: hash of the photo's pixels.
        chance: the probability.
    """
    digest = hmac.new(key, f"{purpose}:{pixels}".encode(), hashlib.sha256).digest()
    return int.from_bytes(digest[:8], "big") < chance * 2**64


def farthest_first(candidates: NDArray[np.floating], covered: NDArray[np.floating], count: int) -> list[int]:
    """Choose photos that stand for all: each the one that is farthest from what is covered, by greedy k-centre.

    No choice of as many photos lets the farthest of the others be nearer than half as far.

    Args:
        candidates: `(n, d)` features.
        covered: `(m, d)` features of photos that are there already; may be empty.
        count: how many to choose at most; copies of what is covered are not chosen.

    Returns:
        Positions among the candidates, in the order of choice.

    References:
        Gonzalez 1985, Clustering to minimize the maximum intercluster distance; Sener and Savarese 2018, Active
        Learning for Convolutional Neural Networks: A Core-Set Approach, arXiv 1708.00489.
    """
    points, known = np.asarray(candidates, np.float64), np.asarray(covered, np.float64)
    nearest = np.full(len(points), np.inf)
    for row in known:
        nearest = np.minimum(nearest, np.square(points - row).sum(axis=1))
    if not len(known) and len(points):  # the first: the one in the middle
        nearest = 1 / (1e-12 + np.square(points - points.mean(axis=0)).sum(axis=1))
    chosen: list[int] = []
    while len(chosen) < min(count, len(points)):
        farthest = int(nearest.argmax())
        if nearest[farthest] <= 0:
            break
        distance = np.square(points - points[farthest]).sum(axis=1)
        nearest = distance if not (chosen or len(known)) else np.minimum(nearest, distance)
        nearest[farthest] = 0
        chosen.append(farthest)
    return chosen
