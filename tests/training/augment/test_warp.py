"""Where the augmented picture is cut out, and how it is turned."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from binsight.imaging import PreprocessSpec
from binsight.imaging.preprocess import visible_box
from binsight.training.augment.settings import STRENGTHS, AugmentSettings
from binsight.training.augment.warp import Window, pad_to_proportions, sample_window, take_window

SPEC = PreprocessSpec(size=(20, 30), filter="bilinear")
QUARTER_TURN = np.array([[0.0, -1.0], [1.0, 0.0]])


def ramp(height, width):
    """Red tells the column, green the row."""
    image = np.zeros((height, width, 3), np.uint8)
    image[..., 0], image[..., 1] = np.arange(width), np.arange(height)[:, None]
    return image


@pytest.mark.parametrize("fit", ["stretch", "crop"])
def test_without_changes_the_network_sees_what_it_sees_in_validation(fit):
    """The box is the visible one."""
    spec = PreprocessSpec(size=(20, 30), fit=fit, crop_fraction=0.8)
    window = sample_window(50, 40, spec, AugmentSettings(), np.random.default_rng(0))
    assert window.turn is None
    np.testing.assert_allclose(window.box, visible_box(spec, 50, 40))


@given(
    height=st.integers(1, 90),
    width=st.integers(1, 90),
    fit=st.sampled_from(["stretch", "crop"]),
    seed=st.integers(0, 1000),
)
def test_crops_lie_inside_the_photo(height, width, fit, seed):
    """Whatever its proportions."""
    spec = PreprocessSpec(size=(20, 30), fit=fit, crop_fraction=0.9)
    settings = AugmentSettings(crop_scale=(0.05, 1.0), crop_ratio=(0.5, 2.0))
    left, top, right, bottom = sample_window(height, width, spec, settings, np.random.default_rng(seed)).box
    assert 0 <= left < right <= width
    assert 0 <= top < bottom <= height


def test_a_crop_has_the_area_asked_for():
    """A quarter of the photo: half of each side, where nothing is distorted."""
    settings = AugmentSettings(crop_scale=(0.25, 0.25))
    left, top, right, bottom = sample_window(100, 60, SPEC, settings, np.random.default_rng(0)).box
    assert (right - left, bottom - top) == pytest.approx((30, 50))


def test_the_share_of_mirrored_photos_is_the_one_asked_for():
    """400 draws at 25 %."""
    settings = AugmentSettings(flip_horizontal=0.25)
    drawn = [sample_window(9, 9, SPEC, settings, np.random.default_rng(i)).mirrored for i in range(400)]
    assert 0.18 < np.mean(drawn) < 0.32


def test_flips_swap_sides():
    """The first column becomes the last, the first row the last."""
    image = ramp(20, 30)
    plain = np.asarray(take_window(image, Window((0, 0, 30, 20)), SPEC))
    flipped = np.asarray(take_window(image, Window((0, 0, 30, 20), mirrored=True, upside_down=True), SPEC))
    np.testing.assert_array_equal(plain, image)
    np.testing.assert_array_equal(flipped, image[::-1, ::-1])


def test_a_turn_by_nothing_changes_nothing():
    """The affine path gives what the crop alone gives."""
    image = ramp(20, 30)
    turned = np.asarray(take_window(image, Window((0, 0, 30, 20), turn=np.eye(2)), SPEC))
    np.testing.assert_array_equal(turned, image)


def test_a_quarter_turn_swaps_rows_and_columns():
    """Of a square photo, exactly; no border shows."""
    spec, image = PreprocessSpec(size=(20, 20)), ramp(20, 20)
    turned = np.asarray(take_window(image, Window((0, 0, 20, 20), turn=QUARTER_TURN), spec))
    np.testing.assert_array_equal(turned, np.rot90(image, k=1))


def test_beyond_the_border_the_photo_is_reflected():
    """Half the zoom shows twice the photo: it fills the middle, and the borders repeat its edges."""
    spec, image = PreprocessSpec(size=(40, 40)), ramp(20, 20)
    out = np.asarray(take_window(image, Window((0, 0, 20, 20), turn=2 * np.eye(2)), spec)).astype(int)
    assert out[20, 0, 0] == pytest.approx(10, abs=1)  # 10 columns left of the photo: its mirror image
    assert out[20, 10, 0] == pytest.approx(0, abs=1)
    assert out[20, 29, 0] == pytest.approx(19, abs=1)


def test_a_large_photo_is_averaged_not_picked_from():
    """Fine black and white stripes become grey, turned or not."""
    stripes = np.zeros((200, 300, 3), np.uint8)
    stripes[:, ::2] = 255
    for turn in (None, np.eye(2)):
        out = np.asarray(take_window(stripes, Window((0, 0, 300, 200), turn=turn), SPEC))
        assert np.abs(out[2:-2, 2:-2].astype(int) - 127).max() < 20


def test_letterbox_gets_its_bars_first():
    """A square photo for a wide network stands between two grey bars."""
    spec = PreprocessSpec(size=(20, 40), fit="letterbox", pad_value=100)
    padded = pad_to_proportions(np.full((10, 10, 3), 7, np.uint8), spec)
    assert padded.shape == (10, 20, 3)
    assert (padded[:, :5] == 100).all()
    assert (padded[:, 5:15] == 7).all()


@given(height=st.integers(1, 60), width=st.integers(1, 60), seed=st.integers(0, 1000))
def test_any_photo_can_be_warped(height, width, seed):
    """The strongest settings, the smallest photos."""
    settings = AugmentSettings(
        crop_scale=(0.01, 1.0),
        warp=1.0,
        rotation=180,
        shear=60,
        zoom=(0.25, 4.0),
        translation=0.5,
        crop_ratio=(0.1, 10),
    )
    window = sample_window(height, width, SPEC, settings, np.random.default_rng(seed))
    out = take_window(np.full((height, width, 3), 90, np.uint8), window, SPEC)
    assert out.size == (30, 20)
    assert (np.asarray(out) == 90).all()


def test_the_strong_strength_turns_photos():
    """About half of them."""
    turned = [sample_window(9, 9, SPEC, STRENGTHS["strong"], np.random.default_rng(i)).turn for i in range(200)]
    assert 70 < sum(turn is not None for turn in turned) < 130
