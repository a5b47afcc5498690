"""Out-of-fold probabilities in closed form."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from binsight.dataset.audit.discriminant import out_of_fold


def _blobs(count=120, classes=3, width=6, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    return rng.normal(size=(count, width)) + 2.5 * np.eye(classes, width)[labels], labels


def test_ranking_agrees_with_scikit_learn():
    """Without shrinkage each fold predicts the classes that scikit-learn's discriminant analysis does."""
    features, labels = _blobs()
    folds = np.arange(120) // 24
    found = out_of_fold(features, labels, folds, shrinkage=0).probabilities.argmax(axis=1)
    for fold in range(5):
        test = folds == fold
        reference = LinearDiscriminantAnalysis(solver="lsqr").fit(features[~test], labels[~test])
        assert (found[test] == reference.predict(features[test])).all()


def test_probabilities_sum_to_one_and_are_right():
    """Rows sum to 1, and most of the well-separated points get their class."""
    features, labels = _blobs()
    found = out_of_fold(features.astype(np.float16), labels, np.arange(120) % 5, shrinkage=0.3)
    assert np.allclose(found.probabilities.sum(axis=1), 1)
    assert (found.probabilities.argmax(axis=1) == labels).mean() > 0.85


def test_threads_change_nothing():
    """Several threads give what one gives."""
    features, labels = _blobs()
    one, three = (out_of_fold(features, labels, np.arange(120) % 5, shrinkage=0.3, workers=n) for n in (1, 3))
    assert np.array_equal(one.probabilities, three.probabilities)
    assert np.array_equal(one.distance, three.distance)


def test_own_label_has_no_influence():
    """Changing the label of a photo does not change its own probabilities by more than the temperature does."""
    features, labels = _blobs()
    folds = np.arange(120) // 24
    changed = labels.copy()
    changed[0] = (labels[0] + 1) % 3
    first, second = (out_of_fold(features, y, folds, shrinkage=0.3).probabilities[0] for y in (labels, changed))
    assert first.argsort().tolist() == second.argsort().tolist()


def test_distance_is_about_one_and_large_for_strangers():
    """Typical points lie at distance 1; a point far from all classes lies far."""
    features, labels = _blobs(count=600, width=20)
    features[0] = 30
    found = out_of_fold(features, labels, np.arange(600) % 5, shrinkage=0.1)
    assert np.median(found.distance) == pytest.approx(1, abs=0.3)
    assert found.distance[0] > 5 * np.median(found.distance)


def test_constant_features_are_harmless():
    """A column without variance changes nothing."""
    features, labels = _blobs()
    folds = np.arange(120) % 5
    wider = np.concatenate([features, np.full((120, 1), 7.0)], axis=1)
    first, second = (out_of_fold(x, labels, folds, shrinkage=0.0).probabilities for x in (features, wider))
    assert np.allclose(first, second, atol=1e-3)


def test_features_that_give_the_class_away_are_harmless():
    """Where nothing varies within a class, rounding errors are all the covariance there is."""
    labels = np.repeat([0, 1, 2], [128, 2024, 4482])
    features = np.eye(3, dtype=np.float32)[labels][:, [0, 0, 1, 1, 2, 2]]
    found = out_of_fold(features, labels, np.arange(len(labels)) % 5, shrinkage=0.05, equal_priors=True)
    assert (found.probabilities.argmax(axis=1) == labels).all()
