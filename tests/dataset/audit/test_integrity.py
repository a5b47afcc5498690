"""Photos that are damaged though they can be decoded are found; whole photos with something beside them are not."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from binsight.dataset import scan
from binsight.dataset.audit.measure import measure_photos
from binsight.imaging.jpeg import read_jpeg

PIXELS = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
FILM = b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00isommp42" + np.random.default_rng(1).bytes(300_000) + b"\xff\xd9"


def encoded(form, **options):
    """A picture of noise."""
    stream = io.BytesIO()
    Image.fromarray(PIXELS).save(stream, form, **options)
    return stream.getvalue()


def png_with(name, body, *, checksum=None):
    """A PNG with one more chunk before its pixels."""
    chunk = struct.pack(">I", len(body)) + name + body
    chunk += struct.pack(">I", zlib.crc32(name + body) if checksum is None else checksum)
    data = encoded("PNG")
    return data[:33] + chunk + data[33:]


@pytest.fixture
def faults_of(tmp_path):
    """The faults that are found in one photo."""

    def find(data):
        folder = tmp_path / "photos" / "glass"
        folder.mkdir(parents=True)
        (folder / "photo.jpg").write_bytes(data)
        return measure_photos(scan(tmp_path / "photos"), workers=1).faults

    return find


SOUND = {
    "progressive": encoded("JPEG", progressive=True),
    "restarts": encoded("JPEG", restart_marker_blocks=2),
    "an end marker in a comment": encoded("JPEG", comment=b"\xff\xd9 in a comment"),
    "zeros behind the end": encoded("JPEG") + bytes(100),
    "a second picture behind the end": encoded("JPEG") + encoded("JPEG"),
    "a motion photo": encoded("JPEG") + FILM,
    "no end marker": encoded("JPEG")[:-2],
    "a text in a PNG with a wrong checksum": png_with(b"tEXt", b"Comment\x00hello", checksum=7),
    "a text in a PNG that expands to megabytes": png_with(b"zTXt", b"a\x00\x00" + zlib.compress(bytes(5_000_000))),
    "a damaged profile in a PNG": png_with(b"iCCP", b"a\x00\x00 no zlib data"),
    "an animation": encoded("GIF"),
}


@pytest.mark.parametrize("data", SOUND.values(), ids=SOUND)
def test_sound_photos(faults_of, data):
    """What stands beside the pixels, or behind them, is no damage."""
    assert faults_of(data) == {}


@pytest.mark.parametrize(
    ("put_in", "says"),
    [
        (b"\xff\xf0", "marker 0xf0"),
        (b"\xff\xd3", "marker 0xd3"),
        (b"\xff\xee\xff\xff", "ends after the picture"),
        (b"\xff\xee\x00\x04", "expected a JPEG marker"),
    ],
)
def test_overwritten_jpeg(faults_of, put_in, says):
    """Markers that cannot stand inside compressed data are named, a restart only where restarts are used."""
    data = bytearray(encoded("JPEG"))
    middle = len(data) // 2
    data[middle - 8 : middle + 24] = bytes(8) + put_in + bytes(24 - len(put_in))
    assert says in read_jpeg(bytes(data)).fault
    assert faults_of(bytes(data))


def test_mark_that_costs_no_pixels(faults_of):
    """What no encoder writes is damage also where all pixels can be decoded."""
    data = encoded("JPEG", progressive=True)
    between = data.rindex(b"\xff\xc4")
    fault = faults_of(data[:between] + b"\xff\xd0" + data[between:])[0]
    assert (fault.code, fault.message.split(" at ")[0]) == ("damaged", "marker 0xd0 inside the compressed data")


def test_overwritten_motion_photo(faults_of):
    """The film behind a photo does not hide that its pixels are missing."""
    data = encoded("JPEG")
    assert "pixels are missing" in faults_of(data[: len(data) // 2] + b"\xff\xd9" + FILM)[0].message


@pytest.mark.parametrize("at", [0.5, 0.9])
def test_damaged_png(faults_of, at):
    """One flipped bit in a PNG's pixels breaks their checksum, and a cut is told from it."""
    data = bytearray(encoded("PNG"))
    data[round(at * len(data))] ^= 1
    assert faults_of(bytes(data))[0].code == "broken"


def test_png_cut_off(faults_of):
    """A PNG whose pixels are not whole is truncated."""
    assert faults_of(encoded("PNG")[:-300])[0].code == "truncated"
