"""Tango's test: by hand, its size and power, and the sample sizes that follow from it."""

from __future__ import annotations

import numpy as np
import pytest

from binsight.loop.fixed_set import Z_05, count_pairs, mcnemar_better, photos_for_power, tango_power, tango_z

DELTA = 0.005


def test_the_statistic_by_hand():
    """With b = c = 0 the likeliest q is the margin itself: z = n d / sqrt(n d (1 - d))."""
    assert tango_z(0, 0, 752, DELTA) == pytest.approx(752 * DELTA / np.sqrt(752 * DELTA * (1 - DELTA)))
    # b = 12, c = 3, n = 44 at d = 0.2: 88 q^2 - 32.8 q ... solved by hand below
    first, second = -12 - 3 - (88 - 3 + 12) * 0.2, 12 * 0.2 * 1.2
    q = (np.sqrt(first**2 - 8 * 44 * second) - first) / (4 * 44)
    assert tango_z(12, 3, 44, 0.2) == pytest.approx((3 - 12 + 8.8) / np.sqrt(44 * (2 * q - 0.24)))


def test_q_is_the_likeliest_value():
    """The closed form is where the likelihood under "worse by exactly the margin" has its peak."""
    b, c, n, d = 14, 9, 700, 0.01
    q = np.linspace(d + 1e-6, 0.2, 400_000)
    likelihood = b * np.log(q) + c * np.log(q - d) + (n - b - c) * np.log(1 - 2 * q + d)
    best = q[likelihood.argmax()]
    assert tango_z(b, c, n, d) == pytest.approx((c - b + n * d) / np.sqrt(n * (2 * best - d * (1 + d))), rel=1e-3)


def test_more_losses_never_speak_for_the_new_model():
    """And more wins never against it."""
    z = tango_z(np.arange(40)[:, None], np.arange(40)[None], 1000, DELTA)
    assert (np.diff(z, axis=0) < 0).all()
    assert (np.diff(z, axis=1) > 0).all()


@pytest.mark.parametrize("psi", [0.0075, 0.02, 0.05])
@pytest.mark.parametrize("n", [752, 2000])
def test_size_at_the_boundary(psi, n):
    """A model that is worse by exactly the margin passes in at most 6 % of all cases, at nominal 5 %."""
    shares = [(psi + DELTA) / 2, (psi - DELTA) / 2, 1 - psi]
    drawn = np.random.default_rng(1).multinomial(n, shares, size=40_000)
    assert (tango_z(drawn[:, 0], drawn[:, 1], n, DELTA) >= Z_05).mean() <= 0.06


@pytest.mark.parametrize(("psi", "n"), [(0.005, 1622), (0.01, 2739), (0.02, 5109)])
def test_power_is_that_of_the_table(psi, n):
    """80 % for equal models, simulated and summed; the sample size comes back from the power."""
    drawn = np.random.default_rng(2).multinomial(n, [psi / 2, psi / 2, 1 - psi], size=40_000)
    simulated = (tango_z(drawn[:, 0], drawn[:, 1], n, DELTA) >= Z_05).mean()
    assert simulated == pytest.approx(0.80, abs=0.03)
    assert tango_power(n, psi, DELTA) == pytest.approx(simulated, abs=0.01)
    assert photos_for_power(psi, DELTA) == pytest.approx(n, rel=0.03)


def test_752_photos_are_few():
    """They prove half a point with .24 to .34 only, at 1 and 2 %."""
    powers = [tango_power(752, psi, DELTA) for psi in (0.02, 0.01)]
    assert powers == [pytest.approx(0.24, abs=0.03), pytest.approx(0.34, abs=0.03)]


def test_copies_count_once():
    """For whoever has more of them right; not at all where both have as many."""
    old = np.array([1, 1, 0, 1, 0, 1, 0], bool)
    new = np.array([0, 0, 1, 0, 1, 1, 1], bool)
    assert count_pairs(old, new, np.array([5, 5, 5, 7, 7, 8, 9])) == (1, 1, 4)


def test_mcnemar_by_hand():
    """Of 6 photos the new one wins all: 1 / 64; of none: 1."""
    assert mcnemar_better(0, 6) == pytest.approx(1 / 64)
    assert mcnemar_better(3, 3) == pytest.approx(42 / 64)
    assert mcnemar_better(0, 0) == 1.0


@pytest.mark.parametrize(("psi", "margin"), [(0.03, 0.005), (0.06, 0.01)])
def test_where_models_differ_much_the_number_is_estimated(psi, margin):
    """As the exact sum has it within a twentieth; summing it would take hours and all memory."""
    n = photos_for_power(psi, margin)
    assert tango_power(n, psi, margin) == pytest.approx(0.8, abs=0.02)
    assert photos_for_power(0.9, 0.005) == pytest.approx(222_600, rel=0.01)
