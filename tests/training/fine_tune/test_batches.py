"""The photos of each epoch: how many of each class, in what order, and always the same for the same seed."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.training.tiny_run import SETTINGS, SPEC, write_photos

from binsight.training.fine_tune.batches import TrainingBatches, class_quotas, draw_order, make_targets
from binsight.training.photos import PhotoStore, decode_for_augmentation


@pytest.mark.parametrize(
    ("counts", "balance", "quotas"),
    [
        ([30, 10], 0, [30, 10]),
        ([30, 10], 1, [20, 20]),
        ([90, 10], 0.5, [75, 25]),  # 3 to 1, the square roots
        ([5, 0, 5], 1, [5, 0, 5]),
        ([4, 3, 3], 1, [4, 3, 3]),  # the largest remainder; of equal ones, the first
    ],
)
def test_quotas_by_hand(counts, balance, quotas):
    """They add up to the number of photos."""
    assert class_quotas(counts, balance).tolist() == quotas


@given(labels=st.lists(st.integers(0, 4), min_size=1, max_size=60), balance=st.floats(0, 1), seed=st.integers(0, 99))
def test_an_epoch_draws_as_many_photos_as_there_are(labels, balance, seed):
    """Within a class, the photos differ by at most one in how often they are drawn."""
    labels = np.array(labels)
    order = draw_order(labels, balance, np.random.default_rng(seed))
    assert len(order) == len(labels)
    times = np.bincount(order, minlength=len(labels))
    for label in np.unique(labels):
        assert np.ptp(times[labels == label]) <= 1


def test_unbalanced_sampling_draws_each_photo_once():
    """In another order."""
    order = draw_order(np.array([0] * 9 + [1] * 3), 0, np.random.default_rng(0))
    assert sorted(order) == list(range(12))
    assert order.tolist() != list(range(12))


@pytest.fixture
def batches(tmp_path):
    """Make batches of 24 photos."""
    photos = write_photos(tmp_path)

    def make(workers=1, **changes):
        settings = replace(SETTINGS, **changes)
        store = PhotoStore(photos.paths, partial(decode_for_augmentation, size=SPEC.size), budget=10**6)
        return TrainingBatches(photos, 3, settings, 4, store, SPEC, workers)

    return make


def test_the_number_of_workers_changes_nothing(batches):
    """Pictures and targets of two epochs, by one worker and by three, the second time from memory."""
    one, three = batches(workers=1), batches(workers=3)
    for epoch in (1, 2, 1):
        for a, b in zip(one.epoch(epoch), three.epoch(epoch), strict=True):
            np.testing.assert_array_equal(a.images, b.images)
            for name in a.targets:
                np.testing.assert_array_equal(a.targets[name], b.targets[name])


def test_epochs_differ(batches):
    """In pictures, not in shapes."""
    first, second = (next(batches().epoch(epoch)) for epoch in (1, 2))
    assert first.images.shape == second.images.shape == (8, 32, 32, 3)
    assert (first.images != second.images).any()


def test_targets_are_smoothed(batches):
    """0.9 + 0.1 / 3 for the class, 0.05 and 0.95 for the second head."""
    maker = batches(label_smoothing=0.1)
    targets = next(maker.epoch(1)).targets
    values = np.unique(targets["logits"].round(4))
    assert values.tolist() == pytest.approx([0.0333, 0.9333], abs=1e-4)
    assert np.unique(targets["biodegradable_logit"]).tolist() == pytest.approx([0.05, 0.95])
    np.testing.assert_array_equal(targets["biodegradable_logit"][:, 0] > 0.5, targets["logits"].argmax(axis=1) == 1)
    assert {target.dtype for target in targets.values()} == {np.dtype(np.float32)}


def test_a_photo_drawn_twice_in_an_epoch_is_altered_twice(tmp_path):
    """One photo of its class among many of another."""
    photos = write_photos(tmp_path, 12)
    photos = replace(photos, labels=np.array([1] + [0] * 11), biodegradable=None)
    store = PhotoStore(photos.paths, partial(decode_for_augmentation, size=SPEC.size), budget=0)
    settings = replace(SETTINGS, batch_size=12, class_balance=1.0)
    batch = next(TrainingBatches(photos, 2, settings, 0, store, SPEC, 1).epoch(1))
    rare = batch.images[batch.targets["logits"].argmax(axis=1) == 1]
    assert len(rare) == 6
    assert len({picture.tobytes() for picture in rare}) > 3


def test_photos_of_none_of_the_classes_are_drawn_in_their_share_and_have_flat_targets(batches):
    """A half for each other photo; nothing is said of them, and the others are drawn as before."""
    maker = batches(outlier_share=0.5, label_smoothing=0.1, batch_size=9)
    photos = replace(maker.photos, labels=np.where(np.arange(24) >= 20, -1, maker.photos.labels))
    maker = replace(maker, photos=photos)
    assert (maker.drawn, maker.steps) == (30, 3)
    order = maker.order(np.random.default_rng(0))
    times = np.bincount(order, minlength=24)
    assert times[20:].sum() == 10
    assert np.ptp(times[20:]) <= 1
    assert times[:20].tolist() == [1] * 20
    targets = make_targets(photos, np.array([0, 23]), 3, 0.1)
    np.testing.assert_allclose(targets["logits"], [[0.9 + 0.1 / 3, 0.1 / 3, 0.1 / 3], [1 / 3] * 3], atol=1e-6)
    assert targets["biodegradable_logit"][1] == pytest.approx(0.5)
    assert batches(outlier_share=0.5).drawn == 24  # where there are none, none are drawn


def test_a_batch_is_no_larger_than_the_data(batches):
    """One step per epoch then; else what is left over waits for another epoch."""
    assert (batches(batch_size=100).batch_size, batches(batch_size=100).steps) == (24, 1)
    assert (batches(batch_size=10).batch_size, batches(batch_size=10).steps) == (10, 2)


def test_sources_of_a_class_are_drawn_by_the_root_of_their_photos():
    """Class 0 has eight photos of one source and two of another: two to one, not four to one; class 1 as before."""
    labels = np.array([0] * 10 + [1] * 5 + [-1] * 3)
    sources = np.array(["a"] * 8 + ["b"] * 2 + ["a"] * 5 + ["c"] * 3)
    order = draw_order(labels, 0, np.random.default_rng(0), total=18, sources=sources, source_balance=0.5)
    times = np.bincount(order, minlength=18)
    assert (times[:8].sum(), times[8:10].sum(), times[10:15].sum(), times[15:].sum()) == (7, 3, 5, 3)
    assert class_quotas([8, 2], 0.5, total=30).tolist() == [20, 10]


def test_sources_matter_only_where_they_are_to_be_balanced(batches):
    """The same photos are drawn as without any; with a balance, others."""
    known = batches().photos
    for balance, is_same in ((0.0, True), (1.0, False)):
        plain = batches(source_balance=balance)
        named = replace(plain, photos=replace(known, sources=np.array(["a"] * 21 + ["b"] * 3)))
        orders = [maker.order(np.random.default_rng(3)).tolist() for maker in (plain, named)]
        assert (orders[0] == orders[1]) is is_same
