"""What is accepted after a lesson: one mistake among the surest old photos does not send a third of all to review."""

import numpy as np

from binsight.adapt.judging import RawScores, fit_decisions, judge
from binsight.probability.calibration import ReviewTargets


def _scores(photos, mistakes):
    """Two classes; the first photo is the surest, and at these places the label is the other class."""
    margins = np.linspace(6, 1, photos)
    labels = np.isin(np.arange(photos), mistakes).astype(np.int64)
    return RawScores(np.stack([margins, -margins], axis=1), labels, np.arange(photos))


def test_one_wrong_label_among_the_surest_does_not_halve_what_is_accepted():
    """The 450th surest of 752 old photos is wrong: the thresholds accept most of the others, and the camera's."""
    camera, known = _scores(20, []), _scores(752, [450, 730, 740, 745, 750])
    fitted = fit_decisions(camera, known, ReviewTargets())
    accepted = judge(known, fitted)[0]
    assert 0.9 < accepted.mean() < 1
    assert known.correct()[accepted].mean() > 0.993
    assert judge(camera, fitted)[0].mean() > 0.9


def test_many_wrong_ones_among_the_surest_still_do():
    """Of the surest 400 old photos twelve are wrong: what is accepted of them is little."""
    fitted = fit_decisions(_scores(20, []), known := _scores(752, np.arange(100, 400, 25)), ReviewTargets())
    assert judge(known, fitted)[0].mean() < 0.2
