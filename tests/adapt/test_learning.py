"""Learning with replay: numbers worked out by hand, and what must hold."""

from __future__ import annotations

import numpy as np
import pytest
from tests.adapt.world import PLANT_LIGHT, factory_heads, factory_replay, features_of, shots
from tests.tiny_bundle import tiny_taxonomy

from binsight.adapt.judging import RawScores
from binsight.adapt.learning import Memory, learn
from binsight.adapt.teaching import _loss_bound, teach
from binsight.bundle import CameraPhotos, Replay
from binsight.probability.scores import LinearHead


def one_feature(codes: list[float], labels: list[int]) -> Replay:
    """Photos with one feature."""
    values = np.array(codes, np.float32)[:, None]
    return Replay(
        np.zeros(1, np.float32), np.ones((1, 1), np.float32), values, np.array(labels), np.zeros(len(labels), bool)
    )


def test_the_least_loss_is_found() -> None:
    """At the end the slope of loss and penalty is 0, found by moving each number a little.

    Of an old photo a quarter of the target is what the head said before.
    """
    replay, start = one_feature([-1.0, 1.0, 2.0], [0, 1, 1]), LinearHead(np.array([[-1.0, 1.0]]), np.zeros(2))
    memory = Memory.of(replay, start, np.arange(2))
    camera = CameraPhotos(np.array([[0.5], [-0.2]], np.float32), np.array([0, 1]))
    found = learn(memory, camera, np.ones(2), camera_weight=4.0)

    said = np.exp(start.logits(replay.codes))
    remembered = 0.75 * np.eye(2)[replay.labels] + 0.25 * said / said.sum(axis=1, keepdims=True)

    def loss(weight: np.ndarray, bias: np.ndarray) -> float:
        total = 0.0
        for features, targets, share in (
            (replay.codes, remembered, 1.0), (camera.features, np.eye(2)[camera.labels], 4.0),
        ):  # fmt: skip
            logits = features @ weight + bias
            log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
            total -= share * (targets * log_p).sum()
        change = [weight - start.weight, (bias - start.bias) / 0.3]
        return float(total + 0.2 * sum(np.square(part).sum() for part in change))

    least = loss(found.weight, found.bias)
    for step in (-0.02, 0.02):
        for c in range(2):
            moved = found.weight.copy()
            moved[0, c] += step
            assert loss(moved, found.bias) > least
            shifted = found.bias.copy()
            shifted[c] += step
            assert loss(found.weight, shifted) > least


def test_none_of_the_classes_means_no_preference() -> None:
    """A photo that is none of them gets the same probability of each, far from the others."""
    replay, start = one_feature([-1.0, 1.0], [0, 1]), LinearHead(np.array([[-1.0, 1.0]]), np.zeros(2))
    camera = CameraPhotos(np.array([[5.0]], np.float32), np.array([-1]))
    found = learn(Memory.of(replay, start, np.arange(2)), camera, np.ones(1), camera_weight=1000.0)
    first, second = found.logits(np.array([[5.0]]))[0]
    assert first == pytest.approx(second, abs=1.5)
    assert np.ptp(start.logits(np.array([[5.0]]))) == 10


def test_copies_weigh_as_one() -> None:
    """Three copies with a third of the weight each are one photo."""
    memory = Memory.of(factory_replay(), factory_heads().categories, np.arange(3))
    photos = features_of(shots("red", 4, light=PLANT_LIGHT))
    once = learn(memory, CameraPhotos(photos, np.zeros(4, np.int64)), np.ones(4))
    thrice = CameraPhotos(np.repeat(photos, 3, axis=0), np.zeros(12, np.int64))
    np.testing.assert_allclose(learn(memory, thrice, np.full(12, 1 / 3)).weight, once.weight, atol=2e-2)


def test_the_order_of_photos_does_not_matter() -> None:
    """And the same photos give the same heads."""
    features = features_of(np.concatenate([shots(name, 6, light=PLANT_LIGHT) for name in ("red", "green")]))
    labels, order = np.repeat([0, 1], 6), np.random.default_rng(0).permutation(12)
    memory = Memory.of(factory_replay(), factory_heads().categories, np.arange(3))
    first = learn(memory, CameraPhotos(features, labels), np.ones(12))
    second = learn(memory, CameraPhotos(features[order], labels[order]), np.ones(12))
    np.testing.assert_allclose(first.weight, second.weight, atol=1e-2)


