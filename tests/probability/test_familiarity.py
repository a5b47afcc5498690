"""The subspace of the features of training photos."""

from __future__ import annotations

import numpy as np

from binsight.probability.unfamiliarity import FeatureSubspace, fit_subspace


def test_residual_by_hand():
    """Around (1, 0, 0), with the first axis explained, (4, 3, 4) leaves (0, 3, 4): 5."""
    subspace = FeatureSubspace(np.array([1.0, 0, 0]), np.array([[1.0], [0], [0]]))
    np.testing.assert_allclose(subspace.residual(np.array([[4.0, 3, 4], [9, 0, 0]])), [5, 0])


def test_directions_are_those_of_the_largest_variance():
    """Photos that differ along two axes of six, the second less: those axes, in this order."""
    generator = np.random.default_rng(0)
    features = np.zeros((8, 6))
    features[:, 4], features[:, 2] = 10 * generator.normal(size=8), generator.normal(size=8)
    features += 5
    found = fit_subspace(features)
    np.testing.assert_allclose(np.abs(found.directions[[4, 2], [0, 1]]), 1, atol=0.1)
    np.testing.assert_allclose(found.directions.T @ found.directions, np.eye(2), atol=1e-9)
    np.testing.assert_allclose(found.residual(features), 0, atol=1e-6)


def test_few_photos_give_few_directions():
    """One for four photos, at most 64, and none for three; then the residual is the distance from the mean."""
    features = np.random.default_rng(1).normal(size=(400, 100))
    assert [fit_subspace(features[:n]).directions.shape[1] for n in (3, 4, 100, 400)] == [0, 1, 25, 64]
    assert fit_subspace(features[:, :9]).directions.shape[1] == 8
    bare = fit_subspace(features[:3])
    np.testing.assert_allclose(
        bare.residual(features[:3]), np.linalg.norm(features[:3] - features[:3].mean(axis=0), axis=1)
    )
