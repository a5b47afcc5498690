"""All figures at once against the metrics one by one."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score

from binsight.evaluation.bootstrap import bootstrap_intervals
from binsight.evaluation.costs import StreamCosts
from binsight.evaluation.figures import all_figures, confusion_matrix, measure_scores
from binsight.evaluation.scoring import Scores
from binsight.probability import Decision
from binsight.probability.intervals import wilson_interval
from binsight.probability.scores import NetworkScores
from binsight.taxonomy import builtin_taxonomy

TAXONOMY = builtin_taxonomy()
COSTS = StreamCosts("test", {"e-waste": {"recycling": 4}}, other=1, review=0.5)


@pytest.fixture(scope="module")
def sample():
    """Sixty photos of eight classes, about two thirds right."""
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 8, 60)
    logits = generator.normal(0, 1, (60, 8))
    logits[np.arange(60), labels] += 2
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    verdicts = tuple(Decision("accept") if c > 0.4 else Decision("review", "low_confidence") for c in p.max(axis=1))
    return Scores(NetworkScores(logits), p, generator.random(60), verdicts), labels


def test_figures_equal_the_metrics(sample):
    """With every photo counted once, and with the photos of a resample, the figures are the known metrics."""
    scores, labels = sample
    drawn = np.random.default_rng(1).integers(0, 60, 60)
    weights = np.stack([np.ones(60), np.bincount(drawn, minlength=60)])
    found = all_figures(scores, labels, TAXONOMY, COSTS, bins=15, copies=np.arange(60))(weights)
    for row, i in enumerate((np.arange(60), drawn)):
        truth, named = labels[i], scores.predicted[i]
        assert found["accuracy"][row] == pytest.approx(accuracy_score(truth, named))
        assert found["balanced_accuracy"][row] == pytest.approx(balanced_accuracy_score(truth, named))
        assert found["macro_f1"][row] == pytest.approx(f1_score(truth, named, average="macro"))
        accepted = scores.accepted[i]
        assert found["accepted_share"][row] == pytest.approx(accepted.mean())
        assert found["accepted_accuracy"][row] == pytest.approx((truth == named)[accepted].mean())


def test_streams_are_right_more_often_than_classes(sample):
    """Two classes of one stream may be confused without harm."""
    scores, labels = sample
    found = all_figures(scores, labels, TAXONOMY, COSTS, bins=15, copies=np.arange(60))(np.ones((1, 60)))
    assert found["stream_accuracy"][0] > found["accuracy"][0]
    assert found["top2_accuracy"][0] > found["accuracy"][0]


def test_cost_of_one_confusion():
    """An e-waste item sent to recycling costs 4; with review it would have cost 0.5."""
    p = np.full((1, 8), 0.02)
    p[0, TAXONOMY.index("metal_cans")] = 0.86
    scores = Scores(NetworkScores(np.log(p)), p, None, (Decision("review", "low_confidence"),))
    label = np.array([TAXONOMY.index("ewaste")])
    found = all_figures(scores, np.repeat(label, 1), TAXONOMY, COSTS, bins=15, copies=np.zeros(1, int))(np.ones((1, 1)))
    assert found["stream_cost"].tolist() == [4]
    assert found["stream_cost_with_review"].tolist() == [0.5]
    assert np.isnan(found["accepted_accuracy"][0])
    assert "biodegradable_head_accuracy" not in found


def test_all_right_is_certain_of_nothing():
    """Twelve of twelve: no share, and no mean over classes, has an interval from 1 to 1."""
    labels = np.arange(12) % 8
    p = np.full((12, 8), 0.01)
    p[np.arange(12), labels] = 0.93
    scores = Scores(NetworkScores(np.log(p)), p, None, (Decision("accept"),) * 12)
    found = measure_scores(scores, labels, TAXONOMY, np.arange(12), resamples=50)
    for name in ("accuracy", "top2_accuracy", "stream_accuracy", "accepted_share", "accepted_accuracy"):
        assert (found[name].value, found[name].low) == (1, pytest.approx(0.7575, abs=5e-5)), name
    # Four classes of two photos and four of one: as sure as 64 / (4 / 2 + 4) photos.
    for name in ("balanced_accuracy", "macro_f1"):
        assert found[name].low == pytest.approx(wilson_interval(64 / 6, 64 / 6).low), name


def test_copies_count_once_in_every_interval(sample):
    """The same photos three times over, known to be copies, say what they say once."""
    scores, labels = sample
    thrice = np.tile(np.arange(60), 3)
    copied = Scores(
        scores.network.take(thrice), scores.probabilities[thrice], scores.biodegradable[thrice], scores.verdicts * 3
    )
    once = measure_scores(scores, labels, TAXONOMY, np.arange(60), costs=COSTS, resamples=200)
    found = measure_scores(copied, labels[thrice], TAXONOMY, thrice, costs=COSTS, resamples=200)
    for name in ("accuracy", "accepted_share", "accepted_accuracy", "macro_f1", "brier_score", "stream_cost"):
        assert (found[name].low, found[name].high) == pytest.approx((once[name].low, once[name].high)), name
    blind = measure_scores(copied, labels[thrice], TAXONOMY, np.arange(180), costs=COSTS, resamples=200)
    assert blind["macro_f1"].high - blind["macro_f1"].low < 0.75 * (once["macro_f1"].high - once["macro_f1"].low)


def test_calibration_errors_are_freed_from_what_the_drawing_adds(sample):
    """All three; without that their intervals lie too high."""
    scores, labels = sample
    found = measure_scores(scores, labels, TAXONOMY, np.arange(60), costs=COSTS, resamples=200)
    figures = all_figures(scores, labels, TAXONOMY, COSTS, bins=15, copies=np.arange(60))
    raw = bootstrap_intervals(figures, [np.arange(60)], resamples=200)
    for name in ("calibration_error", "adaptive_calibration_error", "calibration_error_cross_fitted"):
        assert found[name].high < raw[name].high, name


def test_confusion_matrix_has_true_classes_as_rows():
    """One of three photos of class 0 is taken for class 1: the mistake stands in row 0, column 1."""
    found = confusion_matrix(np.array([0, 0, 0, 1]), np.array([0, 0, 1, 1]), 3)
    assert found.tolist() == [[2, 1, 0], [0, 1, 0], [0, 0, 0]]
