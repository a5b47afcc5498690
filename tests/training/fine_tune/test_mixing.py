"""Mixup and cutmix: pictures and labels in the same proportions."""

import numpy as np
import pytest

from binsight.training.fine_tune.mixing import mix_batch
from binsight.training.fine_tune.settings import FineTuneSettings

WHITE, BLACK = 255, 0


def batch():
    """Eight photos, by turns white of class 1 and black of class 0, so that each is mixed with one of the other."""
    values = np.tile([WHITE, BLACK], 4).astype(np.uint8)
    images = np.broadcast_to(values[:, None, None, None], (8, 20, 20, 3)).copy()
    return images, {"logits": np.eye(2, dtype=np.float32)[(values == WHITE).astype(int)]}


@pytest.mark.parametrize("settings", [{}, {"mixup_alpha": 0.4, "mix": 0.0}])
def test_without_it_the_batch_stays(settings):
    """The very pictures."""
    images, targets = batch()
    mixed, after = mix_batch(images, targets, FineTuneSettings(**settings), np.random.default_rng(0))
    assert mixed is images
    assert after["logits"] is targets["logits"]


@pytest.mark.parametrize("kind", ["mixup_alpha", "cutmix_alpha"])
def test_the_label_tells_how_much_of_each_is_there(kind):
    """The mean brightness is the share of white, and so is the target of its class."""
    images, targets = batch()
    mixed, after = mix_batch(images, targets, FineTuneSettings(**{kind: 1.0}), np.random.default_rng(0))
    np.testing.assert_allclose(mixed.mean(axis=(1, 2, 3)) / 255, after["logits"][:, 1], atol=0.01)
    np.testing.assert_allclose(after["logits"].sum(axis=1), 1, atol=1e-6)
    assert len(np.unique(after["logits"][:, 1].round(3))) > 4


def test_cutmix_puts_whole_pixels_in():
    """No pixel is grey, unlike with mixup."""
    images, targets = batch()
    cut, _ = mix_batch(images, targets, FineTuneSettings(cutmix_alpha=1.0), np.random.default_rng(1))
    laid, _ = mix_batch(images, targets, FineTuneSettings(mixup_alpha=1.0), np.random.default_rng(1))
    assert set(np.unique(cut)) == {BLACK, WHITE}
    assert set(np.unique(laid)) > {BLACK, WHITE} or len(np.unique(laid)) > 2


def test_with_both_each_batch_draws_one():
    """Over many batches, each about half the time."""
    settings = FineTuneSettings(mixup_alpha=1.0, cutmix_alpha=1.0)
    images, targets = batch()
    cut = [
        set(np.unique(mix_batch(images, targets, settings, np.random.default_rng(i))[0])) <= {BLACK, WHITE}
        for i in range(60)
    ]
    assert 18 < sum(cut) < 42


def test_a_share_of_photos_is_mixed():
    """The others keep their picture and label."""
    images, targets = batch()
    counts = []
    for i in range(40):
        settings = FineTuneSettings(mixup_alpha=1.0, mix=0.25)
        _, after = mix_batch(images, targets, settings, np.random.default_rng(i))
        counts.append((after["logits"].max(axis=1) < 1).sum())
    assert 1.2 < np.mean(counts) < 2.8
