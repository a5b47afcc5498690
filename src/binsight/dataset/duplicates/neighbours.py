"""The nearest of many vectors without comparing all with all: of cells around centres only the nearest are searched.

With about `sqrt(n)` cells a query looks at `sqrt(n)` centres and a few cells of `sqrt(n)` vectors, so n queries cost
n^1.5 instead of n^2. Every step is a product of dense matrices, which is what NumPy is fast at; the result is the same
on every run.

References:
    Jégou, Douze, Schmid 2011, Product Quantization for Nearest Neighbor Search, section IV (the inverted file).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

__all__ = ["CellIndex", "Neighbours"]

_EXACT_UP_TO = 2048  # vectors; below, comparing all is faster than making cells
_ROUNDS = 6
_SAMPLES_PER_CELL = 48
_PROBES = 12
_BLOCK = 8192


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Pairs of a query and a vector near it, the nearest first for each query.

    Attributes:
        query: `(m,)` positions among the queries, ascending.
        vector: `(m,)` positions among the vectors.
        similarity: `(m,)` float32, cosine in [-1, 1].
    """

    query: NDArray[np.int64]
    vector: NDArray[np.int64]
    similarity: NDArray[np.float32]


class CellIndex:
    """Unit vectors, ready to be searched.

    Args:
        vectors: `(n, d)` float32, each of length 1 or 0.
        seed: for the choice of the first centres.
        probes: how many cells a query looks into. More finds more and takes longer.
    """

    def __init__(self, vectors: NDArray[np.float32], *, seed: int = 0, probes: int = _PROBES) -> None:
        self._vectors = vectors
        cells = 1 if len(vectors) <= _EXACT_UP_TO else round(2 * len(vectors) ** 0.5)
        self._centres = _find_centres(vectors, cells, np.random.default_rng(seed))
        self._members = _members(_nearest_centre(vectors, self._centres), cells, limit=8 * len(vectors) // cells + 1)
        # A crowded cell was cut into several; each piece has the centre of the whole.
        self._centres = self._centres[[cell for cell, _ in self._members]]
        self._probes = min(probes, len(self._members))

    def search(
        self, queries: NDArray[np.float32], *, k: int, threshold: float, first_row: int | None = None
    ) -> Neighbours:
        """For each query up to `k` vectors with a cosine of at least `threshold`.

        Args:
            queries: `(m, d)` float32, unit vectors.
            k: at least 1.
            threshold: least cosine.
            first_row: when given, query `i` is not compared with vector `first_row + i`: itself.
        """
        parts = [
            self._search_block(queries[start : start + _BLOCK], start, k, threshold, first_row)
            for start in range(0, len(queries), _BLOCK)
        ]
        if not parts:
            return Neighbours(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))
        return Neighbours(
            np.concatenate([p.query for p in parts]),
            np.concatenate([p.vector for p in parts]),
            np.concatenate([p.similarity for p in parts]),
        )

    def _search_block(
        self, queries: NDArray[np.float32], start: int, k: int, threshold: float, first_row: int | None
    ) -> Neighbours:
        found_query, found_vector, found_similarity = [], [], []
        for asking, (_, members) in zip(self._asking(queries), self._members, strict=True):
            if not len(asking):
                continue
            similarity = queries[asking] @ self._vectors[members].T
            if first_row is not None:
                similarity[members[None, :] == (asking + start + first_row)[:, None]] = -np.inf
            row, column = _best_of_block(similarity, k, threshold)
            found_query.append(asking[row])
            found_vector.append(members[column])
            found_similarity.append(similarity[row, column])
        if not found_query:
            return Neighbours(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))
        query, vector = np.concatenate(found_query), np.concatenate(found_vector)
        return _keep_best(query, vector, np.concatenate(found_similarity), k, start)

    def _asking(self, queries: NDArray[np.float32]) -> list[NDArray[np.int64]]:
        """For each cell the queries that look into it."""
        cells = len(self._members)
        if self._probes == cells:
            return [np.arange(len(queries))] * cells
        closeness = queries @ self._centres.T
        probed = np.argpartition(closeness, cells - self._probes, axis=1)[:, cells - self._probes :]
        order = np.argsort(probed.ravel(), kind="stable")
        bounds = np.searchsorted(probed.ravel()[order], np.arange(cells + 1))
        return [np.asarray(order[a:b] // self._probes) for a, b in pairwise(bounds)]


def _best_of_block(
    similarity: NDArray[np.float32], k: int, threshold: float
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    row, column = np.nonzero(similarity >= threshold)
    if len(row) <= k * len(similarity) or similarity.shape[1] <= k:
        return row, column
    # So many look alike that keeping all would cost memory: only k of each query can be wanted.
    top = np.argpartition(similarity, similarity.shape[1] - k, axis=1)[:, similarity.shape[1] - k :]
    row = np.repeat(np.arange(len(similarity)), k)
    column = top.ravel()
    enough = similarity[row, column] >= threshold
    return row[enough], column[enough]


def _keep_best(
    query: NDArray[np.int64], vector: NDArray[np.int64], similarity: NDArray[np.float32], k: int, start: int
) -> Neighbours:
    order = np.lexsort((vector, -similarity, query))
    query, vector, similarity = query[order], vector[order], similarity[order]
    first = np.searchsorted(query, query)
    kept = np.arange(len(query)) - first < k
    return Neighbours(query[kept] + start, vector[kept], similarity[kept])


def _find_centres(vectors: NDArray[np.float32], cells: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Spherical k-means on a sample, `(cells, d)`."""
    if cells == 1:
        return np.zeros((1, vectors.shape[1]), np.float32)
    size = min(len(vectors), cells * _SAMPLES_PER_CELL)
    sample = vectors[np.sort(rng.choice(len(vectors), size, replace=False))]
    centres = sample[rng.choice(size, cells, replace=False)]
    for _ in range(_ROUNDS):
        nearest = _nearest_centre(sample, centres)
        order = np.argsort(nearest, kind="stable")
        occupied, starts = np.unique(nearest[order], return_index=True)
        sums = np.add.reduceat(sample[order], starts, axis=0)
        centres[occupied] = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-6)
    return centres


def _nearest_centre(vectors: NDArray[np.float32], centres: NDArray[np.float32]) -> NDArray[np.int64]:
    blocks = (vectors[start : start + _BLOCK] @ centres.T for start in range(0, len(vectors), _BLOCK))
    return np.concatenate([block.argmax(axis=1) for block in blocks]) if len(vectors) else np.empty(0, np.int64)


def _members(nearest: NDArray[np.int64], cells: int, *, limit: int) -> list[tuple[int, NDArray[np.int64]]]:
    """The vectors of each cell, in pieces of at most `limit`, with the cell's number."""
    order = np.argsort(nearest, kind="stable")
    bounds = np.searchsorted(nearest[order], np.arange(cells + 1))
    limit = limit if cells > 1 else max(1, len(nearest))
    pieces = []
    for cell, (begin, end) in enumerate(pairwise(bounds)):
        pieces += [(cell, np.sort(order[a : min(a + limit, end)])) for a in range(begin, end, limit)]
    return pieces or [(0, np.empty(0, np.int64))]
