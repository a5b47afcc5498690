"""What a figure says of photos that were fitted on must not come from the fit: each is judged by what others chose."""

from __future__ import annotations

import numpy as np
import pytest

from binsight.evaluation.figures import measure_scores
from binsight.evaluation.reliability import cross_fitted_confidence
from binsight.evaluation.scoring import Scores
from binsight.evaluation.selective import target_thresholds
from binsight.pipeline.measure import calibrate, judge_cross_fitted
from binsight.probability import ReviewThresholds
from binsight.probability.calibration import Calibration, ReviewTargets, fit_temperature
from binsight.probability.scores import HeadScores as Raw
from binsight.probability.scores import NetworkScores
from binsight.taxonomy import Taxonomy, WasteClass

LAX = Calibration(1.0, None, ReviewThresholds((0.5, 0.5)))
TWO = Taxonomy("two", tuple(WasteClass(name, name, None, "bin") for name in ("a", "b")))


@pytest.fixture
def noisy():
    """Two logits of 60 photos, two of each three times, and labels that go by them now and then."""
    generator = np.random.default_rng(0)
    margin = generator.normal(0, 3, 60)
    labels = (margin + generator.normal(0, 4, 60) > 0).astype(np.intp)
    return np.stack([np.zeros(60), margin], axis=1), labels, np.arange(60) // 3


def _assert_fitted_on_others(logits, labels, groups, confidence):
    """The temperature of each photo follows from its confidence: it is the one fitted without its fold."""
    temperature = np.abs(logits[:, 1]) / np.log(confidence / (1 - confidence))
    found = np.unique(temperature.round(3))
    assert len(found) == 5
    for one in found:
        judged = np.isclose(temperature, one, atol=2e-3)
        assert fit_temperature(logits[~judged], labels[~judged]) == pytest.approx(one, abs=2e-3)
        assert not set(groups[judged]) & set(groups[~judged])


def test_no_photo_and_no_copy_of_it_fits_its_own_temperature(noisy):
    """The cross-fitted calibration error of `evaluate`."""
    logits, labels, groups = noisy
    _assert_fitted_on_others(*noisy, cross_fitted_confidence(logits, labels, copies=groups))


def test_no_photo_and_no_copy_of_it_fits_what_judges_it(noisy):
    """All that a bundle says of val as cross-fitted."""
    logits, labels, groups = noisy
    targets = ReviewTargets()
    whole = calibrate(Raw(logits), labels, targets, groups=groups)
    crossed = judge_cross_fitted(Raw(logits), labels, targets, whole, groups=groups)
    _assert_fitted_on_others(*noisy, crossed.confidence)


def test_no_photo_chooses_the_threshold_that_judges_it():
    """One mistake among the less sure: the threshold that it chose leaves it out, that of the others takes it."""
    confidence = np.linspace(0.99, 0.6, 50)
    margin = np.log(confidence / (1 - confidence))
    labels = np.ones(50, np.intp)
    labels[30] = 0
    scores = Scores.of(NetworkScores(np.stack([np.zeros(50), margin], axis=1)), LAX)
    found = target_thresholds(scores, labels, LAX.review, target_precision=1.0, copies=np.arange(50))
    assert found.on_same_photos.risk == 0
    assert found.cross_fitted.risk > 0


def test_the_interval_of_a_calibration_error_is_not_that_of_its_resamples():
    """Confidences that are exactly right: no error, though every resample shows some by chance."""
    confidence = np.repeat([0.6, 0.7, 0.8, 0.9], 60)
    right = np.concatenate([np.arange(60) % 10 < tenths for tenths in (6, 7, 8, 9)])
    logits = np.stack([np.zeros(240), np.log(confidence / (1 - confidence))], axis=1)
    scores = Scores.of(NetworkScores(logits), LAX)
    found = measure_scores(scores, right.astype(np.intp), TWO, np.arange(240), resamples=300)
    error = found["calibration_error"]
    assert error.value == pytest.approx(0, abs=1e-9)
    assert error.low == 0 < error.high < 0.1
    for name in ("adaptive_calibration_error", "calibration_error_cross_fitted"):
        assert found[name].low < 0.5 * found[name].high
        assert found[name].low <= found[name].value <= found[name].high
