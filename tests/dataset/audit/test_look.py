"""The numbers taken of each photo."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageFilter

from binsight.dataset.audit.look import LOOK, measure_look, sharpness
from binsight.dataset.views import Views, decode_for_checks


def _png(pixels, **options):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG", **options)
    return stream.getvalue()


def _look(pixels, data=None):
    data = data or _png(pixels)
    return dict(zip(LOOK, measure_look(Views.of(decode_for_checks(data)), len(data)).tolist(), strict=True))


def test_hand_computed_numbers():
    """A picture half black, half white, has its levels at both ends and half its pixels clipped."""
    pixels = np.zeros((100, 200, 3), np.uint8)
    pixels[:, 100:] = 255
    look = _look(pixels)
    assert (look["width"], look["height"], look["animated"], look["quantisation"]) == (200, 100, 0, 0)
    assert (look["level_1"], look["level_95"], look["clipped"]) == (0, 255, 0.5)
    assert look["mean_red"] == pytest.approx(127.5, abs=0.5)


def test_border_is_told_from_the_middle():
    """A red frame around a blue middle has a red border colour that does not vary."""
    pixels = np.zeros((128, 128, 3), np.uint8)
    pixels[..., 0] = 200
    pixels[10:-10, 10:-10] = (0, 0, 200)
    look = _look(pixels)
    assert (look["border_red"], look["border_blue"]) == (200, 0)
    assert look["border_spread"] == pytest.approx(0, abs=1e-3)
    assert look["mean_blue"] > look["mean_red"]


def test_quantisation_grows_as_quality_falls():
    """The mean of the luminance table is 1 at quality 100 and larger at 40."""
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    found = []
    for quality in (100, 40):
        stream = io.BytesIO()
        Image.fromarray(pixels).save(stream, "JPEG", quality=quality)
        found.append(_look(pixels, stream.getvalue())["quantisation"])
    assert found[0] == 1
    assert found[1] > 30


@pytest.mark.parametrize("name", ["GIF", "PNG", "WebP", "TIFF"])
def test_animation(name):
    """Of three frames the first is looked at, and the others are noted."""
    for count in (1, 3):
        stream = io.BytesIO()
        frames = [Image.new("RGB", (20, 20), (80 * i, 90, 0)) for i in range(count)]
        frames[0].save(stream, name, save_all=True, append_images=frames[1:])
        assert _look(None, stream.getvalue())["animated"] == (count > 1)


def test_size_is_that_of_the_whole_photo():
    """A large JPEG is looked at in a smaller version; its width and height are reported as they are."""
    stream = io.BytesIO()
    Image.new("RGB", (2048, 1536), (9, 90, 200)).save(stream, "JPEG")
    photo = decode_for_checks(stream.getvalue())
    assert photo.picture.size == (1024, 768)
    look = dict(zip(LOOK, measure_look(Views.of(photo), 1).tolist(), strict=True))
    assert (look["width"], look["height"]) == (2048, 1536)


def test_step_is_sharp_and_ramp_is_soft():
    """All of a step lies within one pixel of the four, of a ramp only a quarter."""
    step = np.zeros((192, 192), np.uint8)
    step[:, 48:96] = step[:, 144:] = 200
    ramp = np.tile(np.clip((np.arange(192) - 80) * 5, 0, 200).astype(np.uint8), (192, 1))
    assert sharpness(Image.fromarray(step)) == 1
    assert sharpness(Image.fromarray(ramp)) == pytest.approx(0.25)


def test_contrast_does_not_count():
    """A faint sharp picture is as sharp as a strong one, and a blurred one is not."""
    pixels = (np.random.default_rng(1).integers(0, 2, (24, 24)) * 200).astype(np.uint8)
    strong = Image.fromarray(pixels).resize((192, 192), Image.Resampling.NEAREST)
    faint = strong.point(lambda v: 100 + v // 5)
    assert sharpness(strong) == pytest.approx(sharpness(faint), abs=0.05)
    assert sharpness(strong.filter(ImageFilter.GaussianBlur(3))) < 0.33


def test_picture_without_edges_is_not_called_blurred():
    """Of a plain surface nothing can be said: sharpness 1."""
    assert sharpness(Image.new("L", (300, 200), 128)) == 1


@pytest.mark.parametrize("size", [(150, 192), (192, 37), (5, 40), (4, 4), (1, 1), (3, 500)])
def test_sharpness_is_the_ratio_of_the_steepest_differences(size):
    """It is what sorting the differences of every other row gives: over 1 and 4 pixels the one that 0.5 % exceed."""
    rng = np.random.default_rng(sum(size))
    pixels = rng.integers(0, rng.integers(20, 256), size, dtype=np.uint8)
    side = max(size)
    if side > 192:
        shrunk = Image.fromarray(pixels).resize((192, max(5, round(size[0] * 192 / side))), Image.Resampling.BOX)
        pixels = np.asarray(shrunk)
    steepest = {}
    wide = pixels.astype(int)
    for step in (1, 4):
        across, down = np.abs(wide[::2, step:] - wide[::2, :-step]), np.abs(wide[step::2] - wide[:-step:2])
        both = np.concatenate([across.ravel(), down.ravel()])
        steepest[step] = np.sort(both)[int(np.ceil(0.995 * len(both))) - 1] if len(both) else 0
    expected = min(1, max(0.25, steepest[1] / steepest[4])) if steepest[4] >= 8 else 1
    assert sharpness(Image.fromarray(pixels)) == pytest.approx(expected)
