"""Changes of colour and quality."""

import numpy as np
import pytest
from PIL import Image

from binsight.training.augment.degrade import change_colour, colour_matrix, degrade, erase
from binsight.training.augment.settings import AugmentSettings

LUMA = np.array([0.299, 0.587, 0.114])


@pytest.fixture
def picture():
    """Smooth noise, away from black and white."""
    cells = np.random.default_rng(0).integers(60, 200, (6, 6, 3), np.uint8)
    return Image.fromarray(cells).resize((32, 32), Image.Resampling.BICUBIC)


def generator():
    """Return a new one, always the same."""
    return np.random.default_rng(3)


def test_without_settings_nothing_changes(picture):
    """The very picture comes back."""
    assert change_colour(picture, AugmentSettings(), generator()) is picture
    assert degrade(picture, AugmentSettings(), generator()) is picture
    image = np.asarray(picture)
    assert erase(image, AugmentSettings(), generator()) is image


def test_the_neutral_matrix_is_the_identity():
    """No gain, no turn, no stretch."""
    np.testing.assert_allclose(colour_matrix(gains=np.ones(3), hue=0, saturation=1), np.eye(3), atol=1e-12)


def test_without_saturation_all_channels_are_the_luma():
    """Each row of the matrix is the luma."""
    np.testing.assert_allclose(colour_matrix(gains=np.ones(3), hue=0, saturation=0), [LUMA] * 3, atol=1e-3)


@pytest.mark.parametrize("hue", [-120, 40, 90])
def test_hue_leaves_grey_and_luma_alone(hue):
    """Grey stays grey; any colour keeps its luma."""
    matrix = colour_matrix(gains=np.ones(3), hue=hue, saturation=1)
    np.testing.assert_allclose(matrix @ np.ones(3), np.ones(3), atol=1e-3)
    colour = np.array([200.0, 40.0, 90.0])
    assert LUMA @ (matrix @ colour) == pytest.approx(LUMA @ colour, abs=1e-6)


def test_a_full_turn_of_the_hue_is_none():
    """Two halves."""
    half = colour_matrix(gains=np.ones(3), hue=180, saturation=1)
    np.testing.assert_allclose(half @ half, np.eye(3), atol=1e-9)


def test_gains_scale_channels():
    """As another lamp does."""
    matrix = colour_matrix(gains=np.array([1.1, 1.0, 0.9]), hue=0, saturation=1)
    np.testing.assert_allclose(matrix @ [100, 100, 100], [110, 100, 90], atol=1e-9)


def test_grayscale_takes_the_colour_away(picture):
    """All channels are equal, and the brightness stays."""
    gray = np.asarray(change_colour(picture, AugmentSettings(grayscale=1.0), generator())).astype(int)
    assert np.ptp(gray, axis=2).max() <= 1
    np.testing.assert_allclose(gray[..., 0], np.asarray(picture) @ LUMA, atol=1.5)


def test_brightness_scales_all_values(picture):
    """Every pixel has the same factor."""
    before = np.asarray(picture).astype(float)
    after = np.asarray(change_colour(picture, AugmentSettings(colour=1.0, brightness=0.2), generator())).astype(float)
    factors = after / before
    assert 0.8 <= factors.mean() <= 1.2
    assert factors.mean() != pytest.approx(1, abs=0.01)
    assert np.ptp(factors) < 0.03


def test_contrast_keeps_the_mean(picture):
    """Values move away from the mean or towards it."""
    before = np.asarray(picture).astype(float)
    after = np.asarray(change_colour(picture, AugmentSettings(colour=1.0, contrast=0.3), generator())).astype(float)
    assert (after @ LUMA).mean() == pytest.approx((before @ LUMA).mean(), abs=2)
    assert (after.std() / before.std()) != pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("settings", [{"blur": 1.0, "blur_radius": 3.0}, {"downscale": 1.0, "downscale_factor": 4.0}])
def test_blur_and_downscale_take_detail_away(picture, settings):
    """Neighbouring pixels differ less; the mean stays."""
    before = np.asarray(picture).astype(float)
    after = np.asarray(degrade(picture, AugmentSettings(**settings), generator())).astype(float)
    assert np.abs(np.diff(after, axis=1)).mean() < 0.95 * np.abs(np.diff(before, axis=1)).mean()
    assert after.mean() == pytest.approx(before.mean(), abs=2)


def test_noise_adds_detail_without_a_shift(picture):
    """Its deviation is at most the level."""
    after = np.asarray(degrade(picture, AugmentSettings(noise=1.0, noise_level=10), generator())).astype(float)
    difference = after - np.asarray(picture)
    assert abs(difference.mean()) < 1
    assert 0.5 < difference.std() < 11


def test_jpeg_changes_little_at_high_quality_and_more_at_low(picture):
    """Same size, other pixels."""
    high, low = (
        np.asarray(degrade(picture, AugmentSettings(jpeg=1.0, jpeg_quality=(q, q)), generator())).astype(float)
        for q in (95, 5)
    )
    before = np.asarray(picture)
    assert high.shape == before.shape
    assert 0 < np.abs(high - before).mean() < np.abs(low - before).mean()


def test_erase_covers_a_rectangle_of_one_colour(picture):
    """The area is about the one asked for, the rest is untouched, and so is the input."""
    image = np.asarray(picture)
    copy = image.copy()
    out = erase(image, AugmentSettings(erase=1.0, erase_area=(0.2, 0.2)), generator())
    changed = (out != image).any(axis=2)
    assert changed.mean() == pytest.approx(0.2, abs=0.06)
    assert len(np.unique(out[changed], axis=0)) == 1
    np.testing.assert_array_equal(image, copy)
