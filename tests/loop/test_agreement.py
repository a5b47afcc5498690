"""Agreement of labellers, by hand and at its ends."""

from __future__ import annotations

import math

import numpy as np
import pytest

from binsight.loop.agreement import cohen_kappa, krippendorff_alpha, measure_agreement

FIRST = np.array([0] * 25 + [1] * 25, np.intp)
SECOND = np.array([0] * 20 + [1] * 5 + [0] * 10 + [1] * 15, np.intp)


def test_kappa_by_hand():
    """20 and 15 of 50 agreed, 0.5 by habit: (0.7 - 0.5) / (1 - 0.5)."""
    assert cohen_kappa(FIRST, SECOND) == pytest.approx(0.4)


def test_alpha_by_hand():
    """100 answers, 55 and 45: D_o = 0.3, D_e = 2 * 55 * 45 / (100 * 99)."""
    assert krippendorff_alpha(FIRST, SECOND) == pytest.approx(1 - 0.3 / (2 * 55 * 45 / 9900))


def test_ends():
    """Agreement on everything is 1; where all say one thing nothing can be said; by chance it is about 0."""
    assert cohen_kappa(FIRST, FIRST) == krippendorff_alpha(FIRST, FIRST) == 1
    same = np.zeros(5, np.intp)
    assert math.isnan(cohen_kappa(same, same))
    assert math.isnan(krippendorff_alpha(same, same))
    drawn = np.random.default_rng(0).integers(0, 4, (2, 20_000))
    assert abs(cohen_kappa(*drawn)) < 0.02
    assert abs(krippendorff_alpha(*drawn)) < 0.02


def test_intervals():
    """Hold the value, and are there for one pair or none."""
    names = {0: "red", 1: "blue"}
    found = measure_agreement([(names[a], names[b]) for a, b in zip(FIRST.tolist(), SECOND.tolist(), strict=True)])
    assert (found.photos, found.share.value, found.kappa.value) == (50, pytest.approx(0.7), pytest.approx(0.4))
    assert 0.1 < found.kappa.low < 0.4 < found.kappa.high < 0.7
    assert found.alpha.low < found.alpha.value < found.alpha.high
    assert measure_agreement([]).photos == 0
    assert measure_agreement([("red", "blue")]).share.value == 0
