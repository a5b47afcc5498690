"""Hashes and thumbnails."""

from __future__ import annotations

import hashlib

import numpy as np
from tests.dataset.duplicates.pictures import picture, thumbnail_of, views

from binsight.dataset.duplicates.fingerprint import fingerprint_image


def test_pixel_hash_covers_size_and_pixels():
    """The hash of a 1 x 2 picture is that of "1x2:" followed by its six bytes."""
    image = np.array([[[1, 2, 3], [4, 5, 6]]], np.uint8)
    assert fingerprint_image(views(image)).pixels_sha256 == hashlib.sha256(b"1x2:\x01\x02\x03\x04\x05\x06").hexdigest()


def test_pixel_hash_tells_shapes_apart():
    """The same bytes in another shape are another picture."""
    image = np.zeros((2, 3, 3), np.uint8)
    assert (
        fingerprint_image(views(image)).pixels_sha256 != fingerprint_image(views(image.reshape(3, 2, 3))).pixels_sha256
    )


def test_thumbnail_averages_without_rounding():
    """A cell half 100 and half 101 has the level 100.5."""
    image = np.full((96, 96, 3), 100, np.uint8)
    image[:, ::2] = 101
    assert np.all(thumbnail_of(image) == 100.5)


def test_large_photos_have_nearly_the_thumbnail_of_small_ones():
    """The shortcut for large photos changes no level by more than a quarter."""
    image = picture(1, (240, 240))
    large = np.repeat(np.repeat(image, 5, axis=0), 5, axis=1)
    assert np.abs(thumbnail_of(large).astype(float) - thumbnail_of(image).astype(float)).max() <= 0.5


def test_colours_are_those_of_jfif():
    """Pure blue has Cb 127.5 and Cr -20.7 everywhere, grey has neither."""
    blue = np.zeros((16, 16, 3), np.uint8)
    blue[..., 2] = 255
    colours = fingerprint_image(views(blue)).colours
    assert np.allclose(colours[..., 0], 127.5, atol=0.1)
    assert np.allclose(colours[..., 1], -20.73, atol=0.1)
    assert np.allclose(fingerprint_image(views(np.full((16, 16, 3), 90, np.uint8))).colours, 0, atol=0.1)


def test_aspect_is_width_by_height():
    """A picture twice as wide as high has the aspect 2."""
    assert fingerprint_image(views(np.zeros((10, 20, 3), np.uint8))).aspect == 2
