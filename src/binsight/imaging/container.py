"""What of a PNG, GIF or WebP file decides about its pixels: the rest is left out before the file is decoded.

Text, profiles, previews and comments can then neither spoil a picture whose pixels are whole, nor cost the decoder time
or memory, however much of them there is.

References:
    W3C PNG, third edition, section 5. GIF89a, sections 15 to 27. RFC 9649, section 2.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from binsight.errors import BrokenImageError, ImageTooLargeError, TruncatedImageError

__all__ = ["Contents", "read_gif", "read_png", "read_webp"]

_PNG_PIXELS = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT"})
_XMP_TEXT = b"XML:com.adobe.xmp\x00\x00"  # not compressed
_WEBP_METADATA = frozenset({b"ICCP", b"EXIF", b"XMP "})
_MAX_BLOCKS = 200_000  # 20 MB in the blocks of 255 bytes that GIF has are 80,000


@dataclass(frozen=True, slots=True)
class Contents:
    """A file as its decoder needs it.

    Attributes:
        data: what decides about the pixels of its first picture, as a file of the same format.
        exif: as it stands in the file; empty where there is none.
        xmp: likewise.
        is_animated: whether there are further pictures in it.
        bits: of each channel, as they are stored.
        white_is_zero: whether grey values count down from white, which Pillow heeds up to 8 bits only.
    """

    data: bytes
    exif: bytes = b""
    xmp: bytes = b""
    is_animated: bool = False
    bits: int = 8
    white_is_zero: bool = False


def read_png(data: bytes) -> Contents:
    """A PNG of the chunks that matter, all of its pixels in one.

    Raises:
        BrokenImageError: such a chunk does not match its checksum.
        ImageTooLargeError: there are more chunks than any encoder writes.
    """
    kept: dict[bytes, list[bytes]] = {}
    exif = xmp = b""
    frames = 0
    for name, body, checksum in _png_chunks(data):
        if name in _PNG_PIXELS:
            if len(checksum) == 4 and zlib.crc32(body, zlib.crc32(name)) != int.from_bytes(checksum):
                raise BrokenImageError(f"PNG picture is damaged (wrong checksum in chunk {name.decode()})")
            kept.setdefault(name, []).append(body)
        elif name == b"eXIf":
            exif = exif or body
        elif name == b"iTXt" and body.startswith(_XMP_TEXT):
            xmp = xmp or body
        elif name == b"acTL":
            frames = int.from_bytes(body[:4])
    chunks = [_png_chunk(name, b"".join(bodies)) for name, bodies in kept.items()]
    return Contents(
        data[:8] + b"".join(chunks) + _png_chunk(b"IEND", b""), exif, xmp, frames > 1, data[24] if len(data) > 24 else 8
    )


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes, bytes]]:
    """Name, content and checksum of each chunk; of the last only what is there."""
    place = 8
    for _ in range(_MAX_BLOCKS):
        name, begin = data[place + 4 : place + 8], place + 8
        if len(name) < 4 or name == b"IEND":
            return
        end = begin + int.from_bytes(data[place : place + 4])
        yield name, data[begin:end], data[end : end + 4]
        place = end + 4
    raise ImageTooLargeError(f"expected a PNG of at most {_MAX_BLOCKS:,} chunks, got more; save it again")


def _png_chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(body, zlib.crc32(name)))


def read_gif(data: bytes) -> Contents:
    """A GIF without what stands before its first picture, but for that picture's transparency.

    Raises:
        ImageTooLargeError: it is cut into more blocks than any encoder writes.
        TruncatedImageError: it ends before its pixels begin.
    """
    place = first = 13 + _palette_size(data[10:11])
    control, picture, blocks = b"", None, 0
    while (kind := data[place : place + 1]) in {b"!", b","}:
        if kind == b"," and picture is not None:
            break
        start, place = place, place + (2 if kind == b"!" else 11 + _palette_size(data[place + 9 : place + 10]))
        if kind == b",":
            picture = start
        while place < len(data) and data[place]:
            place += data[place] + 1
            if (blocks := blocks + 1) > _MAX_BLOCKS:
                raise ImageTooLargeError(f"expected a GIF of at most {_MAX_BLOCKS:,} blocks, got more; save it again")
        place += 1
        if picture is None and data[start + 1 : start + 2] == b"\xf9":
            control = data[start:place]
    if picture is None:
        raise TruncatedImageError("GIF picture ends inside its header; copy or download it again")
    return Contents(data[:first] + control + data[picture:], is_animated=kind == b",")


def _palette_size(flags: bytes) -> int:
    """In bytes, by the byte that has the flags of a screen or picture."""
    return 3 << (flags[0] & 7) + 1 if flags and flags[0] & 0x80 else 0


def read_webp(data: bytes) -> Contents:
    """A WebP as it is, or without its metadata if these are cut off.

    Raises:
        TruncatedImageError: pixels are missing.
    """
    least = 8 + int.from_bytes(data[4:8], "little")
    if len(data) >= least:
        return Contents(data)
    place = 12
    while place + 8 <= len(data) and data[place : place + 4] not in _WEBP_METADATA:
        size = int.from_bytes(data[place + 4 : place + 8], "little")
        place += 8 + size + size % 2
    if place + 8 > len(data) or place <= 12 + 18:
        raise TruncatedImageError(
            f"WebP picture ends too early (expected at least {least:,} bytes, got {len(data):,}); "
            "copy or download it again"
        )
    # The flags of an extended file announce what is no longer there.
    flags = bytes([data[20] & ~0x2C])
    return Contents(b"RIFF" + struct.pack("<I", place - 8) + data[8:20] + flags + data[21:place])