def test_each_photo_is_judged_by_others() -> None:
    """What is said of a photo left out does not follow its own label, which may be wrong."""
    features = features_of(np.concatenate([shots(name, 10, light=PLANT_LIGHT) for name in ("red", "green")]))
    labels = np.repeat([0, 1], 10)
    labels[0] = 1
    taught = teach(factory_heads(), factory_replay(), tiny_taxonomy(), CameraPhotos(features, labels), np.arange(20))
    assert taught.left_out.logits[0].argmax() == 0
    assert taught.left_out.correct()[1:].mean() > 0.8


def test_a_lesson_learns_of_views_as_of_photos() -> None:
    """Photos in the factory's light, whose views show the plant's: the heads are right there, else they are not."""
    labels, groups = np.repeat([0, 1], 10), np.arange(20)
    plain, plant = (
        features_of(np.concatenate([shots(name, 10, light=light) for name in ("red", "green")]))
        for light in ((0, 0, 0), PLANT_LIGHT)
    )
    old, lesson = (factory_heads(), factory_replay(), tiny_taxonomy()), CameraPhotos(plain, labels)
    with_views, without = (teach(*old, lesson, groups, views) for views in (np.stack([plain, plant], axis=1), None))
    right = [(t.heads.categories.logits(plant).argmax(axis=1) == labels).mean() for t in (with_views, without)]
    assert right[0] > right[1] + 0.2
    assert len(with_views.left_out.labels) == 20


def test_a_photo_and_its_views_weigh_as_one() -> None:
    """Views that show what the photo shows change nothing."""
    features = features_of(np.concatenate([shots(name, 6, light=PLANT_LIGHT) for name in ("red", "green")]))
    lesson, groups = CameraPhotos(features, np.repeat([0, 1], 6)), np.arange(12)
    old = factory_heads(), factory_replay(), tiny_taxonomy()
    again, once = (teach(*old, lesson, groups, views) for views in (np.stack([features] * 3, axis=1), None))
    np.testing.assert_allclose(again.heads.categories.weight, once.heads.categories.weight, atol=2e-2)
    np.testing.assert_allclose(again.left_out.logits, once.left_out.logits, atol=0.2)


def test_what_a_lesson_may_cost_is_bounded_with_certainty() -> None:
    """By hand: three of four photos are told with 3 to 1, so the temperature is 1; then with 1 to 1.

    The probability of the right class falls by 0.25 three times and rises by as much once: 0.125 on average, with a
    standard error of 0.2165 / 2.
    """
    labels, photos = np.array([0, 0, 0, 1]), np.arange(4)
    before = RawScores(np.tile([np.log(3), 0.0], (4, 1)), labels=labels, groups=photos)
    after = RawScores(np.zeros((4, 2)), labels=labels, groups=photos)
    assert _loss_bound(before, after) == pytest.approx(0.125 + 1.645 * 0.2165 / 2, abs=1e-3)
    assert _loss_bound(before, before) == 0


def test_a_camera_that_contradicts_old_knowledge_counts_less() -> None:
    """Red as the factory saw it, called green; and what was known of red is not lost."""
    red = features_of(shots("red", 10))
    green = features_of(shots("green", 10, light=PLANT_LIGHT))
    groups, heads, replay = np.arange(20), factory_heads(), factory_replay()
    wrong = CameraPhotos(np.concatenate([red, green]), np.ones(20, np.int64))
    wrong.labels[10:] = 0
    taught = teach(heads, replay, tiny_taxonomy(), wrong, groups)
    assert taught.camera_weight < 300
    plant = features_of(np.concatenate([shots(name, 10, light=PLANT_LIGHT) for name in ("red", "green")]))
    honest = teach(heads, replay, tiny_taxonomy(), CameraPhotos(plant, np.repeat([0, 1], 10)), groups)
    assert honest.camera_weight == 300
