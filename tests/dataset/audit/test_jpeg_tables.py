"""The quantisation table of a JPEG, read without a decoder."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from binsight.dataset.audit.jpeg_tables import mean_quantisation

START = b"\xff\xd8"
SCAN = b"\xff\xda\x00\x02"


def _table(number, values, *, size=1):
    """A segment with one table of 64 entries."""
    body = bytes([16 * (size - 1) + number]) + b"".join(value.to_bytes(size) for value in values)
    return b"\xff\xdb" + (len(body) + 2).to_bytes(2) + body


def test_mean_of_one_table():
    """32 entries of 2 and 32 of 5 have the mean 3.5."""
    assert mean_quantisation(START + _table(0, [2, 5] * 32) + SCAN) == 3.5


def test_entries_of_two_bytes():
    """A table of 16-bit entries, all 300, has the mean 300."""
    assert mean_quantisation(START + _table(0, [300] * 64, size=2) + SCAN) == 300


def test_first_table_counts_wherever_it_stands():
    """Table 0 is the luminance's, also behind table 1, and a later one replaces it."""
    assert mean_quantisation(START + _table(1, [9] * 64) + _table(0, [4] * 64) + SCAN) == 4
    assert mean_quantisation(START + _table(0, [4] * 64) + _table(0, [6] * 64) + SCAN) == 6


def test_tables_behind_the_start_of_the_scan_do_not_count():
    """What follows is compressed data."""
    assert mean_quantisation(START + SCAN + _table(0, [4] * 64)) == 0


def test_padding_between_segments():
    """Further bytes 0xFF before a marker are passed over."""
    assert mean_quantisation(START + b"\xff\xff" + _table(0, [4] * 64) + SCAN) == 4


@pytest.mark.parametrize("quality", [10, 60, 95, 100])
def test_agrees_with_pillow(quality):
    """Real files give what Pillow says of them."""
    stream = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(stream, "JPEG", quality=quality, progressive=quality == 60)
    with Image.open(stream) as picture:
        assert mean_quantisation(stream.getvalue()) == np.mean(picture.quantization[0])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        START,
        START + b"\xff",
        START + b"\xff\xdb\x00",
        START + b"\xff\xdb\x00\x00" * 9,
        START + b"\xff\xe0\xff\xff",
    ],
)
def test_damaged_headers_have_none(data):
    """Whatever the bytes, there is an answer."""
    assert mean_quantisation(data) == 0


def test_table_cut_short_does_not_count():
    """A table with fewer than 64 entries is none."""
    assert mean_quantisation(START + _table(0, [4] * 63) + SCAN) == 0
