"""Whether the interval on a lane's purity holds the truth, over simulated shifts whose truth is known.

    python benchmarks/line_purity.py [--shifts 500] [--seed 1] [--plot FILE.png]

A shift has 4 to 10 hours of very different numbers of pieces; its share of wrong pieces differs from hour to hour, and
wrong pieces come in runs. Accepted and reviewed pieces are drawn for the audit with different probabilities, and the
auditor manages between half and all of what was drawn, hour by hour. At each audit rate, for one lane (accepted pieces
alone) and for the whole belt (with those sent to review):

- ours: stratified Jeffreys, finite-population prediction, the prior's mass shared out by pieces;
- half each: the same with Beta(½, ½) in every stratum;
- Wilson, Wald: on all audits together, without weights, as is often done;
- Wald, weighted: normal approximation of the stratified estimate.

Wanted of ours: the truth is in at least 93 % and at most 99 % of the intervals. Prints also the mean width.

`--plot` draws, instead, how the interval of one shift becomes narrower with every audit.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from binsight.line.purity import Stratum, estimate_purity, merge_strata

_Z = 1.959964
_STAY = 0.8  # probability that a piece is right or wrong because the one before it was: runs of 5 pieces

Interval = tuple[float, float]
Method = Callable[[Sequence[Stratum], np.random.Generator], Interval]


@dataclass(frozen=True)
class Shift:
    """What the ledger holds of one, and the truth."""

    strata: list[Stratum]
    purity: float


def simulate(generator: np.random.Generator, *, rate: float, reviewed: bool) -> Shift:
    """One shift; `rate` scales how many pieces are drawn: 1 is 2 % of accepted and 20 % of reviewed pieces."""
    hours = int(generator.integers(4, 11))
    kinds = [("accept", 0.02 * rate, generator.uniform(0.003, 0.06), 7.5)]
    if reviewed:
        kinds.append(("review", 0.2 * rate, generator.uniform(0.2, 0.6), 4.5))
    strata, right, pieces = [], 0, 0
    for kind, share, wrong_share, volume in kinds:
        for _ in range(hours):
            count = int(generator.lognormal(volume, 0.7)) + 1
            wrong = _defects(generator, count, min(0.95, wrong_share * generator.lognormal(0, 0.7)))
            labelled = generator.random(count) < share * generator.uniform(0.5, 1)
            bad = int(wrong[labelled].sum())
            strata.append(Stratum(count, {"right": int(labelled.sum()) - bad, "wrong": bad}, kind))
            right, pieces = right + count - int(wrong.sum()), pieces + count
    return Shift(strata, right / pieces)


def _defects(generator: np.random.Generator, count: int, share: float) -> NDArray[np.bool_]:
    fresh = generator.random(count) > _STAY
    fresh[0] = True
    last = np.maximum.accumulate(np.where(fresh, np.arange(count), 0))
    return np.asarray((generator.random(count) < share)[last])


def ours(strata: Sequence[Stratum], _: np.random.Generator) -> Interval:
    """What binsight reports."""
    found = estimate_purity(strata, {"right"})
    return found.low, found.high


def half_each(strata: Sequence[Stratum], generator: np.random.Generator) -> Interval:
    """A whole Jeffreys prior for every stratum."""
    sizes, audited, right = _columns(merge_strata(strata))
    shares = generator.beta(right + 0.5, audited - right + 0.5, (10_000, len(sizes)))
    purity = (right + generator.binomial(sizes - audited, shares)).sum(axis=1) / sizes.sum()
    low, high = np.quantile(purity, [0.025, 0.975])
    return float(low), float(high) if (right < audited).any() else 1.0


def wilson(strata: Sequence[Stratum], _: np.random.Generator) -> Interval:
    """Wilson 1927, all audits together."""
    audited, right = _columns(strata)[1:]
    n, p = audited.sum(), right.sum() / audited.sum()
    middle = (p + _Z**2 / 2 / n) / (1 + _Z**2 / n)
    half = _Z * np.sqrt(p * (1 - p) / n + _Z**2 / 4 / n**2) / (1 + _Z**2 / n)
    return middle - half, middle + half


def wald(strata: Sequence[Stratum], _: np.random.Generator) -> Interval:
    """Normal approximation, all audits together."""
    audited, right = _columns(strata)[1:]
    n, p = audited.sum(), right.sum() / audited.sum()
    half = _Z * np.sqrt(p * (1 - p) / n)
    return p - half, p + half


def weighted_wald(strata: Sequence[Stratum], _: np.random.Generator) -> Interval:
    """Normal approximation of the stratified estimate, with its correction for finite populations."""
    sizes, audited, right = _columns(merge_strata(strata))
    weights, p = sizes / sizes.sum(), right / audited
    variance = p * (1 - p) / np.maximum(1, audited - 1) * (1 - audited / sizes)
    middle, half = (weights * p).sum(), _Z * np.sqrt((weights**2 * variance).sum())
    return middle - half, middle + half


def _columns(strata: Sequence[Stratum]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    rows = np.array([(s.pieces, s.audited, s.found.get("right", 0)) for s in strata])
    return rows[:, 0], rows[:, 1], rows[:, 2]


_METHODS: dict[str, Method] = {
    "ours": ours,
    "half each": half_each,
    "Wilson": wilson,
    "Wald": wald,
    "Wald, weighted": weighted_wald,
}


def draw(file: Path, generator: np.random.Generator) -> None:
    """One lane of 8 hours and 8,000 pieces, 97 % of them right, audited one after another in random order."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - only the plot needs it

    hours, each, most = 8, 1000, 1000
    right = ~np.stack([_defects(generator, each, share) for share in np.linspace(0.01, 0.05, hours)])
    order = generator.permutation(hours * each)
    numbers = np.unique(np.geomspace(10, most, 60).astype(int))
    found = []
    for number in numbers:
        hour, audited = order[:number] // each, right.ravel()[order[:number]]
        good, seen = (np.bincount(hour, weights=w, minlength=hours).astype(int) for w in (audited, np.ones(number)))
        strata = [Stratum(each, {"right": int(g), "wrong": int(n - g)}) for g, n in zip(good, seen, strict=True)]
        found.append(estimate_purity(strata, {"right"}))
    figure = Figure(figsize=(7, 3.6), layout="constrained")
    axes = figure.subplots()
    axes.fill_between(numbers, [100 * f.low for f in found], [100 * f.high for f in found], color="#3a6ea5", alpha=0.25)
    axes.plot(numbers, [100 * (f.purity or 0) for f in found], color="#3a6ea5", label="estimate and 95 % interval")
    axes.axhline(100 * right.mean(), color="#1d2420", linewidth=1, label=f"truth, {right.mean():.1%}")
    axes.axhline(95, color="#a86400", linewidth=1, linestyle=(0, (4, 3)), label="wanted, 95 %")
    axes.set_xscale("log")
    ticks = [10, 30, 100, 300, 1000]
    axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    axes.minorticks_off()
    axes.set(xlabel="pieces audited, of 8,000", ylabel="purity in %", ylim=(70, 100.5), xlim=(10, most))
    axes.legend(loc="lower right", frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(file, dpi=130, facecolor="white")


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shifts", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--plot", type=Path, metavar="FILE.png")
    arguments = parser.parse_args()
    if arguments.plot:
        draw(arguments.plot, np.random.default_rng(arguments.seed))
        return
    print(f"{'what':<12}{'rate':>6}{'audits':>8}" + "".join(f"{name:>18}" for name in _METHODS))
    held_in_all: dict[str, list[bool]] = {name: [] for name in _METHODS}
    for reviewed in (False, True):
        for rate in (0.25, 1.0, 3.0):
            generator = np.random.default_rng(arguments.seed)
            shifts = [simulate(generator, rate=rate, reviewed=reviewed) for _ in range(arguments.shifts)]
            shifts = [shift for shift in shifts if any(s.audited for s in shift.strata)]
            cells = []
            for name, method in _METHODS.items():
                intervals = [method(shift.strata, generator) for shift in shifts]
                held = [low <= s.purity <= high for (low, high), s in zip(intervals, shifts, strict=True)]
                held_in_all[name] += held
                width = np.mean([high - low for low, high in intervals])
                cells.append(f"{np.mean(held):>10.1%} ({width:.3f})")
            audits = np.median([sum(s.audited for s in shift.strata) for shift in shifts])
            what = "whole belt" if reviewed else "lane"
            print(f"{what:<12}{rate:>6}{audits:>8.0f}" + "".join(f"{cell:>18}" for cell in cells), flush=True)
    print(f"{'all':<26}" + "".join(f"{np.mean(held):>10.1%}{'':>8}" for held in held_in_all.values()))


if __name__ == "__main__":
    main()
