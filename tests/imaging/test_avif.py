"""An AVIF file that has its decoder make far more pixels than its picture has is refused before it is decoded."""

from __future__ import annotations

import struct

import pytest
from PIL import Image, features

from binsight.errors import ImageTooLargeError
from binsight.imaging import ImageLimits, decode_image
from binsight.imaging.avif import _coded_pixels, _items, check_avif

pytestmark = pytest.mark.skipif(not features.check("avif"), reason="Pillow was built without AVIF")
LIMITS = ImageLimits(max_pixels=100_000)


@pytest.mark.parametrize("size", [(64, 48), (333, 257), (1920, 1080)])
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_coded_pixels(encode, size, mode):
    """They are read from the data of each item: the picture, and its opacity."""
    data = encode(Image.new(mode, size, (9, 99, 200, 100)[: len(mode)]), "AVIF", speed=10)
    found = [_coded_pixels(data[start:end]) for start, end in _items(data)]
    assert found == [size[0] * size[1]] * (2 if mode == "RGBA" else 1)


def test_frames_larger_than_they_are_said_to_be(encode):
    """A picture of 64 x 64 whose data are those of a large one is refused; libavif would decode all of that."""
    data = bytearray(encode(Image.new("RGB", (800, 600), (9, 99, 200)), "AVIF", speed=10))
    at = data.index(b"ispe") + 8
    data[at : at + 8] = struct.pack(">II", 64, 64)
    assert decode_image(bytes(data)).shape == (64, 64, 3)
    with pytest.raises(ImageTooLargeError, match="parts have 400,000 pixels, got 480,000"):
        decode_image(bytes(data), limits=LIMITS)


def test_items_that_share_their_data(encode):
    """Each item counts, however often the same data are named: that is how a small file makes a large grid."""
    data = encode(Image.new("RGB", (300, 300), (9, 99, 200)), "AVIF", speed=10)
    start, end = next(iter(_items(data)))
    locations = b"".join(struct.pack(">HHHII", 1, 0, 1, 200, end - start) for _ in range(5))
    iloc = struct.pack(">I", 16 + len(locations)) + b"iloc\x00\x00\x00\x00\x44\x00" + struct.pack(">H", 5) + locations
    meta = struct.pack(">I", 12 + len(iloc)) + b"meta\x00\x00\x00\x00" + iloc
    misleading = b"\x00\x00\x00\x14free" + b"iloc" + bytes(8)
    shared = (misleading + meta).ljust(200, b"\x00") + data[start:end]
    with pytest.raises(ImageTooLargeError, match="got 450,000"):
        check_avif(shared, 100_000)


def test_animation(encode):
    """The frames of an animation are decoded one by one, the first of them only."""
    frames = [Image.new("RGB", (64, 64), (40 * i, 9, 9)) for i in range(3)]
    data = encode(frames[0], "AVIF", save_all=True, append_images=frames[1:], speed=10)
    assert decode_image(data).shape == (64, 64, 3)
