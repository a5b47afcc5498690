"""A picture comes out upright, however it is stored."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from binsight.imaging import decode_image, read_header

# EXIF 2.32, tag 0x0112: at which side of the upright picture its first stored row and first stored column lie.
STORE = {
    1: lambda upright: upright,  # top, left
    2: lambda upright: upright[:, ::-1],  # top, right
    3: lambda upright: upright[::-1, ::-1],  # bottom, right
    4: lambda upright: upright[::-1],  # bottom, left
    5: lambda upright: upright.swapaxes(0, 1),  # left, top
    6: lambda upright: upright.swapaxes(0, 1)[::-1],  # right, top
    7: lambda upright: upright[::-1, ::-1].swapaxes(0, 1),  # right, bottom
    8: lambda upright: upright[::-1].swapaxes(0, 1),  # left, bottom
}
ORIENTATION = 0x0112
COLOURS = np.uint8([[[255, 0, 0], [0, 255, 0], [0, 0, 255]], [[255, 255, 255], [0, 0, 0], [255, 255, 0]]])

pytestmark = pytest.mark.parametrize("orientation", STORE)


def blocks(side):
    """Two rows of three differently coloured squares: no turn or mirroring of it is like another."""
    return COLOURS.repeat(side, axis=0).repeat(side, axis=1)


def exif(orientation):
    """EXIF data with an orientation and nothing else."""
    tags = Image.Exif()
    tags[ORIENTATION] = orientation
    return tags


def centres(image):
    """The colours in the middle of the six squares."""
    rows, columns = image.shape[0] // 2, image.shape[1] // 3
    return image[rows // 2 :: rows, columns // 2 :: columns]


@pytest.mark.parametrize("min_size", [None, (3, 5)])
@pytest.mark.parametrize(("format_name", "options"), [("PNG", {}), ("WEBP", {"lossless": True})])
def test_lossless(encode, format_name, options, min_size, orientation):
    """A PNG or WebP with an EXIF orientation comes out upright, to the pixel."""
    upright = blocks(5)
    data = encode(np.ascontiguousarray(STORE[orientation](upright)), format_name, exif=exif(orientation), **options)
    np.testing.assert_array_equal(decode_image(data, min_size=min_size), upright)


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw"])
@pytest.mark.parametrize("min_size", [None, (3, 5)])
def test_tiff(encode, compression, min_size, orientation):
    """A TIFF with the orientation among its own tags comes out upright, to the pixel, turned once."""
    upright = blocks(5)
    stored = np.ascontiguousarray(STORE[orientation](upright))
    data = encode(stored, "TIFF", compression=compression, tiffinfo={ORIENTATION: orientation})
    np.testing.assert_array_equal(decode_image(data, min_size=min_size), upright)


@pytest.mark.parametrize("order", [b"II", b"MM"])
def test_sixteen_bit_tiff(encode, order, orientation):
    """Turning works for pixels of 16 bits, of either byte order, too."""
    upright = np.arange(6).reshape(2, 3) * 51 * 257
    mode = "I;16" if order == b"II" else "I;16B"
    stored = np.ascontiguousarray(STORE[orientation](upright)).astype("<u2" if order == b"II" else ">u2")
    picture = Image.frombytes(mode, stored.shape[::-1], stored.tobytes())
    data = encode(picture, "TIFF", tiffinfo={ORIENTATION: orientation})
    assert data.startswith(order)
    np.testing.assert_array_equal(decode_image(data)[..., 0], upright // 257)


def test_jpeg(encode, orientation):
    """A JPEG with an EXIF orientation comes out upright."""
    upright = blocks(16)
    stored = np.ascontiguousarray(STORE[orientation](upright))
    data = encode(stored, "JPEG", quality=95, subsampling=0, exif=exif(orientation))
    decoded = decode_image(data)
    assert decoded.shape == upright.shape
    np.testing.assert_allclose(centres(decoded), COLOURS, atol=3)


# The picture is 128 x 192; sizes are (height, width).
@pytest.mark.parametrize(
    ("min_size", "expected"),
    [
        ((16, 24), (16, 24)),
        ((16, 30), (32, 48)),
        ((20, 24), (32, 48)),
        ((8, 96), (64, 96)),
        ((64, 8), (64, 96)),
        ((128, 8), (128, 192)),
        ((8, 97), (128, 192)),
        ((1000, 1000), (128, 192)),
    ],
)
def test_jpeg_at_reduced_scale(encode, min_size, expected, orientation):
    """`min_size` is meant upright: a JPEG stored on its side is reduced by what its turned sides allow."""
    stored = np.ascontiguousarray(STORE[orientation](blocks(64)))
    data = encode(stored, "JPEG", quality=95, subsampling=0, exif=exif(orientation))
    decoded = decode_image(data, min_size=min_size)
    assert decoded.shape == (*expected, 3)
    np.testing.assert_allclose(centres(decoded), COLOURS, atol=3)


def test_heic(encode_heic, orientation):
    """A HEIC photo comes out upright, turned once."""
    stored = np.ascontiguousarray(STORE[orientation](blocks(64)))
    decoded = decode_image(encode_heic(stored, exif=exif(orientation).tobytes()))
    assert decoded.shape == (128, 192, 3)
    np.testing.assert_allclose(centres(decoded), COLOURS, atol=12)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_the_header_alone_gives_the_size_of_the_upright_picture(form, orientation):
    """Format, width and height are those of the decoded picture, for every orientation."""
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    buffer = io.BytesIO()
    Image.new("RGB", (30, 10)).save(buffer, form, exif=exif)
    height, width, _ = decode_image(buffer.getvalue()).shape
    assert read_header(buffer.getvalue())[1:] == (width, height)
