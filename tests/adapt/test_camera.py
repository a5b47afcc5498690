"""What a lesson sees of a camera's photos: each as it is, mirrored and turned."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from tests.adapt.world import camera, factory_bundle

from binsight.adapt.camera import MOST_TURNED, look, look_at_camera
from binsight.predictor import Outputs, Predictor

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class Pixels:
    """A network whose features are the pixels of one colour."""

    def run(self, inputs: np.ndarray, names: Sequence[str]) -> Outputs:
        """As `Predictor.run`."""
        seen = inputs[..., 0].reshape(len(inputs), -1).astype(np.float32)
        return Outputs(np.zeros((len(inputs), 2), np.float32), features=seen if "features" in names else None)


def seen(photo: list[list[int]], *, turns: bool = True) -> list[list[list[int]]]:
    """How a photo is looked at."""
    pixels: Any = Pixels()
    inputs = np.repeat(np.array(photo, np.uint8)[None, :, :, None], 3, axis=3)
    features = look(pixels, inputs, turns=turns).features
    assert features is not None
    shapes = [np.shape(photo)] * features.shape[1]
    return [view.reshape(shape).astype(int).tolist() for view, shape in zip(features[0], shapes, strict=True)]


def test_a_square_photo_is_seen_mirrored_and_turned() -> None:
    """As it is first; then mirrored, upside down, and on either side, once mirrored: no two alike."""
    assert seen([[1, 2], [3, 4]]) == [
        [[1, 2], [3, 4]],
        [[2, 1], [4, 3]],
        [[4, 3], [2, 1]],
        [[2, 4], [1, 3]],
        [[1, 3], [2, 4]],
    ]


def test_a_long_photo_is_not_laid_on_its_side() -> None:
    """A network takes one shape."""
    assert seen([[1, 2, 3], [4, 5, 6]]) == [[[1, 2, 3], [4, 5, 6]], [[3, 2, 1], [6, 5, 4]], [[6, 5, 4], [3, 2, 1]]]


def test_without_turns_there_is_the_photo_alone() -> None:
    """Of many photos no more is looked at than that."""
    assert seen([[1, 2], [3, 4]], turns=False) == [[[1, 2], [3, 4]]]


@pytest.mark.parametrize(("more", "views"), [(0, 4), (1, 0)])
def test_few_photos_of_a_class_are_turned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: int, views: int
) -> None:
    """Up to so many on average; each photo keeps its own views when some are taken."""
    monkeypatch.setattr("binsight.adapt.camera.MOST_TURNED", 4)
    photos = camera(tmp_path / "photos", {"red": 3, "green": 5 + more})
    predictor = Predictor.load(factory_bundle(tmp_path / "bundle"), threads=1)
    found = look_at_camera(photos, predictor, workers=1)
    assert found.views.shape == (8 + more, views, 12)
    assert found.take(found.photos.labels == 0).views.shape[:2] == (3, views)
    assert MOST_TURNED == 30
