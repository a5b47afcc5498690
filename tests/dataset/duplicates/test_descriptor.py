"""The coarse look of a thumbnail, turned and mirrored."""

from __future__ import annotations

import numpy as np
import pytest
from tests.dataset.duplicates.pictures import brighter, cropped, picture, thumbnail_of

from binsight.dataset.duplicates.descriptor import ORIENTATIONS, contrast, describe, orient_descriptors, orient_images


@pytest.fixture(scope="module")
def thumbnails():
    """Five different pictures, small."""
    return np.stack([thumbnail_of(picture(seed)) for seed in range(5)])


def test_descriptors_are_unit_vectors(thumbnails):
    """Each has 80 numbers and length 1."""
    described = describe(thumbnails)
    assert described.shape == (5, 80)
    assert np.allclose(np.linalg.norm(described, axis=1), 1, atol=1e-5)


def test_plain_picture_has_no_direction():
    """A picture of one colour gives zeros, not noise."""
    assert not describe(np.full((1, 48, 48), 200, np.float16)).any()


def test_brightness_and_contrast_drop_out(thumbnails):
    """Half the contrast on a lighter ground gives the same vector."""
    assert np.allclose(describe(thumbnails), describe((thumbnails / 2 + 60).astype(np.float16)), atol=0.01)


def test_crop_changes_the_descriptor_little_and_another_picture_much():
    """A crop of 5 % keeps a cosine of 0.7 or more; other pictures stay below it."""
    described = describe(
        np.stack([thumbnail_of(picture(0)), thumbnail_of(cropped(picture(0))), thumbnail_of(picture(1))])
    )
    assert described[0] @ described[1] >= 0.7
    assert described[0] @ described[2] < 0.5


@pytest.mark.parametrize("orientation", range(8))
def test_turning_descriptors_is_describing_turned_pictures(thumbnails, orientation):
    """For each of the eight orientations both ways agree."""
    turned = orient_images(thumbnails, np.full(5, orientation))
    assert np.allclose(orient_descriptors(describe(thumbnails), orientation), describe(turned), atol=1e-4)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("same", [[1, 2], [3, 4]]),
        ("mirrored", [[2, 1], [4, 3]]),
        ("upside down", [[3, 4], [1, 2]]),
        ("turned by 180 degrees", [[4, 3], [2, 1]]),
        ("transposed", [[1, 3], [2, 4]]),
        ("turned by 90 degrees clockwise", [[3, 1], [4, 2]]),
        ("turned by 90 degrees counterclockwise", [[2, 4], [1, 3]]),
        ("transposed over the other diagonal", [[4, 2], [3, 1]]),
    ],
)
def test_names_of_orientations(name, expected):
    """A 2 x 2 picture comes out as the orientation's name says."""
    image = np.array([[[1, 2], [3, 4]]], np.float16)
    assert orient_images(image, np.array([ORIENTATIONS.index(name)])).tolist() == [expected]


def test_contrast_is_the_standard_deviation():
    """Half the pixels 0 and half 10 deviate by 5."""
    image = np.zeros((1, 48, 48), np.float16)
    image[:, :24] = 10
    assert contrast(image).tolist() == [5]


def test_strong_light_keeps_the_descriptor(thumbnails):
    """20 % more light, with highlights cut off, keeps a cosine of 0.9."""
    light = np.stack([thumbnail_of(brighter(picture(seed), 1.2)) for seed in range(5)])
    assert ((describe(thumbnails) * describe(light)).sum(axis=1) > 0.9).all()
