"""What a prediction says of itself, and its JSON form."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from binsight.predictor import Prediction
from binsight.probability import Decision, softmax

PREDICTION = Prediction(
    category="b",
    scores={"a": 0.25, "b": 0.5, "c": 0.25},
    biodegradability="biodegradable",
    biodegradable_probability=0.123456789,
    verdict=Decision("review", "low_confidence"),
    stream="compost",
    advice="Let it rot.",
    model_name="tiny",
    model_version="1.0.0",
    timing_ms={"decode": 3.14159, "infer": 6.0},
)


def test_json_form() -> None:
    """The JSON form has the design's keys in the design's order, and rounded numbers."""
    assert list(PREDICTION.to_dict().items()) == [
        ("predicted_category", "b"),
        ("biodegradability", "biodegradable"),
        ("confidence_scores", {"a": 0.25, "b": 0.5, "c": 0.25}),
        ("confidence", 0.5),
        ("biodegradable_probability", 0.12345679),
        ("decision", "review"),
        ("reason", "low_confidence"),
        ("stream", "compost"),
        ("advice", "Let it rot."),
        ("model", {"name": "tiny", "version": "1.0.0", "precision": "float"}),
        ("timing_ms", {"decode": 3.14, "infer": 6.0}),
    ]


def test_json_form_is_json() -> None:
    """The JSON form survives being written and read."""
    assert json.loads(json.dumps(PREDICTION.to_dict())) == PREDICTION.to_dict()


def test_missing_second_opinion_is_null() -> None:
    """Without a second head its probability is null, not 0."""
    assert replace(PREDICTION, biodegradable_probability=None).to_dict()["biodegradable_probability"] is None


def test_zero_second_opinion_is_a_number() -> None:
    """A second head that is certain of no is 0, not null."""
    assert replace(PREDICTION, biodegradable_probability=0.0).to_dict()["biodegradable_probability"] == 0.0


@pytest.mark.parametrize(
    ("k", "expected"),
    [
        (1, [("b", 0.5)]),
        (2, [("b", 0.5), ("a", 0.25)]),
        (3, [("b", 0.5), ("a", 0.25), ("c", 0.25)]),
        (99, [("b", 0.5), ("a", 0.25), ("c", 0.25)]),
    ],
)
def test_top(k: int, expected: list[tuple[str, float]]) -> None:
    """The most probable classes come first, ties in label order, and no more than there are."""
    assert PREDICTION.top(k) == expected


def test_top_of_none_is_refused() -> None:
    """Asking for no class at all is a mistake."""
    with pytest.raises(ValueError, match="at least 1"):
        PREDICTION.top(0)


@given(st.integers(2, 1000), st.integers(0, 2**32 - 1), st.floats(0.1, 30))
def test_rounded_scores_sum_to_one(classes: int, seed: int, spread: float) -> None:
    """The rounded scores of up to 1,000 classes sum to 1 within 1e-5, and the confidence is the largest of them."""
    scores = softmax(np.random.default_rng(seed).normal(0, spread, classes)).tolist()
    best = int(np.argmax(scores))
    prediction = replace(PREDICTION, category=str(best), scores={str(i): score for i, score in enumerate(scores)})
    answer = prediction.to_dict()
    assert sum(answer["confidence_scores"].values()) == pytest.approx(1, abs=1e-5)
    assert answer["confidence"] == max(answer["confidence_scores"].values())
