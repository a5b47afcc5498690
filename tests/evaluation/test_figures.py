"""All figures at once against the metrics one by one."""

import numpy as np
import pytest

from binsight.evaluation.costs import StreamCosts
from binsight.evaluation.figures import all_figures
from binsight.evaluation.metrics import accuracy, balanced_accuracy, macro_f1
from binsight.evaluation.scoring import Scores
from binsight.probability import Decision
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
    return Scores(logits, p, generator.random(60), None, verdicts), labels


def test_figures_equal_the_metrics(sample):
    """With every photo counted once, and with the photos of a resample, the figures are the known metrics."""
    scores, labels = sample
    drawn = np.random.default_rng(1).integers(0, 60, 60)
    weights = np.stack([np.ones(60), np.bincount(drawn, minlength=60)])
    found = all_figures(scores, labels, TAXONOMY, COSTS, bins=15)(weights)
    for row, i in enumerate((np.arange(60), drawn)):
        truth, named = labels[i], scores.predicted[i]
        assert found["accuracy"][row] == pytest.approx(accuracy(truth, named))
        assert found["balanced_accuracy"][row] == pytest.approx(balanced_accuracy(truth, named, 8))
        assert found["macro_f1"][row] == pytest.approx(macro_f1(truth, named, 8))
        accepted = scores.accepted[i]
        assert found["accepted_share"][row] == pytest.approx(accepted.mean())
        assert found["accepted_accuracy"][row] == pytest.approx((truth == named)[accepted].mean())


def test_streams_are_right_more_often_than_classes(sample):
    """Two classes of one stream may be confused without harm."""
    scores, labels = sample
    found = all_figures(scores, labels, TAXONOMY, COSTS, bins=15)(np.ones((1, 60)))
    assert found["stream_accuracy"][0] > found["accuracy"][0]
    assert found["top2_accuracy"][0] > found["accuracy"][0]


def test_cost_of_one_confusion():
    """An e-waste item sent to recycling costs 4; with review it would have cost 0.5."""
    p = np.full((1, 8), 0.02)
    p[0, TAXONOMY.index("metal_cans")] = 0.86
    scores = Scores(np.log(p), p, None, None, (Decision("review", "low_confidence"),))
    label = np.array([TAXONOMY.index("ewaste")])
    found = all_figures(scores, np.repeat(label, 1), TAXONOMY, COSTS, bins=15)(np.ones((1, 1)))
    assert found["stream_cost"].tolist() == [4]
    assert found["stream_cost_with_review"].tolist() == [0.5]
    assert np.isnan(found["accepted_accuracy"][0])
    assert "biodegradable_head_accuracy" not in found
