"""Metrics against numbers worked out by hand."""

import numpy as np

from binsight.evaluation.metrics import accuracy, confusion_matrix

# Class 0: 3 photos, 2 right; class 1: 1 photo, right; one photo of class 0 is taken for class 1.
LABELS = np.array([0, 0, 0, 1])
PREDICTED = np.array([0, 0, 1, 1])


def test_accuracy_is_the_share_of_equal_labels():
    """Three of four are right."""
    assert accuracy(LABELS, PREDICTED) == 0.75


def test_confusion_matrix_has_true_classes_as_rows():
    """The mistake stands in row 0, column 1."""
    assert confusion_matrix(LABELS, PREDICTED, 3).tolist() == [[2, 1, 0], [0, 1, 0], [0, 0, 0]]
