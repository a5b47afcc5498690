"""A stream that is strange as a whole is said so once; chance and familiar streams are not."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.tiny_bundle import tiny_manifest

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


def test_half_strange_photos_are_no_reason() -> None:
    """Nor few photos, nor familiar ones."""
    assert said([0.7, 0.5] * 200) == []
    assert said([0.9] * 19) == []
    assert said([0.6] * 200) == []


@pytest.mark.parametrize(("strange", "is_said"), [(17, False), (18, True)])
def test_chance_below_one_in_a_thousand(strange: int, is_said: bool) -> None:
    """Of 20 throws 17 or more heads come with 0.0013, 18 or more with 0.0002."""
    assert bool(said([0.7] * strange + [0.5] * (20 - strange))) is is_said


def test_a_stream_that_becomes_strange_is_noticed() -> None:
    """At the next look, when twice as many were seen."""
    check = StreamCheck(MANIFEST)
    assert said([0.1] * 20, check) == []
    assert len(said([0.9] * 140, check)) == 1


def test_not_a_number_is_strange() -> None:
    """As it is for a single photo."""
    assert len(said([float("nan")] * 20)) == 1


def test_without_a_median_reviews_count() -> None:
    """Bundles from before state none; some networks give no unfamiliarity."""
    review = replace(PHOTO, verdict=Decision("review", "low_confidence"), unfamiliarity=None)
    for manifest in (MANIFEST, tiny_manifest(review=LIMITS)):
        check = StreamCheck(manifest)
        assert [bool(check.add(review)) for _ in range(20)] == [False] * 19 + [True]
        assert said([0.1 if manifest is not MANIFEST else None] * 40, StreamCheck(manifest)) == []


def test_an_endless_stream_is_over_when_half_are_familiar() -> None:
    """Only the last photos count; what is said once is said again when it comes again."""
    check = StreamCheck(MANIFEST, window=40)
    assert said([0.1] * 1000, check) == []
    assert len(said([0.9] * 60, check)) == 1
    assert check.is_said
    assert (check.photos, check.strange) == (40, 40)
    assert said([0.1] * 30, check) == []
    assert not check.is_said
    assert len(said([0.9] * 200, check)) == 1
