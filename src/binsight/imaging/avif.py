"""How many pixels an AVIF file has its decoder make, which may be many more than its picture has.

A picture may be a grid of items, and what an item is said to measure need not be what is coded in it: libavif decodes
all of that and scales it. The size that counts is the one in the sequence header of each item's AV1 data.

References:
    ISO/IEC 14496-12, sections 4.2 (boxes) and 8.11.3 (iloc). AV1 Bitstream Specification, sections 5.3 and 5.5.
"""

from __future__ import annotations

from collections.abc import Iterator

from binsight.errors import ImageTooLargeError

__all__ = ["check_avif"]

_PARTS = 4  # times the largest picture: itself, its opacity, a gain map, a preview
_MAX_ITEMS = 4096
_SEQUENCE_HEADER, _HAS_EXTENSION, _HAS_SIZE = 1, 4, 2


def check_avif(data: bytes, max_pixels: int) -> None:
    """Look at the items of an AVIF file before any is decoded.

    Raises:
        ImageTooLargeError: together they have several times `max_pixels` pixels.
    """
    coded = sum(_coded_pixels(data[start:end]) for start, end in _items(data))
    if coded > _PARTS * max_pixels:
        raise ImageTooLargeError(f"expected an AVIF whose parts have {_PARTS * max_pixels:,} pixels, got {coded:,}")


class _Reader:
    """Numbers of any width in bits, one after another; zeros behind the end."""

    def __init__(self, data: bytes, place: int = 0) -> None:
        self._data, self._place = data, 8 * place

    def take(self, bits: int) -> int:
        first, last = self._place // 8, (self._place + bits + 7) // 8
        self._place += bits
        value = int.from_bytes(self._data[first:last].ljust(last - first, b"\x00"))
        return value >> (8 * last - self._place) & ((1 << bits) - 1)


def _items(data: bytes) -> Iterator[tuple[int, int]]:
    """Where the first piece of each item lies in the file."""
    meta = _boxes(data, 0, len(data)).get(b"meta", (0, 0))
    inner = _boxes(data, meta[0] + 4, meta[1])
    if b"iloc" not in inner:
        return
    read = _Reader(data, inner[b"iloc"][0])
    version = read.take(8)
    read.take(24)
    offset_bits, length_bits, base_bits, index_bits = (8 * read.take(4) for _ in range(4))
    count = read.take(16 if version < 2 else 32)
    if count > _MAX_ITEMS:
        raise ImageTooLargeError(f"expected an AVIF of at most {_MAX_ITEMS:,} items, got {count:,}")
    for _ in range(count):
        read.take(16 if version < 2 else 32)
        in_file = version == 0 or read.take(16) & 15 == 0
        read.take(16)
        base, pieces = read.take(base_bits), read.take(16)
        for piece in range(pieces):
            read.take(index_bits if version else 0)
            start, length = base + read.take(offset_bits), read.take(length_bits)
            if piece == 0:
                start += 0 if in_file else inner.get(b"idat", (0, 0))[0]
                yield start, start + length if length else len(data)


def _boxes(data: bytes, place: int, end: int) -> dict[bytes, tuple[int, int]]:
    """Name → begin and end of the content of the first box that is called so."""
    found: dict[bytes, tuple[int, int]] = {}
    for _ in range(_MAX_ITEMS):
        if place + 8 > end:
            break
        size, name, head = int.from_bytes(data[place : place + 4]), data[place + 4 : place + 8], 8
        if size == 1:
            size, head = int.from_bytes(data[place + 8 : place + 16]), 16
        last = min(place + size, end) if size else end
        found.setdefault(name, (place + head, last))
        place = max(last, place + head)
    return found


def _coded_pixels(item: bytes) -> int:
    """Width times height by the sequence header of AV1 data; 0 where there is none."""
    place = 0
    while place < len(item):
        header = item[place]
        place += 2 if header & _HAS_EXTENSION else 1
        size, shift = 0, 0
        while header & _HAS_SIZE and place < len(item):
            size |= (item[place] & 0x7F) << shift
            shift, place = shift + 7, place + 1
            if not item[place - 1] & 0x80:
                break
        if header >> 3 & 15 == _SEQUENCE_HEADER:
            return _largest_frame(_Reader(item, place))
        if not header & _HAS_SIZE:
            break
        place += size
    return 0


def _largest_frame(read: _Reader) -> int:
    read.take(4)
    if read.take(1):  # a still picture with a short header
        read.take(5)
    else:
        _skip_timing(read)
    width_bits, height_bits = read.take(4) + 1, read.take(4) + 1
    return (read.take(width_bits) + 1) * (read.take(height_bits) + 1)


def _skip_timing(read: _Reader) -> None:
    has_model, delay_bits = 0, 0
    if read.take(1):
        read.take(64)
        if read.take(1):  # a number whose length is told by the zeros before it
            zeros = next((n for n in range(32) if read.take(1)), 32)
            read.take(zeros if zeros < 32 else 0)
        has_model = read.take(1)
        if has_model:
            delay_bits = read.take(5) + 1
            read.take(42)
    has_delay = read.take(1)
    for _ in range(read.take(5) + 1):
        read.take(12)
        if read.take(5) > 7:
            read.take(1)
        if has_model and read.take(1):
            read.take(2 * delay_bits + 1)
        if has_delay and read.take(1):
            read.take(4)
