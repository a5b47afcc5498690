"""Counts of what is right and what is taken for what.

`n` is the number of photos, `C` of classes. Labels are positions in the taxonomy, 0 to C - 1.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["accuracy", "confusion_matrix"]

Labels = NDArray[np.intp]


def accuracy(labels: Labels, predicted: Labels) -> float:
    """The share of `(n,)` predictions that equal their label."""
    return float(np.mean(labels == predicted))


def confusion_matrix(labels: Labels, predicted: Labels, classes: int) -> NDArray[np.int64]:
    """How often each true class (row) was taken for each class (column), `(C, C)`."""
    matrix = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(matrix, (labels, predicted), 1)
    return matrix
