"""A stream that is strange as a whole is said so once; chance and familiar streams are not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from tests.tiny_bundle import tiny_manifest

from binsight.bundle import Manifest, Metric, SplitMetrics
from binsight.predictor import Prediction, StreamCheck
from binsight.probability import Decision, ReviewThresholds

PHOTO = Prediction("red", {"red": 1.0}, "unknown", None, Decision("accept"), "x", "", "tiny", "1", unfamiliarity=0.2)
LIMITS = ReviewThresholds(confidence=(0.0,) * 3, unfamiliarity=1.0)
MANIFEST = tiny_manifest(review=LIMITS, training={"unfamiliarity_median": 0.2})  # halfway: 0.6


def said(values: list[float | None], check: StreamCheck | None = None) -> list[str]:
    """What is said of photos of such unfamiliarity."""
    check = check or StreamCheck(MANIFEST)
    found = [check.add(replace(PHOTO, unfamiliarity=value)) for value in values]
    return [text for text in found if text]


def test_a_strange_stream_is_said_once() -> None:
    """Although each of its photos would be accepted; with the way out."""
    (text,) = said([0.7] * 200)
    assert "20 of 20 photos" in text
    assert "binsight adapt tiny PHOTOS --out BUNDLE" in text


def test_usual_shares_are_no_reason() -> None:
    """Four in ten may be strange, as of the hardest classes; nor few photos, nor familiar ones."""
    assert said([0.7, 0.5, 0.5, 0.7, 0.5] * 80) == []
    assert said([0.9] * 19) == []
    assert said([0.6] * 200) == []


@pytest.mark.parametrize(("strange", "is_said"), [(15, False), (16, True)])
def test_chance_below_one_in_a_thousand(strange: int, is_said: bool) -> None:
    """Of 20 photos of which four in ten are strange 15 or more are with 0.0016, 16 or more with 0.0003."""
    assert bool(said([0.5] * (20 - strange) + [0.7] * strange)) is is_said


def test_photos_that_go_to_review_are_strange() -> None:
    """However familiar; bundles from before state no median, some networks give no unfamiliarity."""
    review = replace(PHOTO, verdict=Decision("review", "low_confidence"))
    for manifest in (MANIFEST, tiny_manifest(review=LIMITS)):
        for value in (0.1, None):
            check = StreamCheck(manifest)
            assert [bool(check.add(replace(review, unfamiliarity=value))) for _ in range(20)] == [False] * 19 + [True]
    assert said([None] * 40) == said([0.9] * 40, StreamCheck(tiny_manifest(review=LIMITS))) == []


@pytest.mark.parametrize(("split", "accepted", "is_said"), [("val", 0.9, True), ("camera", 0.55, False)])
def test_a_bundle_that_reviews_much_finds_less_strange(split: str, accepted: float, is_said: bool) -> None:
    """Twice what goes to review of photos that it knows is usual: else a taught camera could stay strange for ever."""
    metrics = {split: SplitMetrics(100, {"accepted_share": Metric(accepted, None, None)})}
    check = StreamCheck(replace(MANIFEST, metrics=metrics))
    assert bool(said([0.5] * 5 + [0.7] * 15 + [0.5] * 5 + [0.7] * 15, check)) is is_said


def test_not_a_number_is_strange() -> None:
    """As it is for a single photo."""
    assert len(said([float("nan")] * 20)) == 1


def test_a_stream_that_becomes_strange_is_noticed_until_it_is_over() -> None:
    """Only the last 200 photos count; what is said once is said again when it comes again."""
    check = StreamCheck(MANIFEST)
    assert said([0.1] * 1000, check) == []
    assert len(said([0.9] * 200, check)) == 1
    assert check.is_strange
    assert (check.photos, check.strange) == (200, 200)
    assert said([0.1] * 119, check) == []
    assert check.is_strange
    assert said([0.1], check) == []
    assert not check.is_strange
    assert len(said([0.9] * 200, check)) == 1


def test_nothing_of_a_strange_stream_is_accepted() -> None:
    """Unless it is only to be said; what goes to review anyway keeps its reason."""
    check, only_said = StreamCheck(MANIFEST), StreamCheck(MANIFEST, on_strange="warn")
    assert check.judge(PHOTO) == PHOTO
    assert "so all go to review" in said([0.7] * 20, check)[0]
    assert "expect mistakes among the accepted" in said([0.7] * 20, only_said)[0]
    assert check.judge(PHOTO).verdict == Decision("review", "strange_camera")
    assert only_said.judge(PHOTO) == PHOTO
    doubt = replace(PHOTO, verdict=Decision("review", "low_confidence"))
    assert check.judge(doubt) == doubt


def new_check(manifest: Manifest = MANIFEST, **settings: Any) -> StreamCheck:
    """A check of a camera of which nothing is known."""
    return StreamCheck(manifest, is_new=True, **settings)


def test_nothing_of_a_new_stream_is_accepted_until_nine_more_photos_look_familiar() -> None:
    """Each is worth log 1.5 of the log 33 wanted; a strange one takes that back."""
    check = new_check()
    assert said([0.1] * 8, check) == []
    assert check.judge(PHOTO).verdict == Decision("review", "new_camera")
    assert said([0.7, 0.1], check) == []
    assert check.state == "new"
    assert said([0.1], check) == []
    assert check.state == "familiar"
    assert check.judge(PHOTO) == PHOTO


def test_a_new_stream_may_be_strange_and_begins_anew_when_that_is_over() -> None:
    """What was strange is not familiar at once, nor ever by what was seen before it."""
    check = new_check()
    assert said([0.1] * 4, check) == []
    assert len(said([0.9] * 60, check)) == 1
    assert check.judge(PHOTO).reason == "strange_camera"
    assert said([0.1] * 86, check) == []  # 60 of 150 photos look strange
    assert check.state == "new"
    said([0.1] * 8, check)
    assert check.state == "new"
    said([0.1], check)
    assert check.state == "familiar"
    assert len(said([0.9] * 200, check)) == 1


@pytest.mark.parametrize(("risk", "photos"), [(0.1, 6), (0.03, 9), (0.001, 18)])
def test_the_risk_says_how_many(risk: float, photos: int) -> None:
    """log(1 / risk) / log 1.5, rounded up."""
    check = new_check(risk=risk)
    said([0.1] * (photos - 1), check)
    assert check.state == "new"
    said([0.1], check)
    assert check.state == "familiar"


def test_a_stranger_is_called_familiar_no_more_often_than_the_risk_says() -> None:
    """Of cameras of which 6 in 10 photos look strange; by gambler's ruin (2/3)^9 = 0.026 of them ever are."""
    rng, called = np.random.default_rng(0), 0
    for _ in range(1000):
        check = new_check()
        for strange in rng.random(60) < 0.6:
            check.add(replace(PHOTO, unfamiliarity=0.9 if strange else 0.1))
            if check.state != "new":
                break
        called += check.state == "familiar"
    assert 10 <= called <= 30


def test_a_bundle_that_reviews_much_is_familiar_with_less() -> None:
    """Where half of the known photos look strange, half of a camera's may: 0.8 is usual, 0.9 is not."""
    metrics = {"val": SplitMetrics(100, {"accepted_share": Metric(0.6, None, None)})}
    usual, check = [0.7, 0.7, 0.1] * 40, new_check(replace(MANIFEST, metrics=metrics))
    said(usual, check)
    assert check.state == "familiar"
    assert new_check().state == "new"
    said(usual, strict := new_check())
    assert strict.state == "strange"


def test_a_new_stream_that_only_warns_is_accepted() -> None:
    """As a strange one is."""
    check = new_check(on_strange="warn")
    assert check.state == "new"
    assert check.judge(PHOTO) == PHOTO
