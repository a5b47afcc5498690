"""Calibration of a network's scores, and what is accepted by it."""

from __future__ import annotations

import numpy as np
import pytest

from binsight.evaluation.scoring import judge
from binsight.pipeline.measure import calibrate, judge_cross_fitted
from binsight.probability.calibration import ReviewTargets
from binsight.probability.folds import cross_fit_folds
from binsight.probability.scores import HeadScores
from binsight.probability.unfamiliarity import energy


def _scores(n=400, *, second=True, seed=0):
    """Scores of three classes, right nine times in ten, far too sure of themselves; the first class rots."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 3, n)
    shown = np.where(generator.random(n) < 0.9, labels, (labels + 1) % 3)
    logits = 8 * np.eye(3)[shown] + generator.normal(0, 1, (n, 3))
    mask = np.array([True, False, False])
    rotting = 6 * (2.0 * mask[labels] - 1) + generator.normal(0, 1, n)
    return HeadScores(logits, rotting if second else None, mask if second else None), labels


def test_overconfidence_is_softened():
    """A temperature above 1, and confidences that are right on average."""
    scores, labels = _scores()
    fitted = calibrate(scores, labels, ReviewTargets())
    assert fitted.fitted.temperature > 1.5
    assert fitted.fitted.biodegradable_temperature is not None


def test_of_the_right_photos_few_are_sent_back_as_unlike():
    """The share that was allowed for."""
    scores, labels = _scores()
    fitted = calibrate(scores, labels, ReviewTargets(unfamiliar_share=0.1, disagreement_share=0.2))
    right = scores.logits.argmax(axis=1) == labels
    assert np.mean(energy(scores.logits)[right] > fitted.fitted.review.unfamiliarity) == pytest.approx(0.1, abs=0.01)
    assert 0 < fitted.fitted.review.disagreement < 1


def test_accepted_photos_reach_the_precision_where_confidence_tells():
    """On scores whose mistakes are the unsure ones."""
    generator = np.random.default_rng(1)
    labels = generator.integers(0, 2, 1000)
    margin = generator.uniform(0, 8, 1000)
    wrong = generator.random(1000) < 0.5 * np.exp(-margin)
    logits = margin[:, None] * np.eye(2)[np.where(wrong, 1 - labels, labels)]
    scores = HeadScores(logits)
    fitted = calibrate(scores, labels, ReviewTargets(precision=0.98, unfamiliar_share=0.0))
    accepted = judge(HeadScores(logits), fitted).accepted
    assert 0.1 < accepted.mean() < 1
    assert np.mean(~wrong[accepted]) >= 0.98
    assert fitted.fitted.shown_precision == 0.98


def test_without_a_second_head_nothing_is_said_of_it():
    """Neither temperature nor threshold, and nothing is sent back for it."""
    scores, labels = _scores(second=False)
    fitted = calibrate(scores, labels, ReviewTargets())
    assert fitted.fitted.biodegradable_temperature is None
    assert fitted.fitted.review.disagreement is None
    assert judge(scores, fitted).accepted.any()


def test_heads_that_disagree_send_to_review():
    """The same photos are accepted once the second head agrees."""
    scores, labels = _scores()
    fitted = calibrate(scores, labels, ReviewTargets(precision=0.5))
    agreeing = HeadScores(scores.logits, 50.0 * (scores.logits.argmax(axis=1) == 0) - 25, scores.mask)
    opposed = HeadScores(scores.logits, -agreeing.biodegradable, scores.mask)
    assert judge(agreeing, fitted).accepted.sum() > 300
    assert judge(opposed, fitted).accepted.sum() == 0


def test_features_unlike_all_others_send_to_review():
    """A photo whose residual is far above that of the known ones, though its logits are like theirs."""
    scores, labels = _scores()
    residual = np.random.default_rng(2).normal(5, 1, len(labels))
    known = HeadScores(scores.logits, scores.biodegradable, scores.mask, residual[:, None])
    fitted = calibrate(known, labels, ReviewTargets(precision=0.5, unfamiliar_share=0.02))
    usual = judge(known, fitted).accepted
    assert usual.sum() > 300
    strange = HeadScores(scores.logits, scores.biodegradable, scores.mask, residual[:, None] + 20)
    assert judge(strange, fitted).accepted.sum() == 0


def test_a_model_that_is_never_right_has_no_typical_photo():
    """There is nothing to tell unfamiliarity from."""
    logits = np.tile([5.0, 0.0], (20, 1))
    fitted = calibrate(HeadScores(logits), np.ones(20, dtype=np.intp), ReviewTargets())
    assert fitted.fitted.review.unfamiliarity is None
    assert not judge(HeadScores(logits), fitted).accepted.any()


def test_taking_some_takes_all_their_scores():
    """Both heads, in the order asked for."""
    scores, _ = _scores(10)
    scores = HeadScores(scores.logits, scores.biodegradable, scores.mask, np.arange(10.0))
    some = scores.take(np.array([3, 1]))
    np.testing.assert_array_equal(some.strangeness, [3, 1])
    np.testing.assert_array_equal(some.logits, scores.logits[[3, 1]])
    np.testing.assert_array_equal(some.biodegradable, scores.biodegradable[[3, 1]])
    assert len(some) == 2


def test_copies_are_no_evidence():
    """A hundred photos, each there ten times, show no more than a hundred photos; a thousand others would show 86 %."""
    scores, labels = _scores(100)
    tenfold = np.repeat(np.arange(100), 10)
    targets = ReviewTargets(precision=0.86, disagreement_share=0.0, unfamiliar_share=0.0)
    once = calibrate(scores, labels, targets)
    copied = calibrate(scores.take(tenfold), labels[tenfold], targets, groups=tenfold)
    assert copied.fitted.review.confidence == pytest.approx(once.fitted.review.confidence)
    assert copied.fitted.shown_precision == pytest.approx(once.fitted.shown_precision)
    assert once.fitted.shown_precision < 0.86
    assert calibrate(scores.take(tenfold), labels[tenfold], targets).fitted.shown_precision == 0.86


def test_the_threshold_is_chosen_on_what_the_other_reasons_leave():
    """Sure mistakes that look unfamiliar are reviewed for that, and cost no confidence threshold."""
    generator = np.random.default_rng(3)
    labels = np.zeros(500, dtype=np.intp)
    logits = np.stack([generator.uniform(1, 6, 500), np.zeros(500)], axis=1)
    logits[:20] = [0.0, 9.0]
    residual = generator.normal(5, 1, 500)
    targets = ReviewTargets(precision=0.98, unfamiliar_share=0.0)
    strange = calibrate(
        HeadScores(logits, strangeness=(residual + 50 * (np.arange(500) < 20))[:, None]), labels, targets
    )
    usual = calibrate(HeadScores(logits, strangeness=residual[:, None]), labels, targets)
    assert strange.fitted.review.confidence[0] == 0.5
    assert usual.fitted.review.confidence[0] > 0.5


def test_cross_fitting_judges_no_photo_by_itself_or_its_copies():
    """The one photo of a class that all others are confused with, and its copies, do not move their own threshold."""
    scores, labels = _scores(200)
    groups = np.repeat(np.arange(40), 5)
    targets = ReviewTargets(precision=0.8)
    fitted = calibrate(scores, labels, targets, groups=groups)
    crossed = judge_cross_fitted(scores, labels, targets, fitted, groups=groups)
    for fit, fold in cross_fit_folds(labels, groups):
        alone = calibrate(scores.take(fit), labels[fit], targets, groups=groups[fit])
        assert np.array_equal(crossed.probabilities[fold], judge(scores.take(fold), alone).probabilities)
        assert np.array_equal(crossed.accepted[fold], judge(scores.take(fold), alone).accepted)
    assert judge_cross_fitted(scores, labels, targets, fitted, groups=np.zeros(200, int)) is None
