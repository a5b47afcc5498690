"""Photos as from above: objects are cut out and pasted, the rest is turned; the same for the same generator."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.training.augment.test_backgrounds import OBJECT, SHEET, photo

from binsight.imaging import PreprocessSpec
from binsight.training.augment import above
from binsight.training.augment.above import see_from_above
from binsight.training.augment.photo import augment_photo
from binsight.training.augment.settings import STRENGTHS, AugmentSettings

SPEC = PreprocessSpec(size=(32, 32), filter="bilinear")
FLOOR = (10, 20, 200)


def floor():
    """An empty place in one colour."""
    return np.full((90, 120, 3), FLOOR, np.uint8)


def near(pixels, colour, by=60):
    """The share of pixels of about a colour."""
    return (np.abs(pixels.astype(int) - colour).max(axis=-1) < by).mean()


def test_the_object_is_pasted_on_an_empty_place(monkeypatch):
    """Where every backdrop is one: its colour is around the object, the sheet is gone."""
    monkeypatch.setattr(above, "_REAL", 1.0)
    monkeypatch.setattr(above, "_PASTED", 1.0)
    monkeypatch.setattr(above, "_LIT", 0.0)
    image, _ = photo()
    before = image.copy()
    for seed in range(5):
        seen, settings = see_from_above(image, STRENGTHS["strong"], np.random.default_rng(seed), place=floor)
        assert seen.shape == (300, 300, 3)
        assert near(seen, FLOOR, 5) > 0.15
        assert near(seen, OBJECT) > 0.05
        assert near(seen, SHEET, 30) < 0.02
        assert (settings.background, settings.rotation, settings.crop_scale) == (0.0, 180, (0.6, 1.0))
    np.testing.assert_array_equal(image, before)


def test_what_has_no_plain_background_is_only_turned():
    """The crop stays as wide as it was asked for, and the photo is not put on anything."""
    noise = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
    seen, settings = see_from_above(
        noise, STRENGTHS["strong"], np.random.default_rng(1), place=lambda: pytest.fail("asked for")
    )
    assert seen.shape == noise.shape
    assert settings.crop_scale == STRENGTHS["strong"].crop_scale


def test_its_share_decides_how_many_photos_are_seen_from_above(monkeypatch):
    """None, about half, and all of 40."""
    seen = []
    monkeypatch.setattr(
        "binsight.training.augment.photo.see_from_above",
        lambda image, settings, _rng, **_: (seen.append(1), (image, settings))[1],
    )
    for share, low, high in ((0.0, 0, 0), (0.5, 10, 30), (1.0, 40, 40)):
        seen.clear()
        for seed in range(40):
            augment_photo(floor(), SPEC, AugmentSettings(above=share), np.random.default_rng(seed))
        assert low <= len(seen) <= high


@given(height=st.integers(1, 60), width=st.integers(1, 60), seed=st.integers(0, 1000))
def test_any_photo_can_be_seen_from_above(height, width, seed):
    """The same generator gives the same picture, of the network's size, with empty places of any shape."""
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    image, place = (image, photo(30, 40)[0]) if seed % 2 else (photo(60, 40)[0], image)
    pictures = [
        augment_photo(
            image,
            SPEC,
            AugmentSettings(above=1.0),
            np.random.default_rng(seed),
            other=lambda: image,
            place=lambda: place,
        )
        for _ in range(2)
    ]
    assert pictures[0].shape == (32, 32, 3)
    np.testing.assert_array_equal(*pictures)
