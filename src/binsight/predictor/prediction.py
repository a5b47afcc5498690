"""What binsight says about one photo."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from binsight.probability import Decision, Reason, top_k

__all__ = ["Biodegradability", "Precision", "Prediction"]

Biodegradability = Literal["biodegradable", "non_biodegradable", "unknown"]
Precision = Literal["float", "int8"]

# Rounded so that the scores of up to 1,000 classes still sum to 1 within 1e-5.
_DECIMALS = 8


@dataclass(frozen=True, slots=True)
class Prediction:
    """The category of one photo, how sure that is, and what to do with the item.

    Attributes:
        category: id of the most probable class.
        scores: the probability of every class, in label order; they sum to 1.
        biodegradability: what the taxonomy says of `category`; `unknown` where it leaves it open.
        biodegradable_probability: the network's own, second estimate that the item is biodegradable, in [0, 1]; None
            for a network without that output.
        verdict: accept the category, or send the item to review, and why.
        stream: where an item of `category` goes.
        advice: a sentence for the person who holds it.
        model_name: the bundle's name.
        model_version: the bundle's version.
        timing_ms: milliseconds spent per stage: `decode` and `infer`.
        unfamiliarity: how unlike the training photos it looks, in the model's own scale; None for a network that does
            not say.
        precision: of the arithmetic of the network that said it.
    """

    category: str
    scores: Mapping[str, float]
    biodegradability: Biodegradability
    biodegradable_probability: float | None
    verdict: Decision
    stream: str
    advice: str
    model_name: str
    model_version: str
    timing_ms: Mapping[str, float] = field(default_factory=dict)
    unfamiliarity: float | None = None
    precision: Precision = "float"

    @property
    def confidence(self) -> float:
        """The probability of `category`, in [0, 1]."""
        return self.scores[self.category]

    @property
    def decision(self) -> Literal["accept", "review"]:
        """Accept the category, or send the item to review."""
        return self.verdict.decision

    @property
    def reason(self) -> Reason | None:
        """Why to review; None when accepted."""
        return self.verdict.reason

    def sent_to_review(self, reason: Reason) -> Prediction:
        """The same for a person to look at; one that goes to review anyway keeps its own reason."""
        return replace(self, verdict=Decision("review", reason)) if self.decision == "accept" else self

    def top(self, k: int) -> list[tuple[str, float]]:
        """The `k` most probable classes with their probabilities, most probable first."""
        ids, values = list(self.scores), list(self.scores.values())
        return [(ids[i], values[i]) for i in top_k(np.asarray(values), k)]

    def to_dict(self) -> dict[str, Any]:
        """The JSON answer; its first three keys are those of the original API."""
        second = self.biodegradable_probability
        return {
            "predicted_category": self.category,
            "biodegradability": self.biodegradability,
            "confidence_scores": {name: round(score, _DECIMALS) for name, score in self.scores.items()},
            "confidence": round(self.confidence, _DECIMALS),
            "biodegradable_probability": None if second is None else round(second, _DECIMALS),
            "decision": self.decision,
            "reason": self.reason,
            "stream": self.stream,
            "advice": self.advice,
            "model": {"name": self.model_name, "version": self.model_version, "precision": self.precision},
            "timing_ms": {stage: round(value, 2) for stage, value in self.timing_ms.items()},
        }
