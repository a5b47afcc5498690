"""What is accepted after a lesson: one mistake among the surest old photos does not send a third of all to review."""

import numpy as np

from binsight.adapt.judging import RawScores, fit_decisions
from binsight.evaluation.scoring import judge
from binsight.probability.calibration import ReviewTargets


def _scores(photos, mistakes):
    """Two classes; the first photo is the surest, and at these places the label is the other class."""
    margins = np.linspace(6, 1, photos)
    labels = np.isin(np.arange(photos), mistakes).astype(np.int64)
    return RawScores(np.stack([margins, -margins], axis=1), labels=labels, groups=np.arange(photos))


def test_one_wrong_label_among_the_surest_does_not_halve_what_is_accepted():
    """The 450th surest of 752 old photos is wrong: the thresholds accept most of the others, and the camera's."""
    camera, known = _scores(20, []), _scores(752, [450, 730, 740, 745, 750])
    fitted = fit_decisions(camera, known, ReviewTargets())
    accepted = judge(known, fitted).accepted
    assert 0.9 < accepted.mean() < 1
    assert known.correct()[accepted].mean() > 0.993
    assert judge(camera, fitted).accepted.mean() > 0.9


def test_many_wrong_ones_among_the_surest_still_do():
    """Of the surest 400 old photos twelve are wrong: what is accepted of them is little."""
    fitted = fit_decisions(_scores(20, []), known := _scores(752, np.arange(100, 400, 25)), ReviewTargets())
    assert judge(known, fitted).accepted.mean() < 0.2


def _of_classes(classes, photos, wrong, *, surest, least):
    """So many photos, in turn of these classes among three and taken for them; the surest ones are wrong."""
    told = np.resize(classes, photos)
    labels = np.where(np.arange(photos) < wrong, (told + 1) % 3, told)
    return RawScores(
        np.eye(3)[told] * np.linspace(surest, least, photos)[:, None], labels=labels, groups=np.arange(photos)
    )


def test_a_camera_that_is_often_wrong_sends_only_what_it_is_taken_for_to_review():
    """The other classes are accepted as before; with a new class among its photos none is."""
    known = _of_classes([0, 1, 2], 900, 0, surest=9, least=5)
    camera = _of_classes([0, 1], 40, 6, surest=6, least=4)
    accepted = judge(known, fit_decisions(camera, known, ReviewTargets())).accepted
    first, second, other = (accepted[known.labels == c].mean() for c in range(3))
    assert first == second == 0
    assert other > 0.7
    old = known.take(known.labels != 1)
    assert not judge(old, fit_decisions(camera, old, ReviewTargets())).accepted.any()
