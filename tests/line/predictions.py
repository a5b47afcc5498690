"""Predictions as a model would give them."""

from __future__ import annotations

from binsight.predictor import Prediction
from binsight.probability import Decision, Reason

__all__ = ["CLASSES", "prediction"]

CLASSES = ("glass", "metal", "paper")


def prediction(scores: list[float], *, reason: Reason | None = None, second: float | None = None) -> Prediction:
    """One with these probabilities, of as many classes."""
    names = CLASSES[: len(scores)]
    best = max(range(len(scores)), key=scores.__getitem__)
    return Prediction(
        category=names[best],
        scores=dict(zip(names, scores, strict=True)),
        biodegradability="unknown",
        biodegradable_probability=second,
        verdict=Decision("review", reason) if reason else Decision("accept"),
        stream="any",
        advice="",
        model_name="test",
        model_version="1",
    )
