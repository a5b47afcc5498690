"""Which labels are probably wrong."""

from __future__ import annotations

import numpy as np

from binsight.dataset.audit.labels import suggest_labels


def test_hand_computed_suggestions():
    """Thresholds are 0.6 and 0.5 here: the third photo is claimed with confidence, the last is merely improbable."""
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.2, 0.8], [0.55, 0.45], [0.75, 0.25]])
    labels = np.array([0, 0, 0, 1, 1, 1])
    found = suggest_labels(probabilities, labels)
    assert [(s.position, s.suggested, s.is_confident) for s in found] == [(2, 1, True), (5, 0, True)]
    assert found[0].label_probability == 0.1


def test_least_probable_label_comes_first():
    """Suggestions are ordered by the probability of the label, lowest first."""
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.ones(4), 300)
    found = suggest_labels(probabilities, rng.integers(0, 4, 300))
    own = [s.label_probability for s in found]
    assert own == sorted(own)


def test_improbable_label_without_confident_claim():
    """A photo torn between two other classes is suggested, but not with confidence."""
    probabilities = np.array([[0.9, 0.05, 0.05], [0.05, 0.9, 0.05], [0.05, 0.05, 0.9], [0.1, 0.48, 0.42]])
    found = suggest_labels(probabilities, np.array([0, 1, 2, 0]))
    assert [(s.position, s.suggested, s.is_confident) for s in found] == [(3, 1, False)]


def test_sure_and_right_labels_are_left_alone():
    """Where every label is the most probable class nothing is suggested."""
    assert suggest_labels(np.eye(3), np.arange(3)) == []
