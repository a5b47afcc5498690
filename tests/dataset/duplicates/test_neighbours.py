"""Near vectors."""

from __future__ import annotations

import numpy as np

from binsight.dataset.duplicates.neighbours import CellIndex


def _unit(vectors):
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


def test_hand_computed_neighbours():
    """Of three vectors the two within the threshold are found, nearest first, and none is its own neighbour."""
    vectors = _unit(np.array([[1.0, 0], [1, 1], [0, 1]]))
    found = CellIndex(vectors).search(vectors, k=2, threshold=0.5, first_row=0)
    assert found.query.tolist() == [0, 1, 1, 2]
    assert found.vector.tolist() == [1, 0, 2, 1]
    assert np.allclose(found.similarity, np.sqrt(0.5))


def test_k_limits_the_neighbours():
    """With k = 1 each query keeps the nearest only."""
    vectors = _unit(np.random.default_rng(0).normal(size=(50, 4)))
    found = CellIndex(vectors).search(vectors, k=1, threshold=-1, first_row=0)
    exact = vectors @ vectors.T
    np.fill_diagonal(exact, -2)
    assert found.query.tolist() == list(range(50))
    assert found.vector.tolist() == exact.argmax(axis=1).tolist()


def test_cells_find_nearly_all_close_pairs():
    """Among 6,000 vectors at least 98 % of 500 planted neighbours (cosine about 0.9) are found."""
    rng = np.random.default_rng(1)
    centres = rng.normal(size=(60, 32))
    base = _unit(centres[rng.integers(0, 60, 5500)] + rng.normal(size=(5500, 32)))
    near = _unit(base[:500] + 0.085 * rng.normal(size=(500, 32)))
    vectors = np.concatenate([base, near])
    found = CellIndex(vectors).search(near, k=5, threshold=0.7, first_row=5500)
    pairs = set(zip(found.query.tolist(), found.vector.tolist(), strict=True))
    assert sum((i, i) in pairs for i in range(500)) >= 490


def test_same_vectors_give_the_same_answer():
    """Two searches agree in every number."""
    vectors = _unit(np.random.default_rng(2).normal(size=(3000, 16)))
    first, second = (CellIndex(vectors).search(vectors, k=3, threshold=0.3, first_row=0) for _ in range(2))
    assert np.array_equal(first.vector, second.vector)
    assert np.array_equal(first.similarity, second.similarity)


def test_many_equal_vectors_stay_within_bounds():
    """5,000 times the same vector gives at most k neighbours each, none of them itself."""
    vectors = _unit(np.ones((5000, 8)))
    found = CellIndex(vectors).search(vectors, k=4, threshold=0.9, first_row=0)
    assert np.bincount(found.query).max() <= 4
    assert (found.query != found.vector).all()


def test_no_vectors_no_neighbours():
    """An empty table can be searched."""
    empty = np.zeros((0, 8), np.float32)
    assert len(CellIndex(empty).search(empty, k=3, threshold=0.5).query) == 0
