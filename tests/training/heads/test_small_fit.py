"""Training of a small network: its best epoch, its views, its seed."""

from __future__ import annotations

import numpy as np
import pytest

from binsight.training.heads.small_fit import FeatureSet, fit_small_network
from binsight.training.heads.small_network import SmallNetworkSettings

SETTINGS = SmallNetworkSettings(learning_rate=0.01, inner_size=8, dropout=0.2, epochs=6, seed=3)


@pytest.fixture
def photos():
    """Two hundred photos of four classes that can be told apart mostly."""
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 4, 200)
    rows = (generator.normal(size=(200, 10)) + 2 * np.eye(4, 10)[labels]).astype(np.float32)
    return FeatureSet([rows], labels, labels < 2)


def test_it_learns(photos):
    """Loss falls, accuracy rises."""
    result = fit_small_network(photos, photos, classes=4, settings=SETTINGS)
    assert result.history[-1].loss < result.history[0].loss
    assert result.best.val_accuracy > 0.7
    assert len(result.history) == SETTINGS.epochs


def test_the_heads_are_those_of_the_best_epoch(photos):
    """Their accuracy on the validation photos is the one recorded; of equal epochs the first counts."""
    result = fit_small_network(photos, photos, classes=4, settings=SETTINGS)
    reached = np.mean(result.heads.logits(photos.upright).argmax(axis=1) == photos.labels)
    assert reached == result.best.val_accuracy == max(r.val_accuracy for r in result.history)
    assert result.best == next(r for r in result.history if r.val_accuracy == reached)


def test_the_last_epoch_can_be_kept(photos):
    """Where nothing is to be chosen by the validation photos."""
    result = fit_small_network(photos, photos, classes=4, settings=SETTINGS, keep="last")
    assert result.best == result.history[-1]


def test_the_same_seed_gives_the_same_network(photos):
    """And another seed another."""
    first, second = (fit_small_network(photos, photos, classes=4, settings=SETTINGS) for _ in range(2))
    assert first.history == second.history
    other = SmallNetworkSettings(learning_rate=0.01, inner_size=8, dropout=0.2, epochs=6, seed=4)
    assert fit_small_network(photos, photos, classes=4, settings=other).history != first.history


def test_every_view_is_learnt_from(photos):
    """A class that only the second view shows is learnt too."""
    blank = np.zeros_like(photos.upright)
    views = FeatureSet([blank, photos.upright], photos.labels, photos.biodegradable)
    assert fit_small_network(views, photos, classes=4, settings=SETTINGS).best.val_accuracy > 0.6


def test_validation_sees_photos_as_they_are(photos):
    """Further views of the validation photos do not count."""
    views = FeatureSet([photos.upright, np.zeros_like(photos.upright)], photos.labels, photos.biodegradable)
    plain, viewed = (fit_small_network(photos, val, classes=4, settings=SETTINGS) for val in (photos, views))
    assert plain.history == viewed.history


def test_rare_classes_can_be_given_the_same_weight():
    """Without that, the frequent class swallows the rare one."""
    generator = np.random.default_rng(0)
    labels = np.repeat([0, 1], [190, 10])
    rows = (generator.normal(size=(200, 2)) + np.array([[0.0, 0.0], [1.2, 0.0]])[labels]).astype(np.float32)
    photos = FeatureSet([rows], labels)
    recalls = []
    for balanced in (False, True):
        settings = SmallNetworkSettings(learning_rate=0.03, inner_size=0, epochs=15, balanced=balanced)
        heads = fit_small_network(photos, photos, classes=2, settings=settings, keep="last").heads
        recalls.append(np.mean(heads.logits(rows).argmax(axis=1)[labels == 1] == 1))
    assert recalls[1] > recalls[0] + 0.3


def test_a_callback_may_end_it(photos):
    """An exception of it passes through, after the epochs it was told of."""
    seen = []

    def stop(record):
        seen.append(record.epoch)
        if record.epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit_small_network(photos, photos, classes=4, settings=SETTINGS, on_epoch_end=stop)
    assert seen == [1, 2]


def test_without_a_second_head(photos):
    """Where the taxonomy leaves it open, there is none."""
    plain = FeatureSet(photos.views, photos.labels)
    assert fit_small_network(plain, plain, classes=4, settings=SETTINGS).heads.biodegradable is None
