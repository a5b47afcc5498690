"""Loss and metrics on validation photos."""

import math
from pathlib import Path

import numpy as np
import pytest

from binsight.training.fine_tune.validation import Validation, predict_outputs
from binsight.training.photos import LabelledPhotos

PHOTOS = LabelledPhotos([Path("a"), Path("b"), Path("c")], np.array([0, 1, 1]), np.array([True, False, False]))


def test_by_hand():
    """Two of three right: F1 is 2/3 for both classes. The losses are logarithms of 2 and of odds of 3 to 1."""
    logits = np.log(np.array([[3, 1], [1, 1.0001], [3, 1]], np.float32))
    found = Validation.of(
        {"logits": logits, "biodegradable_logit": np.zeros((3, 1), np.float32)}, PHOTOS, biodegradable_weight=0.5
    )
    categories = (math.log(4 / 3) + math.log(2) + math.log(4)) / 3
    assert found.loss == pytest.approx(categories + 0.5 * math.log(2), abs=1e-4)
    assert found.accuracy == pytest.approx(2 / 3)
    assert found.macro_f1 == pytest.approx(2 / 3)
    assert found.biodegradable_accuracy == pytest.approx(2 / 3)  # a logit of 0 says no


def test_without_a_second_head_its_part_is_left_out():
    """Huge logits do no harm."""
    found = Validation.of({"logits": np.array([[1e4, 0], [0, 1e4], [0, 1e4]])}, PHOTOS, biodegradable_weight=1)
    assert found == Validation(0.0, 1.0, 1.0, None)


class FakeNetwork:
    """Gives back the number; remembers how large its batches were."""

    def __init__(self):
        self.sizes = set()

    def predict_on_batch(self, images):
        self.sizes.add(len(images))
        return {"logits": images[:, 0, 0, :2].astype(np.float32)}


@pytest.mark.parametrize("count", [1, 64, 65, 130])
def test_all_photos_are_predicted_once_in_batches_of_one_size(count):
    """The last batch is filled up, and what was added is taken away again."""
    network = FakeNetwork()
    pictures = (np.full((2, 2, 3), number, np.uint8) for number in range(count))
    logits = predict_outputs(network, pictures, count)["logits"]
    assert logits[:, 0].tolist() == list(range(count))
    assert network.sizes == {min(count, 64)}
