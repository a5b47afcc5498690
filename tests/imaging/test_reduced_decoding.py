"""A large JPEG is decoded at a fraction of its size, with no change that matters."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from binsight.imaging import PreprocessSpec, decode_image, prepare_photo, resize_image

HEIGHT, WIDTH = 3000, 4000


@pytest.fixture(scope="module")
def twelve_megapixels():
    """Gradients, edges in all directions and noise: what photos are made of."""
    rows, columns = np.ogrid[:HEIGHT, :WIDTH]
    smooth = np.empty((HEIGHT, WIDTH, 3), np.uint8)
    smooth[..., 0] = rows * 200 // HEIGHT
    smooth[..., 1] = columns * 200 // WIDTH
    smooth[..., 2] = (rows + columns) * 200 // (HEIGHT + WIDTH)
    picture = Image.fromarray(smooth)
    draw = ImageDraw.Draw(picture)
    chance = np.random.default_rng(5)
    for _ in range(60):
        x, y, side = (int(v) for v in chance.integers(0, [WIDTH, HEIGHT, 700]))
        colour = tuple(int(v) for v in chance.integers(0, 256, 3))
        draw.ellipse((x, y, x + side, y + side // 2), fill=colour)
        draw.line((y, x, x, y), fill=colour, width=15)
    noise = chance.integers(0, 16, (HEIGHT // 4, WIDTH // 4, 3), dtype=np.uint8)
    return np.asarray(picture) // 16 * 15 + noise.repeat(4, axis=0).repeat(4, axis=1)


@pytest.fixture(scope="module")
def jpeg(encode, twelve_megapixels):
    """The same as a camera would store it."""
    return encode(twelve_megapixels, "JPEG", quality=90)


@pytest.fixture(scope="module")
def whole(jpeg):
    """All of its pixels."""
    return decode_image(jpeg)


@pytest.mark.parametrize(
    ("min_size", "divisor"),
    [
        ((375, 500), 8),
        ((1, 1), 8),
        ((376, 500), 4),
        ((375, 501), 4),
        ((750, 1000), 4),
        ((751, 1000), 2),
        ((1500, 2000), 2),
        ((1500, 2001), 1),
        ((3000, 4000), 1),
        ((9000, 9000), 1),
    ],
)
def test_scale(jpeg, min_size, divisor):
    """A 12-megapixel JPEG comes out at 1/8, 1/4 or 1/2 of its size, the smallest with no side below the minimum."""
    assert decode_image(jpeg, min_size=min_size).shape == (HEIGHT // divisor, WIDTH // divisor, 3)


@pytest.mark.parametrize("divisor", [2, 4, 8])
def test_pixels(jpeg, whole, divisor):
    """A reduced picture is nearly the average of the pixels it stands for."""
    reduced = decode_image(jpeg, min_size=(HEIGHT // divisor, WIDTH // divisor))
    average = np.asarray(Image.fromarray(whole).reduce(divisor))
    assert np.abs(reduced.astype(int) - average).mean() < 1.5


@pytest.mark.parametrize("size", [(224, 224), (299, 299), (160, 320)])
@pytest.mark.parametrize(
    ("fit", "crop_fraction"), [("stretch", 1.0), ("crop", 1.0), ("crop", 0.875), ("letterbox", 1.0)]
)
def test_no_visible_change(jpeg, whole, size, fit, crop_fraction):
    """What the network gets differs by less than 1 of 255 on average from decoding everything first."""
    spec = PreprocessSpec(size, fit=fit, crop_fraction=crop_fraction)
    fast, slow = prepare_photo(jpeg, spec), resize_image(whole, spec)
    difference = np.abs(fast.astype(int) - slow)
    assert difference.mean() < 1
    assert np.quantile(difference, 0.999) < 12


def test_only_jpeg(encode, encode_heic, photo):
    """Pictures of other formats come out whole, even where a file has a small preview inside."""
    large = photo.repeat(8, axis=0).repeat(8, axis=1)
    preview = encode_heic(large, thumbnails=[64])
    for data in (encode(large, "PNG"), encode(large, "WEBP"), encode(large, "TIFF", compression="jpeg"), preview):
        assert decode_image(data, min_size=(8, 8)).shape == large.shape


@given(
    height=st.integers(1, 70),
    width=st.integers(1, 70),
    min_height=st.integers(0, 80),
    min_width=st.integers(0, 80),
    mode=st.sampled_from(["L", "RGB", "CMYK"]),
)
@settings(derandomize=True, database=None, deadline=None, max_examples=100)
def test_every_size(encode, height, width, min_height, min_width, mode):
    """Whatever the sizes: a side is 1/1, 1/2, 1/4 or 1/8 rounded up, and not below its minimum unless it was before."""
    data = encode(Image.new(mode, (width, height)), "JPEG")
    decoded = decode_image(data, min_size=(min_height, min_width))
    assert decoded.shape[:2] in {(math.ceil(height / d), math.ceil(width / d)) for d in (1, 2, 4, 8)}
    assert decoded.shape[0] >= min(height, min_height)
    assert decoded.shape[1] >= min(width, min_width)
