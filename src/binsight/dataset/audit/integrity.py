"""Damage that decoders pass over in silence: they fill in grey, and the photo is only half there.

References:
    ITU-T T.81, annex B (JPEG markers). W3C PNG, third edition, section 5 (chunks and their checksums).
"""

from __future__ import annotations

import re
import zlib

__all__ = ["find_damage"]

# Inside compressed data, FF is followed by 00 (a stuffed FF), FF (padding), or D0 to D7 where restarts are used.
_MARKER = re.compile(rb"\xff[^\x00\xff]", re.DOTALL)
_MARKER_BUT_RESTART = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL)
_START_OF_SCAN, _END, _RESTART_INTERVAL = 0xDA, 0xD9, 0xDD
# Tables, comments, the number of lines, and the start of a further scan may stand between scans.
_BETWEEN_SCANS = frozenset({0xC4, 0xDB, 0xDC, 0xDD, 0xFE, *range(0xE0, 0xF0)})
_PNG_HEADER = 8


def find_damage(data: bytes, name: str) -> str | None:
    """What is wrong inside a picture that could be decoded; None when nothing was found.

    Args:
        data: the encoded picture.
        name: its format, as `sniff_format` gives it. Formats other than JPEG and PNG are not looked into: their
            decoders refuse what is damaged.
    """
    if name == "JPEG":
        return _jpeg_damage(data)
    if name == "PNG":
        return _png_damage(data)
    return None


def _jpeg_damage(data: bytes) -> str | None:
    place, scans, pattern = 2, 0, _MARKER
    while place + 4 <= len(data):
        if data[place] != 0xFF:
            return f"expected a JPEG marker at byte {place:,}, got {data[place]:#04x}"
        marker = data[place + 1]
        if marker == 0xFF:
            place += 1
            continue
        if marker == _END:
            return _early_end(data, place)
        if scans and marker != _START_OF_SCAN and marker not in _BETWEEN_SCANS:
            return f"marker {marker:#04x} inside the compressed data at byte {place:,}"
        if marker == _RESTART_INTERVAL and any(data[place + 4 : place + 6]):
            pattern = _MARKER_BUT_RESTART
        start, place = place, place + 2 + int.from_bytes(data[place + 2 : place + 4])
        if place > len(data):
            return f"the segment {marker:#04x} at byte {start:,} ends after the file does"
        if marker == _START_OF_SCAN:
            scans += 1
            found = pattern.search(data, place)
            if found is None:
                return None  # no end marker: the decoder has said so, or had all it needed
            place = found.start()
    return None


def _early_end(data: bytes, place: int) -> str | None:
    """An end marker with another one behind it ends nothing, unless a further picture begins between them."""
    rest = data[place + 2 :]
    if b"\xff\xd9" in rest and b"\xff\xd8\xff" not in rest:
        return f"an end marker inside the compressed data at byte {place:,}"
    return None


def _png_damage(data: bytes) -> str | None:
    place = _PNG_HEADER
    view = memoryview(data)
    while place + 12 <= len(data):
        length = int.from_bytes(data[place : place + 4])
        end = place + 8 + length
        if end + 4 > len(data):
            return f"chunk {data[place + 4 : place + 8]!r} ends after the file does"
        if zlib.crc32(view[place + 4 : end]) != int.from_bytes(data[end : end + 4]):
            return f"wrong checksum in chunk {data[place + 4 : place + 8]!r} at byte {place:,}"
        if data[place + 4 : place + 8] == b"IEND":
            return None
        place = end + 4
    return None
