"""From pairs to groups: photos that are copies of copies belong together."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["connected_groups"]


def connected_groups(count: int, pairs: Iterable[tuple[int, int]]) -> list[int]:
    """The connected components of a graph.

    Args:
        count: number of nodes.
        pairs: edges between nodes 0 to `count - 1`.

    Returns:
        For each node the number of its group; groups are numbered 0, 1, ... by their first node.
    """
    parent = list(range(count))

    def root(node: int) -> int:
        while parent[node] != node:
            parent[node] = parent[parent[node]]  # halves the way for the next time
            node = parent[node]
        return node

    for first, second in pairs:
        a, b = root(first), root(second)
        parent[max(a, b)] = min(a, b)
    numbers: dict[int, int] = {}
    return [numbers.setdefault(root(node), len(numbers)) for node in range(count)]
