"""Objects on plain sheets are put before other backgrounds; anything doubtful stays as it is."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from binsight.training.augment.backgrounds import find_foreground, make_backdrop, put_before

SHEET, OBJECT = (150, 150, 160), (40, 140, 30)


def photo(height=120, width=160, *, noise=0.0, gradient=0.0, seed=0):
    """A disc of one colour in the middle of a sheet of another."""
    y, x = np.mgrid[:height, :width]
    inside = (y - height / 2) ** 2 + (x - width / 2) ** 2 < (0.3 * min(height, width)) ** 2
    image = np.where(inside[..., None], OBJECT, SHEET).astype(float)
    image += gradient * (x / width - 0.5)[..., None]
    image += noise * np.random.default_rng(seed).standard_normal(image.shape)
    return image.clip(0, 255).astype(np.uint8), inside


@pytest.mark.parametrize(("noise", "gradient"), [(0, 0), (5, 0), (0, 60), (4, 40)])
def test_the_object_on_a_sheet_is_found(noise, gradient):
    """On clean, grainy and unevenly lit sheets."""
    image, inside = photo(noise=noise, gradient=gradient)
    mask = find_foreground(image)
    assert mask.shape == image.shape[:2]
    assert mask.dtype == np.float32
    found = mask > 0.5
    assert (found & inside).sum() / (found | inside).sum() > 0.9
    assert mask[:5].max() == 0
    assert mask[60, 80] == 1


def test_a_hole_in_the_object_is_no_background():
    """Only what is connected with the border is: a mug's inside, the print on a can."""
    image, _ = photo()
    image[55:65, 75:85] = SHEET
    assert find_foreground(image)[60, 80] == 1


def test_an_object_that_touches_the_border_is_found():
    """As leaves do."""
    image, _ = photo()
    image[60:, 70:90] = OBJECT
    mask = find_foreground(image)
    assert mask[-1, 80] == 1
    assert mask[-1, 10] == 0


def clutter(seed=0):
    """A photo without a plain background."""
    return np.random.default_rng(seed).integers(0, 256, (12, 16, 3), np.uint8).repeat(10, 0).repeat(10, 1)


def stripes():
    """Half the border is of one colour, half of another."""
    image, _ = photo()
    image[:, :70] = (20, 40, 200)
    return image


def transparent():
    """An object of which only scattered parts differ from the sheet."""
    image = np.full((112, 112, 3), SHEET, np.uint8)
    for i in range(12, 100, 12):
        image[i : i + 4, 30:80] = OBJECT
    return image


@pytest.mark.parametrize(
    "image",
    [
        clutter(),
        stripes(),
        transparent(),
        np.full((50, 50, 3), 99, np.uint8),  # nothing but sheet
        np.full((1, 1, 3), 99, np.uint8),
        np.full((1, 300, 3), 99, np.uint8),
    ],
    ids=["clutter", "two colours", "transparent", "empty", "one pixel", "one row"],
)
def test_without_a_clear_object_on_a_plain_sheet_there_is_no_mask(image):
    """Then the photo stays as it is."""
    assert find_foreground(image) is None


@given(height=st.integers(1, 40), width=st.integers(1, 40), seed=st.integers(0, 10_000), flat=st.integers(0, 255))
def test_any_picture_is_answered(height, width, seed, flat):
    """Never an error, whatever the size."""
    rng = np.random.default_rng(seed)
    image = np.full((height, width, 3), flat, np.uint8)
    image[: height // 2] = rng.integers(0, 256, (height // 2, width, 3))
    mask = find_foreground(image)
    assert mask is None or mask.shape == (height, width)


def test_backdrops_have_the_size_asked_for_and_differ():
    """All kinds, with and without another photo."""
    other = clutter(1)
    for seed in range(12):
        for source in (None, lambda: other):
            drawn = make_backdrop(31, 47, np.random.default_rng(seed), other=source)
            assert drawn.shape == (31, 47, 3)
            assert drawn.dtype == np.uint8
    first, second = (make_backdrop(9, 9, np.random.default_rng(seed)) for seed in (1, 2))
    assert (first != second).any()


def test_a_patch_is_taken_of_photos_smaller_than_the_backdrop():
    """It is mirrored until it covers all."""
    tiny = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    for seed in range(20):
        assert make_backdrop(40, 50, np.random.default_rng(seed), other=lambda: tiny).shape == (40, 50, 3)


def test_the_foreground_is_laid_over_the_backdrop():
    """By the mask's share, rounded."""
    image, backdrop = np.full((1, 3, 3), 200, np.uint8), np.full((1, 3, 3), 100, np.uint8)
    mixed = put_before(image, np.array([[0, 0.25, 1]], np.float32), backdrop)
    assert mixed[0, :, 0].tolist() == [100, 125, 200]
