"""Risk, coverage and thresholds."""

import numpy as np
import pytest

from binsight.evaluation.scoring import Scores
from binsight.evaluation.selective import operating_point, risk_areas, risk_coverage, target_thresholds
from binsight.probability import Decision, ReviewThresholds
from binsight.probability.calibration import Calibration
from binsight.probability.scores import NetworkScores

CONFIDENCE = np.array([0.9, 0.8, 0.7, 0.6])
CORRECT = np.array([True, False, True, True])


def _scores(confidence, predicted, review, unfamiliarity=None):
    """Scores of three classes in which the class predicted has that confidence."""
    p = np.full((len(confidence), 3), 0.0)
    p[:] = ((1 - confidence) / 2)[:, None]
    p[np.arange(len(p)), predicted] = confidence
    network = NetworkScores(np.log(p), unfamiliarity=unfamiliarity)
    return Scores.of(network, Calibration(1.0, None, review))


def test_curve_by_hand():
    """One more photo at a time: 0/1, 1/2, 1/3, 1/4 wrong."""
    curve = risk_coverage(CONFIDENCE, CORRECT)
    assert curve.coverage == (0.25, 0.5, 0.75, 1.0)
    assert curve.risk == pytest.approx((0, 1 / 2, 1 / 3, 1 / 4))
    assert curve.threshold == (0.9, 0.8, 0.7, 0.6)


def test_equally_confident_photos_are_accepted_together():
    """No threshold can part them, so the curve has two points; the order of photos does not matter."""
    curve = risk_coverage(np.array([0.9, 0.8, 0.9]), np.array([True, True, False]))
    assert (curve.coverage, curve.risk) == ((2 / 3, 1.0), (0.5, 1 / 3))


def test_area_is_the_mean_risk():
    """(0 + 1/2 + 1/3 + 1/4) / 4."""
    assert risk_areas(np.ones((1, 4)), CONFIDENCE, CORRECT)[0] == pytest.approx((1 / 2 + 1 / 3 + 1 / 4) / 4)


def test_area_of_a_resample_is_that_of_its_photos():
    """Weights say how often each photo is there: the same as repeating it."""
    weights = np.array([[0.0, 2, 1, 1], [1, 1, 0, 2]])
    for w, found in zip(weights, risk_areas(weights, CONFIDENCE, CORRECT), strict=True):
        i = np.repeat(np.arange(4), w.astype(int))
        alone = risk_areas(np.ones((1, 4)), CONFIDENCE[i], CORRECT[i])[0]
        assert found == pytest.approx(alone)


def test_a_perfect_order_has_a_smaller_area():
    """Mistakes at the unsure end cost less than at the sure end."""
    good = risk_areas(np.ones((1, 4)), CONFIDENCE, np.array([True, True, True, False]))
    bad = risk_areas(np.ones((1, 4)), CONFIDENCE, np.array([False, True, True, True]))
    assert good < bad


def test_operating_point_counts_the_reasons():
    """Two of four accepted, one of them wrong."""
    verdicts = (Decision("accept"), Decision("accept"), Decision("review", "unfamiliar"),
                Decision("review", "low_confidence"))  # fmt: skip
    point = operating_point(Scores(NetworkScores(np.zeros((4, 2))), np.zeros((4, 2)), None, verdicts), CORRECT)
    assert (point.coverage, point.risk) == (0.5, 0.5)
    assert point.reasons == {"unfamiliar": 1, "low_confidence": 1}


def test_accepting_nothing_has_no_risk():
    """A share of nothing is undefined."""
    scores = Scores(NetworkScores(np.zeros((1, 2))), np.zeros((1, 2)), None, (Decision("review", "unfamiliar"),))
    assert np.isnan(operating_point(scores, np.array([True])).risk)


def test_target_thresholds_reach_the_target_on_the_photos_they_were_chosen_on():
    """Below 0.7 half are wrong: one threshold for all leaves these out."""
    generator = np.random.default_rng(0)
    confidence = np.concatenate([generator.uniform(0.7, 1, 300), generator.uniform(0.5, 0.7, 100)])
    predicted = generator.integers(0, 3, 400)
    labels = np.where((np.arange(400) >= 300) & (generator.random(400) < 0.5), (predicted + 1) % 3, predicted)
    review = ReviewThresholds((0.0,) * 3)
    scores = _scores(confidence, predicted, review)
    found = target_thresholds(scores, labels, review, target_precision=0.98, copies=np.arange(400))
    assert len(set(found.thresholds)) == 1
    assert 0.65 < found.thresholds[0] <= 0.7
    assert found.on_same_photos.risk <= 0.02
    assert found.cross_fitted.coverage == pytest.approx(0.75, abs=0.05)


def test_one_threshold_serves_all_classes():
    """A class with six mistakes holds the others to what it needs, as one with four does: there is no cliff between."""
    confidence = np.concatenate([np.full(20, 0.85), np.full(100, 0.95), np.linspace(0.6, 0.999, 200)])
    predicted = np.concatenate([np.zeros(120, int), np.ones(200, int)])
    review = ReviewThresholds((0.0,) * 3)
    scores = _scores(confidence, predicted, review)
    for mistakes in (4, 6):
        labels = predicted.copy()
        labels[:mistakes] = 2
        found = target_thresholds(scores, labels, review, target_precision=0.98, copies=np.arange(320))
        assert set(found.thresholds) == {found.thresholds[0]}
        assert 0.85 < found.thresholds[0] < 0.95


def test_copies_stay_on_one_side_of_the_cross_fitting():
    """A mistake that is there forty times is in no fold's own threshold, so the fold accepts it."""
    confidence = np.concatenate([np.linspace(0.7, 0.999, 300), np.full(40, 0.65)])
    predicted, review = np.zeros(340, int), ReviewThresholds((0.0,) * 3)
    labels = np.where(np.arange(340) < 300, 0, 1)
    scores = _scores(confidence, predicted, review)
    alone = target_thresholds(scores, labels, review, target_precision=0.99, copies=np.arange(340))
    copies = np.concatenate([np.arange(300), np.full(40, 300)])
    found = target_thresholds(scores, labels, review, target_precision=0.99, copies=copies)
    assert alone.cross_fitted.risk == 0
    assert found.cross_fitted.risk == pytest.approx(40 / 340, abs=0.01)


def test_unfamiliar_photos_stay_in_review():
    """A new confidence threshold does not accept what looks strange."""
    review = ReviewThresholds((0.99,) * 3, unfamiliarity=0.0)
    confidence, predicted = np.full(10, 0.9), np.zeros(10, int)
    scores = _scores(confidence, predicted, review, unfamiliarity=np.arange(10) - 4.5)
    found = target_thresholds(scores, predicted, review, target_precision=0.9, copies=np.arange(10))
    assert found.on_same_photos.coverage == 0.5
    assert found.on_same_photos.reasons == {"unfamiliar": 5}
