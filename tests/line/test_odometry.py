"""How far the belt came, by the pieces on it: hand-computed, in a field of 600 mm."""

import numpy as np
import pytest

from binsight.line.odometry import fit_shift

KNOWN = np.array([[300.0, 360, 10, 70], [100, 250, 10, 70], [np.nan, 80, 110, 170]])


def shown_at(shift: float) -> np.ndarray:
    """What is seen of them: the third is still coming in, with the field's end as its trailing edge."""
    seen = KNOWN + np.array([shift, shift, 0.0, 0.0])
    seen[2, 0] = 0.0
    return seen


def fit(known, seen, low=-30.0, high=30.0):
    """Told 20 mm."""
    return fit_shift(known, seen, low, high, step_mm=20.0, length_mm=600.0)


@pytest.mark.parametrize("shift", [-20.0, -3.0, 13.0, 27.5])
def test_all_edges_are_met_at_the_true_shift(shift):
    """Five of them: one has not come in."""
    assert fit(KNOWN, shown_at(shift)) == pytest.approx((shift, 5.0))


def test_the_majority_decides_when_one_box_is_off():
    """A shadow makes one box longer by 25 mm."""
    seen = shown_at(10.0)
    seen[1, 1] += 25
    assert fit(KNOWN, seen)[0] == pytest.approx(10.0)


def test_a_new_piece_is_not_taken_for_one_that_is_known():
    """Belt and pieces came as expected; one more of the same length came in behind, within reach."""
    known = np.array([[40.0, 80, 10, 70]])
    seen = np.array([[40.0, 80, 10, 70], [12, 52, 110, 170]])
    assert fit(known, seen, low=-40.0, high=40.0) == (0.0, 2.0)


def test_what_lies_beyond_the_end_is_not_missed():
    """Ten millimetres further than expected the first has left the field."""
    known = np.array([[595.0, 640, 10, 70], [300, 400, 10, 70]])
    assert fit(known, np.array([[310.0, 410, 10, 70]])) == pytest.approx((10.0, 2.0))


@pytest.mark.parametrize(
    ("known", "seen"),
    [
        (np.empty((0, 4)), shown_at(5)),
        (KNOWN, np.empty((0, 4))),
        (KNOWN, shown_at(5) + np.array([0, 0, 200, 200])),  # on other strips of the belt
        (KNOWN, shown_at(65)),  # further than it can be
    ],
)
def test_what_cannot_be_recognised_shifts_nothing(known, seen):
    """It is told in the count of the edges met."""
    assert fit(known, seen) == (0.0, 0.0)
