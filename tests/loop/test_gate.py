"""The rule: what promotes, what is worse, what is not proven, and how much is missing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from binsight.loop.fixed_set import PairedCounts
from binsight.loop.gate import Cost, Judged, Pair, judge

N = 3000
EQUAL = Cost(1.0, 1.0)


def judged(right, accepted=None, brier=0.05):
    """Return what a model says of photos of class 0, right where it is."""
    right = np.asarray(right, bool)
    accepted = np.ones(len(right), bool) if accepted is None else np.asarray(accepted, bool)
    return Judged(np.where(right, 0, 1).astype(np.intp), accepted, np.full(len(right), brier))


def pair(old_right, new_right, **more):
    """Return both models on photos of class 0."""
    n = len(old_right)
    return Pair(np.zeros(n, np.intp), np.arange(n), judged(old_right), judged(new_right, **more))


def first(count, n=N):
    """Return n marks, the first `count` of them false."""
    return np.arange(n) >= count


SAME = pair(first(60), first(60))
HARD = pair(first(40, 50), first(20, 50))


def outcomes(result):
    """Return name → outcome of its checks."""
    return {check.name: check.outcome for check in result.checks}


def test_an_equal_model_that_is_better_on_hard_photos_is_promoted():
    """All parts of the rule are met."""
    result = judge(SAME, HARD, EQUAL)
    assert (result.verdict, result.photos, result.describe()) == ("promote", 0, "promote")
    assert outcomes(result)["unknown reviewed"] == "not measured"


def test_without_a_benefit_it_stays_outside():
    """Not worse is not enough, unless it is declared smaller or faster, and is."""
    assert outcomes(judge(SAME, None, EQUAL))["benefit"] == "open"
    assert judge(SAME, None, EQUAL).verdict == "not proven"
    assert judge(SAME, None, Cost(1, 0.5), declared="smaller").verdict == "promote"
    assert judge(SAME, None, Cost(1.1, 0.5), declared="faster").verdict == "worse"


def test_fewer_reviews_are_a_benefit():
    """But not where more of what is accepted is wrong."""
    fewer = replace(SAME, old=judged(first(60), accepted=first(600) | ~first(60)))
    assert judge(fewer, None, EQUAL).verdict == "promote"
    # The old model reviewed what it had wrong; the new one accepts it.
    harmful = replace(fewer, new=judged(first(60)), old=judged(first(300), accepted=first(600)))
    assert outcomes(judge(harmful, None, EQUAL))["accepted and wrong"] != "passed"


def test_too_few_photos_prove_nothing_and_it_is_said_how_many_would():
    """On a fixed set every photo needs a label; live only disagreements do."""
    few = pair(first(8, 752), first(8, 752))
    result = judge(few, HARD, EQUAL)
    assert (result.verdict, result.photos == result.labels > 0) == ("not proven", True)
    live = judge(SAME, HARD, EQUAL, live=PairedCounts(8, 8, 1600))
    assert (live.verdict, live.photos > 10 * live.labels > 0) == ("not proven", True)
    assert live.describe() == f"not proven: {live.photos:,} photos, {live.labels:,} labels more"
    assert judge(SAME, HARD, EQUAL, live=PairedCounts(16, 16, 4000)).verdict == "promote"


def test_a_worse_model_is_told_so():
    """By the right predictions, fixed or live, or by a single class."""
    assert judge(pair(first(60), first(150)), HARD, EQUAL).verdict == "worse"
    assert outcomes(judge(SAME, HARD, EQUAL, live=PairedCounts(30, 5, 2000)))["proof"] == "failed"
    truth = np.where(first(200), 1, 0).astype(np.intp)
    new = Judged(np.where(first(190), truth, 1 - truth), np.ones(N, bool), np.full(N, 0.05))
    old = Judged(np.where(first(180), truth, 1 - truth), np.ones(N, bool), np.full(N, 0.05))
    assert outcomes(judge(Pair(truth, np.arange(N), new, old), HARD, EQUAL))["classes"] == "passed"
    assert outcomes(judge(Pair(truth, np.arange(N), old, new), HARD, EQUAL))["classes"] == "failed"


def test_ten_looks_need_more_than_one():
    """Each has a tenth of the risk."""
    assert judge(pair(first(8, 900), first(8, 900)), HARD, EQUAL, looks_alpha="one").verdict == "promote"
    assert judge(pair(first(8, 900), first(8, 900)), HARD, EQUAL, looks_alpha="ten").verdict == "not proven"


@pytest.mark.parametrize(
    ("changes", "name"),
    [({"cost": Cost(1.3, 1)}, "time"), ({"cost": Cost(1, 1.6)}, "size"), ({"brier": 0.06}, "brier")],
)
def test_guards(changes, name):
    """Each alone keeps a model outside."""
    locked = pair(first(60), first(60), brier=changes.get("brier", 0.05))
    result = judge(locked, HARD, changes.get("cost", EQUAL))
    assert (result.verdict, outcomes(result)[name]) == ("worse", "failed")
    assert [n for n, o in outcomes(result).items() if o == "failed"] == [name]


def test_unknown_photos_must_still_be_reviewed():
    """A model that accepts what is none of the classes is worse, however right it is elsewhere."""
    truth = np.where(first(400), 0, -1).astype(np.intp)
    old = judged(np.ones(N), accepted=first(400))
    new = judged(np.ones(N), accepted=first(300))
    result = judge(Pair(truth, np.arange(N), old, new), HARD, EQUAL)
    assert outcomes(result)["unknown reviewed"] == "failed"
    assert outcomes(judge(Pair(truth, np.arange(N), old, old), HARD, EQUAL))["unknown reviewed"] == "passed"
    assert outcomes(result)["accepted and wrong"] == "passed"  # of known photos
