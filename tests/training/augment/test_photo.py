"""One photo, altered."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from binsight.imaging import PreprocessSpec, resize_image
from binsight.training.augment.photo import augment_photo
from binsight.training.augment.settings import STRENGTHS, AugmentSettings

SPEC = PreprocessSpec(size=(24, 32), filter="bilinear")
NONE, STRONG = STRENGTHS["none"], STRENGTHS["strong"]


def photo(height=40, width=50, seed=0):
    """Noise."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize("fit", ["stretch", "crop", "letterbox"])
@pytest.mark.parametrize("name", ["bilinear", "bicubic"])
def test_no_augmentation_is_the_preprocessing(fit, name):
    """Training without it sees what validation and predicting see."""
    spec = PreprocessSpec(size=(24, 32), fit=fit, filter=name, crop_fraction=0.9)
    smooth = PreprocessSpec(size=(40, 50), filter="bicubic")
    image = resize_image(photo(4, 5), smooth) if fit == "letterbox" else photo()
    out = augment_photo(image, spec, NONE, np.random.default_rng(0))
    difference = np.abs(out.astype(int) - resize_image(image, spec))
    if fit == "letterbox":  # bars are added before resizing, in whole pixels
        assert difference.mean() < 5
    else:
        assert difference.max() == 0


def test_the_same_generator_gives_the_same_picture():
    """And another one another."""
    first, again, other = (
        augment_photo(photo(), SPEC, STRONG, np.random.default_rng(seed), other=photo) for seed in (7, 7, 8)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


@given(height=st.integers(1, 80), width=st.integers(1, 80), seed=st.integers(0, 1000))
def test_any_photo_can_be_augmented(height, width, seed):
    """The result has the network's size; the input is not changed."""
    image = photo(height, width, seed)
    before = image.copy()
    out = augment_photo(image, SPEC, STRONG, np.random.default_rng(seed), other=photo)
    assert out.shape == (24, 32, 3)
    assert out.dtype == np.uint8
    np.testing.assert_array_equal(image, before)


def test_a_plain_background_is_replaced():
    """The corners change, the object does not."""
    image = np.full((100, 100, 3), 170, np.uint8)
    image[30:70, 30:70] = (30, 120, 20)
    spec = PreprocessSpec(size=(100, 100))
    out = augment_photo(image, spec, AugmentSettings(background=1.0), np.random.default_rng(0), other=photo)
    assert (out[40:60, 40:60] == image[40:60, 40:60]).all()
    assert (out[:5] != image[:5]).mean() > 0.9


def test_another_photo_is_asked_for_only_when_needed():
    """A photo without a plain background needs none."""

    def unneeded():
        pytest.fail("asked for")

    augment_photo(photo(), SPEC, AugmentSettings(background=1.0), np.random.default_rng(0), other=unneeded)
