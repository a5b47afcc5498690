"""The structure of a JPEG file: what of it decides about the pixels, and how much work it asks for.

A JPEG is a row of segments, each begun by a marker, with compressed data behind each start of a scan. Only a few kinds
of segments matter to the pixels. The others (EXIF, profiles, previews, comments) and whatever follows the end, such
as the film of a motion photo, are left out, so they can neither spoil the picture nor cost the decoder time.

References:
    ITU-T T.81, annex B (markers) and section G.1.1 (progressive scans).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from binsight.errors import BrokenImageError, ImageTooLargeError, TruncatedImageError

__all__ = ["JpegStream", "read_jpeg"]

# Inside compressed data, FF is followed by 00 (a stuffed FF), FF (padding), or D0 to D7 where restarts are used.
_MARKER = re.compile(rb"\xff[^\x00\xff]", re.DOTALL)
_MARKER_BUT_RESTART = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]", re.DOTALL)
_START, _END, _START_OF_SCAN, _RESTART_INTERVAL, _APP1 = 0xD8, 0xD9, 0xDA, 0xDD, 0xE1
_WITHOUT_LENGTH = frozenset({*range(0xD0, 0xD8), _START, _END})
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# Frames, tables, the restart interval; JFIF and Adobe, which say what the channels mean.
_KEPT = frozenset({*range(0xC0, 0xD0), 0xDB, 0xDD, 0xE0, 0xEE})
# Tables, comments, the number of lines, and the start of a further scan may stand between scans.
_BETWEEN_SCANS = frozenset({0xC4, 0xDA, 0xDB, 0xDC, 0xDD, 0xFE, *range(0xE0, 0xF0)})
_MAX_SEGMENTS = 10_000  # photos have tens; profiles and depth maps of phones make it hundreds
_PADDING = b"\x00" * 16
# No two bytes of it are a marker, and it does not repeat soon.
_OTHER_BITS = bytes(number * 37 % 251 for number in range(1, 251)) * 20


class _Segment(NamedTuple):
    """A marker, the place of its first byte, and that behind its last; compressed data is no part of it."""

    marker: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class JpegStream:
    """A JPEG as its decoder needs it.

    Attributes:
        data: the picture alone, from its start marker to an end marker.
        exif: the first EXIF segment; empty where there is none.
        xmp: the first XMP segment.
        scans: how often the decoder goes over the picture.
        has_end: whether the file has an end marker of its own.
        brings_all: whether the scans announce all bits of every coefficient; nothing is said of their data.
        tail: how many bytes of `data` lie behind the compressed data of the last scan.
        fault: what no encoder writes there; decoders pass over it and fill in grey. None where nothing was found.
    """

    data: bytes
    exif: bytes
    xmp: bytes
    scans: int
    has_end: bool
    brings_all: bool
    tail: int
    fault: str | None

    def with_other_bits(self) -> bytes:
        """The same picture, its compressed data continued: it decodes to the same pixels if none were missing."""
        end = len(self.data) - self.tail
        return self.data[:end] + _OTHER_BITS + self.data[end:]


def read_jpeg(data: bytes) -> JpegStream:
    """Find the picture in a JPEG file; nothing is decoded.

    Raises:
        ImageTooLargeError: it is cut into more segments than any photo.
        TruncatedImageError: it ends before its pixels begin.
        BrokenImageError: what is in its header is no JPEG's.
    """
    segments = _segments(data)
    first = next((i for i, s in enumerate(segments) if s.marker == _START_OF_SCAN), None)
    if first is None:
        if any(s.marker < min(_FRAMES) for s in segments):
            raise BrokenImageError("JPEG picture is damaged (no markers of a JPEG in its header)")
        raise TruncatedImageError("JPEG picture ends inside its header; copy or download it again")
    has_end = segments[-1].marker == _END
    header, scans = segments[:first], segments[first : -1 if has_end else None]
    kept = b"".join(data[s.start : s.end] for s in header if s.marker in _KEPT)
    pixels = data[scans[0].start : segments[-1].start] if has_end else _trimmed(data[scans[0].start :])
    last = max(i for i, s in enumerate(scans) if s.marker == _START_OF_SCAN)
    behind = len(pixels) - (scans[last + 1].start - scans[0].start) if last + 1 < len(scans) else 0
    return JpegStream(
        data=b"\xff\xd8" + kept + pixels + b"\xff\xd9",
        exif=_app1(data, header, b"Exif\x00"),
        xmp=_app1(data, header, b"http://ns.adobe.com/xap/1.0/\x00"),
        scans=sum(s.marker == _START_OF_SCAN for s in scans),
        has_end=has_end,
        brings_all=_brings_all(data, segments),
        tail=behind + 2,
        fault=_fault(data, scans, scans[0].start + len(pixels)),
    )


def _segments(data: bytes) -> list[_Segment]:
    """All segments up to the end marker, found as libjpeg does: it takes the next marker, whatever lies before."""
    segments: list[_Segment] = []
    place, pattern = 2, _MARKER
    while (found := pattern.search(data, place)) is not None:
        start, marker = found.start(), data[found.start() + 1]
        place = start + 2
        if marker >= min(_FRAMES) and marker not in _WITHOUT_LENGTH:
            place += int.from_bytes(data[place : place + 2])
        if marker == _RESTART_INTERVAL and any(data[start + 4 : start + 6]):
            pattern = _MARKER_BUT_RESTART
        segments.append(_Segment(marker, start, place))
        if marker == _END:
            break
        if len(segments) > _MAX_SEGMENTS:
            raise ImageTooLargeError(f"expected a JPEG of at most {_MAX_SEGMENTS:,} segments, got more; save it again")
    return segments


def _trimmed(pixels: bytes) -> bytes:
    """Compressed data without what a buffer that was sent whole has behind it, and without half a marker."""
    return (pixels.rstrip(b"\x00\xff") if pixels.endswith(_PADDING) else pixels).rstrip(b"\xff")


def _app1(data: bytes, header: Sequence[_Segment], name: bytes) -> bytes:
    places = (s for s in header if s.marker == _APP1 and data.startswith(name, s.start + 4))
    return next((data[s.start + 4 : s.end] for s in places), b"")


def _brings_all(data: bytes, segments: Sequence[_Segment]) -> bool:
    left: dict[int, set[int]] = {}
    for marker, start, end in segments:
        body = data[start + 4 : end]
        if marker in _FRAMES:
            left = {component: set(range(64)) for component in body[6::3]}
        elif marker == _START_OF_SCAN and body and len(body) >= 2 * body[0] + 4:
            first, last, bits = body[2 * body[0] + 1 : 2 * body[0] + 4]
            for component in body[1 : 2 * body[0] + 1 : 2] if not bits & 15 else b"":
                left.get(component, set()).difference_update(range(first, last + 1))
    return bool(left) and not any(left.values())


def _fault(data: bytes, scans: Sequence[_Segment], end: int) -> str | None:
    for segment, following in zip(scans, (*(s.start for s in scans[1:]), end), strict=True):
        if segment.marker not in _BETWEEN_SCANS:
            return f"marker {segment.marker:#04x} inside the compressed data at byte {segment.start:,}"
        if segment.end > end:
            return f"the segment {segment.marker:#04x} at byte {segment.start:,} ends after the picture does"
        if segment.marker != _START_OF_SCAN and data[segment.end : following].strip(b"\xff"):
            return f"expected a JPEG marker at byte {segment.end:,}, got {data[segment.end]:#04x}"
    return None
