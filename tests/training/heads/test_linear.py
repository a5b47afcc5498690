"""Linear heads on frozen features."""

import numpy as np
import pytest

from binsight.probability.scores import LinearHead
from binsight.training.heads.linear import (
    Heads,
    choose_penalty,
    fit_biodegradable,
    fit_categories,
    fit_heads,
)


@pytest.fixture
def clusters():
    """Three well separated clusters in four dimensions of very different scale, 100, 20 and 20 photos."""
    generator = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], [100, 20, 20])
    centres = generator.normal(0, 5, (3, 4))
    features = (centres[labels] + generator.normal(0, 1, (140, 4))) * [1, 100, 0.01, 1] + [0, 5000, 0, 0]
    return features.astype(np.float32), labels


def test_logits_are_a_linear_function_of_the_features():
    """By hand: [1, 2] times [[1, 0], [0, 1]] plus [10, 20]."""
    model = LinearHead(np.eye(2), np.array([10.0, 20.0]))
    assert model.logits(np.array([[1.0, 2.0]])).tolist() == [[11.0, 22.0]]


def test_separated_classes_are_told_apart_whatever_their_scale(clusters):
    """Standardising inside the fit is undone in the result."""
    features, labels = clusters
    model = fit_categories(features, labels, inverse_penalty=1.0)
    assert np.mean(model.logits(features).argmax(axis=1) == labels) > 0.97


def test_a_constant_feature_does_no_harm(clusters):
    """A feature without variance is not divided by zero."""
    features, labels = clusters
    features = np.concatenate([features, np.full((len(features), 1), 3, np.float32)], axis=1)
    assert np.isfinite(fit_categories(features, labels, inverse_penalty=1.0).weight).all()


def test_the_same_data_give_the_same_head(clusters):
    """There is no randomness in the fit."""
    features, labels = clusters
    first, second = (fit_categories(features, labels, inverse_penalty=0.1) for _ in range(2))
    assert np.array_equal(first.weight, second.weight)


def test_a_smaller_inverse_penalty_gives_smaller_weights(clusters):
    """The penalty pulls the weights towards 0."""
    features, labels = clusters
    loose, tight = (fit_categories(features, labels, inverse_penalty=c) for c in (1.0, 0.001))
    assert np.abs(tight.weight).sum() < np.abs(loose.weight).sum()


def test_the_second_head_has_one_logit_positive_for_biodegradable(clusters):
    """Its sign answers the question."""
    features, labels = clusters
    model = fit_biodegradable(features, labels == 1, inverse_penalty=1.0)
    logits = model.logits(features)
    assert logits.shape == (140, 1)
    assert np.mean((logits[:, 0] > 0) == (labels == 1)) > 0.97


def test_an_inner_layer_by_hand():
    """The heads see max(x W + b, 0)."""
    inner = LinearHead(np.array([[1.0, -1.0]]), np.array([0.0, 0.5]))
    heads = Heads(LinearHead(np.array([[1.0], [10.0]]), np.zeros(1)), LinearHead(np.ones((2, 1)), np.ones(1)), inner)
    features = np.array([[2.0], [-3.0]])
    assert heads.logits(features).tolist() == [[2.0], [35.0]]
    assert heads.biodegradable_logits(features).tolist() == [3.0, 4.5]


def test_heads_can_be_taken_apart_and_put_together(clusters):
    """With and without the optional parts."""
    features, labels = clusters
    for mask in (np.array([True, False, True]), None):
        heads = fit_heads(features, labels, inverse_penalty=1.0, biodegradable_mask=mask)
        again = Heads.from_arrays(heads.to_arrays())
        np.testing.assert_array_equal(again.logits(features), heads.logits(features))
        assert (again.biodegradable_logits(features) is None) == (mask is None)


@pytest.mark.parametrize(("mask", "sign"), [([True] * 3, 1), ([False] * 3, -1)])
def test_where_all_classes_agree_the_second_head_is_certain(clusters, mask, sign):
    """There is nothing to learn, and a logistic regression of one class does not exist."""
    features, labels = clusters
    heads = fit_heads(features, labels, inverse_penalty=1.0, biodegradable_mask=np.array(mask))
    logits = heads.biodegradable_logits(features)
    assert (sign * logits > 9).all()


def test_two_classes_have_two_logits(clusters):
    """As many as there are classes, although one would do; the probabilities are those of the one."""
    features, labels = clusters
    kept = labels < 2
    model = fit_categories(features[kept], labels[kept], inverse_penalty=1.0)
    single = fit_biodegradable(features[kept], labels[kept] == 1, inverse_penalty=1.0)
    logits = model.logits(features[kept])
    assert logits.shape == (120, 2)
    np.testing.assert_allclose(logits[:, 1] - logits[:, 0], single.logits(features[kept])[:, 0], rtol=1e-6)


def _clusters(count: int = 90):
    generator = np.random.default_rng(0)
    labels = np.arange(count) % 3
    return (generator.normal(size=(count, 6)) + 3 * np.eye(6)[labels]).astype(np.float32), labels


def test_the_penalty_with_the_best_cross_validation_is_given():
    """Of equal ones the first."""
    rows, labels = _clusters()
    best, tried = choose_penalty([rows, rows[:, ::-1]], labels, np.arange(90) % 3, penalties=(1e-9, 0.1), workers=2)
    assert list(tried) == [1e-9, 0.1]
    assert tried[best] == max(tried.values())
    assert choose_penalty([rows], labels, np.arange(90) % 3, penalties=(0.2, 0.2001))[0] == 0.2


def test_cross_validation_does_not_judge_what_it_learnt_from():
    """On features that say nothing, it is as good as chance, however close it could fit."""
    rows = np.random.default_rng(0).normal(size=(60, 80)).astype(np.float32)
    _, tried = choose_penalty([rows], np.arange(60) % 2, np.arange(60) // 20, penalties=(100.0,))
    assert tried[100.0] < 0.75


def test_a_class_in_one_fold_only_is_no_trouble():
    """It is not known where it is judged, so its photos count as wrong there; no class is taken for another."""
    labels = np.append(np.arange(40) % 4 + 1, 0)
    rows = np.concatenate([np.eye(8, dtype=np.float32)[np.arange(40) % 4], np.full((1, 8), 9, np.float32)])
    folds = np.append(np.arange(40) // 4 % 3, 0)
    assert choose_penalty([rows], labels, folds, penalties=(1.0,))[1][1.0] == pytest.approx(40 / 41)


def test_where_one_fold_holds_all_nothing_is_known():
    """All are copies of each other."""
    rows, labels = _clusters()
    assert choose_penalty([rows], labels, np.zeros(90, int), penalties=(1.0, 2.0)) == (1.0, {1.0: 0.0, 2.0: 0.0})
