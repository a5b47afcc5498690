"""The gate: may a challenger take the champion's place? The rule, and the reasons it gives.

Promoted is what is proven to be no worse (proof, regression), is better where it should be (benefit), and does no harm
of other kinds (guards). All of it is counted on photos that both have seen; copies of one photo count once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from binsight.evaluation.bootstrap import bootstrap_intervals
from binsight.loop.evidence import PROVEN, photos_to_proof, proof_of_no_harm
from binsight.loop.fixed_set import Z_005, Z_05, PairedCounts, count_pairs, mcnemar_better, photos_for_power, tango_z

__all__ = ["Check", "Cost", "GateResult", "Judged", "Outcome", "Pair", "Verdict", "judge", "missing_live"]

Outcome = Literal["passed", "failed", "open", "not measured"]
Verdict = Literal["promote", "worse", "not proven"]
Benefit = Literal["smaller", "faster"]

_ALPHA = 0.05
_REGRESSION = 0.02
_HARM_MARGIN = 0.01
_UNKNOWN_MARGIN = 0.05
_MOST_BRIER = 0.005
_MOST_TIME, _MOST_SIZE = 1.25, 1.5
_LEAST_PSI = 0.0025  # where the models never differed, that much cannot be ruled out


@dataclass(frozen=True, eq=False)
class Judged:
    """What one model says of n photos.

    Attributes:
        predicted: `(n,)`, the class.
        accepted: `(n,)`, rather than sent to review.
        brier: `(n,)`, the squared distance of the probabilities from the truth; of no use for unknown photos.
    """

    predicted: NDArray[np.intp]
    accepted: NDArray[np.bool_]
    brier: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Pair:
    """Both models on the same n photos.

    Attributes:
        truth: `(n,)`, the class; -1 for a photo of none of them.
        copies: `(n,)`, copies of one photo have the same number.
        old: what the champion says.
        new: what the challenger says.
    """

    truth: NDArray[np.intp]
    copies: NDArray[np.intp]
    old: Judged
    new: Judged

    @property
    def known(self) -> NDArray[np.bool_]:
        """`(n,)`, whether the photo is of one of the classes."""
        found: NDArray[np.bool_] = self.truth >= 0
        return found

    def right(self, who: Judged) -> NDArray[np.bool_]:
        """`(n,)`, whether a model is right; of an unknown photo, whether it sends it to review."""
        found: NDArray[np.bool_] = np.where(self.known, who.predicted == self.truth, ~who.accepted)
        return found

    def counts(self, old: NDArray[np.bool_], new: NDArray[np.bool_], chosen: NDArray[np.bool_]) -> PairedCounts:
        """Count one property of both on the chosen photos."""
        return count_pairs(old[chosen], new[chosen], self.copies[chosen])


@dataclass(frozen=True, slots=True)
class Cost:
    """The challenger's cost as a multiple of the champion's: of time for a photo, and of the bundle's size."""

    time: float
    size: float


@dataclass(frozen=True, slots=True)
class Check:
    """One part of the rule.

    Attributes:
        name: of the part.
        outcome: `passed`; `failed`: it is worse; `open`: neither is shown; `not measured`: there are no such photos.
        text: what was asked.
    """

    name: str
    outcome: Outcome
    text: str


@dataclass(frozen=True, slots=True)
class GateResult:
    """What the gate found.

    Attributes:
        verdict: promote, worse, or not proven.
        checks: its reasons.
        photos: how many photos more would probably prove it, were both equally good; 0 where it is proven.
        labels: how many of these a person would have to label.
    """

    verdict: Verdict
    checks: tuple[Check, ...]
    photos: int = 0
    labels: int = 0

    def describe(self) -> str:
        """The verdict in words."""
        if self.verdict == "not proven" and self.photos:
            return f"not proven: {self.photos:,} photos, {self.labels:,} labels more"
        return self.verdict


def judge(
    locked: Pair,
    hard: Pair | None,
    cost: Cost,
    *,
    margin: float = 0.005,
    looks_alpha: Literal["one", "ten"] = "ten",
    live: PairedCounts | None = None,
    declared: Benefit | None = None,
) -> GateResult:
    """Apply the rule.

    Args:
        locked: both models on photos that neither has seen.
        hard: on photos that were hard for models before, collected after the challenger's training; None: there are
            none.
        cost: of the challenger.
        margin: by which share of photos it may be worse.
        looks_alpha: whether the locked photos are looked at once, or ten times, so that each look has a tenth of 5 %.
        live: counts of a shadow on live photos, which then give the proof.
        declared: what the challenger is wanted for, where it need not be better.
    """
    z = Z_05 if looks_alpha == "one" else Z_005
    right = locked.counts(locked.right(locked.old), locked.right(locked.new), locked.known)
    proof = _live_proof(live, margin) if live else _no_harm("proof", right, margin, z, "right predictions")
    harm = _guard_harm(locked)
    checks = [
        proof,
        _no_harm("regression", right, _REGRESSION, z, "right predictions"),
        _benefit(locked, hard, cost, declared, harm),
        harm,
        _guard_unknown(locked),
        _guard_classes(locked),
        _guard_brier(locked),
        *_guard_cost(cost),
    ]
    outcomes = {check.outcome for check in checks}
    verdict: Verdict = "worse" if "failed" in outcomes else "not proven" if "open" in outcomes else "promote"
    photos, labels = (0, 0) if proof.outcome == "passed" else _missing(right, live, margin, z)
    return GateResult(verdict, tuple(checks), photos, labels)


