"""Connected components."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from binsight.line.components import find_components


def test_two_squares_and_a_diagonal_neighbour():
    """Corners connect; boxes and areas by hand."""
    mask = np.zeros((6, 8), dtype=bool)
    mask[0:2, 0:2] = True
    mask[2, 2] = True
    mask[4:6, 5:8] = True
    first, second = find_components(mask)
    assert (first.top, first.left, first.bottom, first.right, first.area) == (0, 0, 3, 3, 5)
    assert (second.top, second.left, second.bottom, second.right, second.area) == (4, 5, 6, 8, 6)
    assert first.mask.tolist() == [[True, True, False], [True, True, False], [False, False, True]]


def test_a_u_is_one_component_and_small_ones_are_left_out():
    """A u is one component and small ones are left out."""
    mask = np.array([[1, 0, 1, 0, 1], [1, 0, 1, 0, 0], [1, 1, 1, 0, 0]], dtype=bool)
    assert [part.area for part in find_components(mask, min_area=2)] == [7]
    assert find_components(np.zeros((3, 3), dtype=bool)) == []


@given(arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12))))
def test_components_are_a_partition_that_flooding_confirms(mask):
    """Together they are the mask; each is what a flood from one of its pixels reaches."""
    total = np.zeros(mask.shape, dtype=int)
    for part in find_components(mask):
        here = np.zeros(mask.shape, dtype=bool)
        here[part.top : part.bottom, part.left : part.right] = part.mask
        assert here.sum() == part.area
        total += here
        seed = np.zeros(mask.shape, dtype=bool)
        seed[tuple(np.argwhere(here)[0])] = True
        while True:
            padded = np.pad(seed, 1)
            grown = np.any(
                [padded[y : y + mask.shape[0], x : x + mask.shape[1]] for y in range(3) for x in range(3)], axis=0
            )
            if (grown & mask).sum() == seed.sum():
                break
            seed = grown & mask
        assert (seed == here).all()
    assert (total == mask).all()
