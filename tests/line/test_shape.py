"""One piece or several, by the outline."""

import numpy as np
import pytest

from binsight.line.shape import fill_of_hull, looks_like_several


def disc(size: int) -> np.ndarray:
    """A round mask."""
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    return x**2 + y**2 <= (size / 2) ** 2


def test_the_hull_of_a_rectangle_is_itself_and_of_an_l_is_more():
    """By hand: an L of three squares fills 3 of the 3.5 in its hull."""
    assert fill_of_hull(np.ones((4, 9), dtype=bool)) == pytest.approx(1.0)
    corner = np.ones((8, 8), dtype=bool)
    corner[:4, 4:] = False
    assert fill_of_hull(corner) == pytest.approx(48 / 56)


def test_a_piece_is_one():
    """A piece is one."""
    assert not looks_like_several(disc(20))
    assert not looks_like_several(np.ones((6, 30), dtype=bool))
    assert not looks_like_several(np.ones((1, 1), dtype=bool))


def test_two_that_touch_are_several():
    """Two that touch are several."""
    pair = np.zeros((20, 38), dtype=bool)
    pair[:, :20] |= disc(20)
    pair[:, 18:] |= disc(20)
    assert looks_like_several(pair)
    angle = np.zeros((30, 30), dtype=bool)
    angle[:6] = True
    angle[:, :6] = True
    assert looks_like_several(angle)
