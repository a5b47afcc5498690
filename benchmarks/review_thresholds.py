"""How often a review threshold misses its target precision on other photos: three rules, simulated.

    python benchmarks/review_thresholds.py

Two worlds. In the first, confidences are right as often as they say, like those of `waste8` (their log-odds are normal,
97.6 % right). In the second, a confidence says nothing: every prediction is wrong with a share just above what is
allowed, so whatever is accepted misses the target. Rules: the largest share accepted at which the share of right ones
is the target on the photos at hand; at which its Clopper-Pearson bound is; and what binsight does, the same bound from
strict to lax up to the first threshold that fails.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from binsight.probability.intervals import binomial_cdf
from binsight.probability.thresholds import choose_threshold

TARGET: Final = 0.993
DRAWS: Final = 400
NOTHING: Final = 1.0

Rule = Callable[[NDArray[np.float64], NDArray[np.bool_]], float]


def by_share(confidence: NDArray[np.float64], correct: NDArray[np.bool_]) -> float:
    """The least confidence down to which the target is met on these photos."""
    order = np.argsort(-confidence)
    met = np.flatnonzero(np.cumsum(correct[order]) >= TARGET * np.arange(1, len(order) + 1))
    return float(confidence[order[met[-1]]]) if len(met) else NOTHING


def by_bound(confidence: NDArray[np.float64], correct: NDArray[np.bool_]) -> float:
    """The least confidence down to which the bound of the error is no more than is allowed."""
    order = np.argsort(-confidence)
    wrong = np.cumsum(~correct[order])
    for n in range(len(order), 0, -1):
        if binomial_cdf(int(wrong[n - 1]), n, 1 - TARGET) <= 0.05:
            return float(confidence[order[n - 1]])
    return NOTHING


def by_sequence(confidence: NDArray[np.float64], correct: NDArray[np.bool_]) -> float:
    """What binsight does, where it says that the target is shown."""
    found = choose_threshold(confidence, correct, target_precision=TARGET)
    return found.threshold if found.shown_precision == TARGET else NOTHING


def main() -> None:
    """Print, for each rule and number of photos, what is accepted and how often the target is missed."""
    generator = np.random.default_rng(0)
    population = np.sort(_confidences(generator, 200_000))[::-1]
    precision = np.cumsum(population) / np.arange(1, len(population) + 1)
    rules: dict[str, Rule] = {"share": by_share, "bound": by_bound, "sequence": by_sequence}
    print("rule      photos  accepted  target missed  missed where confidence says nothing")
    for photos in (752, 2000):
        for name, rule in rules.items():
            accepted, missed, missed_flat = [], 0, 0
            for _ in range(DRAWS):
                confidence = _confidences(generator, photos)
                threshold = rule(confidence, generator.random(photos) < confidence)
                count = 0 if threshold == NOTHING else int((population >= threshold).sum())
                accepted.append(count / len(population))
                missed += count > 0 and precision[count - 1] < TARGET
                flat = rule(np.linspace(1, 0.51, photos), generator.random(photos) < TARGET - 1e-5)
                missed_flat += flat != NOTHING
            print(f"{name:9} {photos:6} {np.mean(accepted):9.1%} {missed / DRAWS:14.1%} {missed_flat / DRAWS:10.1%}")


def _confidences(generator: np.random.Generator, count: int) -> NDArray[np.float64]:
    return np.maximum(1 / (1 + np.exp(-generator.normal(7.5, 3.2, count))), 0.2)


if __name__ == "__main__":
    main()
