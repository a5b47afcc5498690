"""The subspace of the features of training photos."""

from __future__ import annotations

import numpy as np

from binsight.probability.unfamiliarity import Familiarity, fit_familiarity


def test_residual_by_hand():
    """Around (1, 0, 0), with the first axis explained, (4, 3, 4) leaves (0, 3, 4): 5."""
    subspace = Familiarity(np.array([1.0, 0, 0]), np.array([[1.0], [0], [0]]))
    np.testing.assert_allclose(subspace.measures(np.array([[4.0, 3, 4], [9, 0, 0]])), [[5], [0]])


def test_probability_of_an_outlier_by_hand():
    """Beside the residual the logistic function of 2 of the first feature, less the third, and ln 3."""
    known = Familiarity(np.zeros(3), np.zeros((3, 0)), (np.array([[2.0], [0], [-1]]), np.log([3.0])))
    np.testing.assert_allclose(known.measures(np.array([[2.0, 3, 4], [0, 1, 0]])), [[29**0.5, 0.75], [1, 0.75]])


def test_directions_are_those_of_the_largest_variance():
    """Photos that differ along two axes of six, the second less: those axes, in this order."""
    generator = np.random.default_rng(0)
    features = np.zeros((8, 6))
    features[:, 4], features[:, 2] = 10 * generator.normal(size=8), generator.normal(size=8)
    features += 5
    found = fit_familiarity(features)
    np.testing.assert_allclose(np.abs(found.directions[[4, 2], [0, 1]]), 1, atol=0.1)
    np.testing.assert_allclose(found.directions.T @ found.directions, np.eye(2), atol=1e-9)
    np.testing.assert_allclose(found.measures(features), 0, atol=1e-6)


def test_few_photos_give_few_directions():
    """One for four photos, at most 64, and none for three; then the residual is the distance from the mean."""
    features = np.random.default_rng(1).normal(size=(400, 100))
    assert [fit_familiarity(features[:n]).directions.shape[1] for n in (3, 4, 100, 400)] == [0, 1, 25, 64]
    assert fit_familiarity(features[:, :9]).directions.shape[1] == 8
    bare = fit_familiarity(features[:3])
    np.testing.assert_allclose(
        bare.measures(features[:3])[:, 0], np.linalg.norm(features[:3] - features[:3].mean(axis=0), axis=1)
    )
