"""From pairs to groups."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from binsight.dataset.duplicates.groups import connected_groups


def test_hand_computed_groups():
    """Two chains and a loner get three numbers, counted up by first appearance."""
    assert connected_groups(6, [(0, 3), (3, 5), (2, 1)]) == [0, 1, 1, 0, 2, 0]


def test_no_pairs():
    """Without pairs everyone is alone."""
    assert connected_groups(3, []) == [0, 1, 2]


@given(st.lists(st.tuples(st.integers(0, 19), st.integers(0, 19)), max_size=40))
def test_order_and_direction_of_pairs_do_not_matter(pairs):
    """Reversed pairs in reversed order give the same groups, and both ends of a pair share one."""
    groups = connected_groups(20, pairs)
    assert groups == connected_groups(20, [(b, a) for a, b in reversed(pairs)])
    assert all(groups[a] == groups[b] for a, b in pairs)
