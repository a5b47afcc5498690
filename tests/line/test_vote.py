"""From views to one decision."""

import numpy as np
import pytest
from tests.line.predictions import prediction

from binsight.line.records import Box, View
from binsight.line.vote import vote
from binsight.probability import ReviewThresholds

THRESHOLDS = ReviewThresholds(confidence=(0.7, 0.7, 0.7), disagreement=0.4)


def views(*predictions):
    """Whole, sharp views with these predictions."""
    crop = np.zeros((2, 2, 3), dtype=np.uint8)
    return [
        View(number, 0.0, Box(0, 0, 2, 2), crop, sharpness=1.0, prediction=given)
        for number, given in enumerate(predictions)
    ]


def test_scores_are_averaged_before_the_rule_is_asked():
    """One view alone would be reviewed (0.65 < 0.7); the average of three is accepted."""
    outcome = vote(
        views(prediction([0.65, 0.2, 0.15]), prediction([0.9, 0.05, 0.05]), prediction([0.85, 0.05, 0.1])), THRESHOLDS
    )
    assert (outcome.decision, outcome.reason, outcome.category) == ("accept", None, "glass")
    assert outcome.confidence == pytest.approx(0.8)
    assert outcome.scores == pytest.approx({"glass": 0.8, "metal": 0.1, "paper": 0.1})
    assert [view.frame for view in outcome.views] == [0, 1, 2]


def test_a_low_average_is_reviewed_and_still_named():
    """A low average is reviewed and still named."""
    outcome = vote(views(prediction([0.6, 0.2, 0.2]), prediction([0.7, 0.2, 0.1])), THRESHOLDS)
    assert (outcome.decision, outcome.reason, outcome.category) == ("review", "low_confidence", "glass")


def test_views_that_are_sure_of_different_things_are_reviewed():
    """Views that are sure of different things are reviewed."""
    sure = [prediction([0.98, 0.01, 0.01])] * 4 + [prediction([0.1, 0.85, 0.05])]
    assert vote(views(*sure), THRESHOLDS).reason == "views_disagree"


def test_two_categories_in_one_view_are_reviewed():
    """Their average would pass: (0.98 * 3 + 0.55) / 4 = 0.87."""
    seen = [prediction([0.98, 0.01, 0.01])] * 3 + [prediction([0.55, 0.4, 0.05])]
    assert vote(views(*seen), THRESHOLDS).reason == "two_categories"


def test_half_of_the_views_unfamiliar_is_reviewed():
    """Half of the views unfamiliar is reviewed."""
    known, strange = prediction([0.98, 0.01, 0.01]), prediction([0.98, 0.01, 0.01], reason="unfamiliar")
    assert vote(views(known, strange), THRESHOLDS).reason == "unfamiliar"
    assert vote(views(known, known, strange), THRESHOLDS).decision == "accept"


def test_the_second_head_is_averaged_too():
    """Paper is biodegradable: 0.98 by the categories, 0.5 by the other head."""
    given = [prediction([0.01, 0.01, 0.98], second=second) for second in (0.4, 0.6)]
    mask = (False, False, True)
    assert vote(views(*given), THRESHOLDS, biodegradable_mask=mask).reason == "heads_disagree"
    given = [prediction([0.01, 0.01, 0.98], second=second) for second in (0.5, 0.9)]
    assert vote(views(*given), THRESHOLDS, biodegradable_mask=mask).decision == "accept"


def test_several_and_no_view_are_reviewed():
    """Several and no view are reviewed."""
    assert vote(views(prediction([0.98, 0.01, 0.01])), THRESHOLDS, several=True).reason == "several"
    outcome = vote([], THRESHOLDS)
    assert (outcome.decision, outcome.reason, outcome.category, outcome.confidence) == ("review", "no_view", None, None)
