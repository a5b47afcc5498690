"""The directory of a TIFF, read before the file is decoded; EXIF data has the same form.

References:
    TIFF 6.0, section 2. EXIF 2.32, table 4. Adobe DNG 1.7, chapter 4.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from PIL.ExifTags import Base

from binsight.errors import ImageTooLargeError, TruncatedImageError
from binsight.imaging.formats import unsupported

__all__ = ["Directory", "check_tiff", "read_orientation"]

_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_WHOLE_NUMBERS = frozenset({1, 3, 4, 16})
_MAX_ENTRIES = 4096
_MAX_PARTS = 100_000  # strips or tiles; one for each of 20,000 rows and each of 4 channels is 80,000
_PADDED = 8  # times the largest picture: what all tiles of all channels may cover
_DNG_VERSION, _CFA, _LINEAR_RAW = 50706, 32803, 34892
_RAW_COMPRESSIONS = frozenset({32767, 32769, 32770, 32867, 34713, 34892, 65000, 65535})  # of Sony, Nikon, Pentax, ...
_JPEG_COMPRESSIONS = frozenset({6, 7})
_XMP_ORIENTATION = re.compile(rb'tiff:Orientation(?:="|>)([1-8])')


@dataclass(frozen=True, slots=True)
class Directory:
    """The first directory of a TIFF.

    Attributes:
        entries: tag → type, number of values, and where they lie in the file.
        order: of the bytes.
        has_next: whether there is a further picture.
    """

    data: bytes
    entries: Mapping[int, tuple[int, int, int]]
    order: Literal["little", "big"]
    has_next: bool

    @classmethod
    def read(cls, data: bytes) -> Directory:
        """Raises TruncatedImageError where the file ends before it."""
        order: Literal["little", "big"] = "big" if data.startswith(b"MM") else "little"
        big = int.from_bytes(data[2:4], order) == 43
        word, entry_size, count_size = (8, 20, 8) if big else (4, 12, 2)

        def number(place: int, size: int) -> int:
            return int.from_bytes(data[place : place + size], order)

        start = number(8 if big else 4, word)
        count, first = number(start, count_size), start + count_size
        if len(data) < first:
            raise TruncatedImageError(
                f"TIFF picture ends too early (expected at least {first:,} bytes, got {len(data):,}); "
                "copy or download it again"
            )
        entries: dict[int, tuple[int, int, int]] = {}
        for place in range(first, min(first + min(count, _MAX_ENTRIES) * entry_size, len(data)), entry_size):
            kind, values = number(place + 2, 2), number(place + 4, word)
            inline = place + 4 + word
            fits = values * _SIZES.get(kind, 1) <= word
            entries[number(place, 2)] = kind, values, inline if fits else number(inline, word)
        return cls(data, entries, order, number(first + count * entry_size, word) != 0)

    def number(self, tag: int, default: int) -> int:
        """The first value of a tag, if it is a whole number; else `default`."""
        kind, count, place = self.entries.get(tag, (0, 0, 0))
        if kind not in _WHOLE_NUMBERS or count < 1:
            return default
        return int.from_bytes(self.data[place : place + _SIZES[kind]], self.order)

    @property
    def bits(self) -> int:
        """Of the first channel."""
        return self.number(Base.BitsPerSample, 1)

    @property
    def white_is_zero(self) -> bool:
        """Whether grey values count down from white."""
        return self.number(Base.PhotometricInterpretation, 1) == 0

    def text(self, tag: int) -> str:
        """A text of printable characters; empty where there is none."""
        _, count, place = self.entries.get(tag, (0, 0, 0))
        return "".join(
            c for c in self.data[place : place + min(count, 64)].decode("ascii", "replace") if c.isprintable()
        )


def check_tiff(data: bytes, max_pixels: int, max_scans: int) -> Directory:
    """The directory of a TIFF that is a picture, and asks for no more work than its pixels do.

    Args:
        data: the file.
        max_pixels: of a picture; its tiles may cover some times that, as they reach beyond its border.
        max_scans: how often as many pixels may be gone over; JPEG data can ask for many scans.

    Raises:
        UnsupportedImageError: it is the raw file of a camera.
        ImageTooLargeError: it asks for more.
        TruncatedImageError: it ends before its directory.
    """
    directory = Directory.read(data)
    _check_not_raw(directory)
    width, height = directory.number(Base.ImageWidth, 0), directory.number(Base.ImageLength, 0)
    tiled = Base.TileOffsets in directory.entries
    parts = directory.entries.get(Base.TileOffsets if tiled else Base.StripOffsets, (0, 1, 0))[1]
    if parts > _MAX_PARTS:
        raise ImageTooLargeError(f"expected a TIFF of at most {_MAX_PARTS:,} strips or tiles, got {parts:,}")
    across = directory.number(Base.TileWidth, 1) if tiled else width
    down = directory.number(Base.TileLength, 1) if tiled else min(height, directory.number(Base.RowsPerStrip, height))
    covered = max(1, parts) * across * down
    if tiled and across * down > max_pixels:
        raise ImageTooLargeError(f"expected tiles of at most {max_pixels:,} pixels, got {across:,} x {down:,}")
    if tiled and covered > _PADDED * max_pixels:
        raise ImageTooLargeError(f"expected tiles that cover {_PADDED * max_pixels:,} pixels at most, got {covered:,}")
    if directory.number(Base.Compression, 1) in _JPEG_COMPRESSIONS:
        # Parts may share their data, so each may have all scans; most files have one a part.
        scans = data.count(b"\xff\xda") if _overlap(directory, tiled) else data.count(b"\xff\xda") / max(1, parts)
        if scans * covered > max_scans * max_pixels:
            raise ImageTooLargeError(
                f"expected at most {max_scans} scans of JPEG data, got {scans:,.0f}; save it again"
            )
    return directory


def _overlap(directory: Directory, tiled: bool) -> bool:
    """Whether parts of the picture share their data."""
    kind, count, place = directory.entries.get(Base.TileByteCounts if tiled else Base.StripByteCounts, (0, 0, 0))
    size = _SIZES.get(kind, 1)
    values = (directory.data[at : at + size] for at in range(place, place + count * size, size))
    return sum(int.from_bytes(value, directory.order) for value in values) > len(directory.data)


def _check_not_raw(directory: Directory) -> None:
    """Refuse what cameras write of the sensor: the picture one would find first is a small preview."""
    maker = directory.text(Base.Make)
    if _DNG_VERSION in directory.entries:
        kind = "DNG"
    elif directory.data[8:10] == b"CR":
        kind = "CR2"
    elif (
        directory.number(Base.PhotometricInterpretation, 0) in {_CFA, _LINEAR_RAW}
        or directory.number(Base.Compression, 1) in _RAW_COMPRESSIONS
        or (directory.number(Base.NewSubfileType, 0) & 1 and (maker or Base.SubIFDs in directory.entries))
    ):
        kind = maker or "of a kind that is not known"
    elif directory.number(Base.NewSubfileType, 0) & 1:
        raise unsupported("a TIFF whose first picture is a preview; export the picture itself")
    else:
        return
    raise unsupported(f"a camera raw file ({kind}); export it as JPEG")


def read_orientation(exif: bytes, xmp: bytes = b"") -> int:
    """How a picture must be turned to stand upright: 1 to 8 as EXIF has it; 1 where nothing, or nonsense, is said."""
    exif = exif.removeprefix(b"Exif\x00\x00")
    value = 0
    if exif[:2] in {b"II", b"MM"}:
        with contextlib.suppress(TruncatedImageError):
            value = Directory.read(exif).number(Base.Orientation, 0)
    if not value and (found := _XMP_ORIENTATION.search(xmp)):
        value = int(found[1])
    return value if 1 <= value <= 8 else 1
