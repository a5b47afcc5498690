"""Damage that decoders pass over."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from binsight.dataset.audit.integrity import find_damage


def _encoded(form, **options):
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, form, **options)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("JPEG", _encoded("JPEG")),
        ("JPEG", _encoded("JPEG", progressive=True)),
        ("JPEG", _encoded("JPEG", restart_marker_blocks=2)),
        ("JPEG", _encoded("JPEG", comment=b"\xff\xd9 in a comment")),
        ("JPEG", _encoded("JPEG") + b"\0" * 100),
        ("JPEG", _encoded("JPEG") + _encoded("JPEG")),
        ("PNG", _encoded("PNG")),
        ("GIF", _encoded("GIF")),
    ],
)
def test_sound_pictures(name, data):
    """Progressive scans, restarts, comments, padding and a second picture behind the first are no damage."""
    assert find_damage(data, name) is None


@pytest.mark.parametrize(
    ("put_in", "says"),
    [
        (b"\xff\xf0", "marker 0xf0"),
        (b"\xff\xd3", "marker 0xd3"),
        (b"\xff\xee\xff\xff", "ends after the file"),
        (b"\xff\xee\x00\x04", "expected a JPEG marker"),
        (b"\xff\xd9", "end marker inside"),
    ],
)
def test_overwritten_jpeg(put_in, says):
    """Markers that cannot stand inside compressed data are found; a restart only where restarts are used."""
    data = bytearray(_encoded("JPEG"))
    middle = len(data) // 2
    data[middle - 8 : middle + 24] = bytes(8) + put_in + bytes(24 - len(put_in))
    assert says in find_damage(bytes(data), "JPEG")


def test_png_checksum():
    """One flipped bit in a PNG's data breaks the checksum of its chunk, which is named."""
    data = bytearray(_encoded("PNG"))
    data[len(data) // 2] ^= 1
    assert "checksum in chunk b'IDAT'" in find_damage(bytes(data), "PNG")


def test_png_cut_off():
    """A PNG whose last chunk is not whole is damaged."""
    assert "ends after the file" in find_damage(_encoded("PNG")[:-30], "PNG")