def _no_harm(name: str, counts: PairedCounts, margin: float, z: float, what: str) -> Check:
    text = f"{what}: not worse by {100 * margin:g} points (Tango)"
    if counts.n == 0:
        return Check(name, "not measured", text)
    found = float(tango_z(*counts, margin))
    if found >= z:
        return Check(name, "passed", text)
    return Check(name, "failed" if found <= -Z_05 or _is_worse(counts) else "open", text)


def _is_worse(counts: PairedCounts) -> bool:
    """Whether the old model has more photos right, beyond luck."""
    return mcnemar_better(counts.c, counts.b) < _ALPHA


def _live_proof(live: PairedCounts, margin: float) -> Check:
    is_proven = float(proof_of_no_harm(*live, margin)) >= PROVEN
    text = f"right predictions live: not worse by {100 * margin:g} points (evidence {PROVEN:g})"
    return Check("proof", "passed" if is_proven else "failed" if _is_worse(live) else "open", text)


def _benefit(locked: Pair, hard: Pair | None, cost: Cost, declared: Benefit | None, harm: Check) -> Check:
    text = "more hard photos right, or fewer reviews without more harm (McNemar)"
    if declared is not None:
        ratio = cost.size if declared == "smaller" else cost.time
        return Check("benefit", "passed" if ratio < 1 else "failed", f"declared to be {declared}")
    if hard is not None:
        counts = hard.counts(hard.right(hard.old), hard.right(hard.new), np.ones(len(hard.truth), bool))
        if mcnemar_better(counts.b, counts.c) < _ALPHA:
            return Check("benefit", "passed", text)
    reviews = locked.counts(locked.old.accepted, locked.new.accepted, locked.known)
    fewer = mcnemar_better(reviews.b, reviews.c) < _ALPHA
    return Check("benefit", "passed" if fewer and harm.outcome == "passed" else "open", text)


def _guard_harm(locked: Pair) -> Check:
    safe = [~(who.accepted & (who.predicted != locked.truth)) for who in (locked.old, locked.new)]
    counts = locked.counts(safe[0], safe[1], locked.known)
    return _no_harm("accepted and wrong", counts, _HARM_MARGIN, Z_05, "accepted and wrong")


def _guard_unknown(locked: Pair) -> Check:
    counts = locked.counts(~locked.old.accepted, ~locked.new.accepted, ~locked.known)
    return _no_harm("unknown reviewed", counts, _UNKNOWN_MARGIN, Z_05, "unknown photos sent to review")


def _guard_classes(locked: Pair) -> Check:
    """No class is worse beyond luck; unadjusted, so that a single class counts."""
    old, new = locked.right(locked.old), locked.right(locked.new)
    classes = np.unique(locked.truth[locked.known])
    worse = [k for k in classes if _is_worse(locked.counts(old, new, locked.truth == k))]
    return Check("classes", "failed" if worse else "passed", "no class worse (McNemar)")


def _guard_brier(locked: Pair) -> Check:
    difference = (locked.new.brier - locked.old.brier)[locked.known]
    text = f"confidences: Brier score not worse by {_MOST_BRIER:g}"
    if not len(difference):
        return Check("brier", "not measured", text)
    figures = lambda weights: {"brier": weights @ difference / weights.sum(axis=1)}  # noqa: E731
    found = bootstrap_intervals(figures, [locked.copies[locked.known]], seed=0)["brier"]
    outcome: Outcome = "passed" if found.high <= _MOST_BRIER else "failed" if found.low > _MOST_BRIER else "open"
    return Check("brier", outcome, text)


def _guard_cost(cost: Cost) -> Iterator[Check]:
    yield Check("time", "passed" if cost.time <= _MOST_TIME else "failed", f"time for a photo: at most {_MOST_TIME:g}x")
    yield Check("size", "passed" if cost.size <= _MOST_SIZE else "failed", f"size: at most {_MOST_SIZE:g}x")


def missing_live(live: PairedCounts, margin: float) -> tuple[int, int]:
    """Live photos, and labels, that would probably prove it, were both models equally good."""
    psi = _share_of_differences(live)
    photos = photos_to_proof(psi, margin, float(proof_of_no_harm(*live, margin)))
    return photos, int(np.ceil(photos * psi))


def _missing(fixed: PairedCounts, live: PairedCounts | None, margin: float, z: float) -> tuple[int, int]:
    if live is not None:
        return missing_live(live, margin)
    photos = max(1, photos_for_power(_share_of_differences(fixed), margin, z) - fixed.n)
    return photos, photos


def _share_of_differences(seen: PairedCounts) -> float:
    return max(_LEAST_PSI, (seen.b + seen.c) / seen.n) if seen.n else 2 * _LEAST_PSI
