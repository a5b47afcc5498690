"""From logits to probabilities, from probabilities to accept or review, and how sure a measured share is.

Pure functions of NumPy arrays, nothing heavier, for every layer above. The modules: `decision` (what is exported here),
`calibration` (temperatures and thresholds fitted on labelled photos), `thresholds`, `folds`, `intervals`.
"""

from binsight.probability.decision import (
    Decision,
    Reason,
    ReviewThresholds,
    decide,
    decide_each,
    sigmoid,
    softmax,
    top_k,
)

__all__ = ["Decision", "Reason", "ReviewThresholds", "decide", "decide_each", "sigmoid", "softmax", "top_k"]
