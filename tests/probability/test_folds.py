"""Folds for cross-fitting: of even classes, copies on one side."""

import numpy as np

from binsight.probability.folds import cross_fit_folds, spread_folds


def test_folds_keep_groups_together_and_classes_even():
    """No group is divided, and each class is spread to within one group."""
    rng = np.random.default_rng(0)
    groups = rng.integers(0, 150, 400)
    labels = groups % 4
    folds = spread_folds(labels, groups.tolist())
    assert all(len(set(folds[groups == g])) == 1 for g in set(groups.tolist()))
    table = np.array([[((folds == f) & (labels == c)).sum() for c in range(4)] for f in range(5)])
    assert (table.max(axis=0) - table.min(axis=0) <= np.bincount(groups).max()).all()


def test_another_seed_gives_other_folds():
    """The seed decides, and only the seed."""
    labels, groups = np.zeros(50, np.int64), list(range(50))
    assert np.array_equal(spread_folds(labels, groups, seed=1), spread_folds(labels, groups, seed=1))
    assert not np.array_equal(spread_folds(labels, groups, seed=1), spread_folds(labels, groups, seed=2))


def test_folds_judge_every_photo_once_and_never_on_itself():
    """The judged positions partition the photos; fitted and judged ones do not meet."""
    labels = np.repeat([0, 1, 2], [50, 7, 23])
    folds = list(cross_fit_folds(labels, folds=5))
    assert sorted(np.concatenate([judge for _, judge in folds])) == list(range(80))
    assert all(not set(fit) & set(judge) for fit, judge in folds)


def test_folds_keep_the_proportions_of_the_classes():
    """Every fold has its fifth of each class, give or take one photo."""
    labels = np.repeat([0, 1], [50, 23])
    for _, judge in cross_fit_folds(labels, folds=5):
        assert abs(np.count_nonzero(labels[judge] == 0) - 10) <= 1
        assert abs(np.count_nonzero(labels[judge] == 1) - 4.6) <= 1


def test_copies_are_never_on_both_sides():
    """Forty photos, each there three times: what judges a photo was fitted on none of its copies."""
    groups = np.repeat(np.arange(40), 3)
    labels = groups % 2
    for fit, judge in cross_fit_folds(labels, groups):
        assert not set(groups[fit]) & set(groups[judge])


def test_photos_that_are_all_copies_cannot_be_divided():
    """There is nothing to fit on that is not judged."""
    assert list(cross_fit_folds(np.zeros(6, int), np.zeros(6, int))) == []
