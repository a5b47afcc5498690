"""Bytes → upright 8-bit RGB, refusing what is too large, broken or no picture before memory is spent on it.

Pillow decodes; this module chooses the decoder by the bytes themselves (never by a file name), checks the sizes written
in the header first, and makes one kind of picture out of every pixel type.
"""

from __future__ import annotations

import importlib
import io
import os
import stat
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageFile

from binsight.errors import (
    BrokenImageError,
    EmptyImageError,
    ImageError,
    ImageTooLargeError,
    InputError,
    SpecError,
    TruncatedImageError,
    UnsupportedImageError,
)

__all__ = [
    "SUPPORTED_FORMATS",
    "ImageLimits",
    "decode_image",
    "decode_to_pil",
    "read_header",
    "read_photo",
    "sniff_format",
]

SUPPORTED_FORMATS = ("JPEG", "PNG", "WebP", "BMP", "GIF", "TIFF", "HEIC")

# Format → the Pillow module and class that decode it. The classes are used directly: `PIL.Image.open` would import
# every plug-in, try them one after another, and apply a process-wide pixel limit instead of the caller's.
_DECODERS = {
    "JPEG": ("PIL.JpegImagePlugin", "JpegImageFile"),
    "PNG": ("PIL.PngImagePlugin", "PngImageFile"),
    "WebP": ("PIL.WebPImagePlugin", "WebPImageFile"),
    "BMP": ("PIL.BmpImagePlugin", "BmpImageFile"),
    "GIF": ("PIL.GifImagePlugin", "GifImageFile"),
    "TIFF": ("PIL.TiffImagePlugin", "TiffImageFile"),
    "HEIC": ("pillow_heif.as_plugin", "HeifImageFile"),
}
_SIGNATURES = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"BM", "BMP"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
    (b"II+\x00", "TIFF"),
    (b"MM\x00+", "TIFF"),
)
_HEIC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"})
_ALPHA_MODES = frozenset({"LA", "PA", "RGBA", "RGBa"})

# EXIF 2.32, tag 0x0112: how the stored picture must be turned to stand upright.
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True, slots=True)
class ImageLimits:
    """The largest picture that is decoded.

    Attributes:
        max_bytes: of the encoded picture.
        max_pixels: width times height.
        max_side: width or height, whichever is larger, in pixels.
    """

    max_bytes: int = 20_000_000
    max_pixels: int = 50_000_000
    max_side: int = 20_000

    def __post_init__(self) -> None:
        if min(self.max_bytes, self.max_pixels, self.max_side) < 1:
            raise SpecError(f"image limits must be positive, got {self}")


def decode_image(
    data: bytes, *, limits: ImageLimits | None = None, min_size: tuple[int, int] | None = None
) -> NDArray[np.uint8]:
    """Decode one picture to upright RGB.

    The first frame of an animation is taken. EXIF orientation is applied; transparency is laid over white; 16-bit
    values are scaled to 8 bits; embedded colour profiles are ignored.

    Args:
        data: the encoded picture: JPEG, PNG, WebP, BMP, GIF, TIFF, or HEIC when `pillow-heif` is installed.
        limits: the largest picture accepted; by default `ImageLimits()`.
        min_size: `(height, width)`: when given, a JPEG may come out at 1/2, 1/4 or 1/8 of its size, but no side smaller
            than this; the decoder then skips the frequencies that would be lost anyway, which is several times faster.

    Returns:
        `(h, w, 3)` uint8.

    Raises:
        EmptyImageError: there are no bytes.
        ImageTooLargeError: a limit is exceeded.
        UnsupportedImageError: not a picture, or of a format or pixel type that is not supported.
        TruncatedImageError: the data end too early.
        BrokenImageError: the data are damaged.
    """
    return np.asarray(decode_to_pil(data, limits=limits, min_size=min_size))


def decode_to_pil(
    data: bytes, *, limits: ImageLimits | None = None, min_size: tuple[int, int] | None = None
) -> Image.Image:
    """`decode_image`, as a Pillow image of mode RGB: spares a copy where Pillow goes on to resize."""
    name, picture = _open(data, limits or ImageLimits())
    with _damage_reported(name):
        if name == "JPEG" and min_size is not None:
            _reduce_jpeg(picture, min_size)
        picture.load()
        return _to_rgb(_turn_upright(picture))


def read_header(data: bytes, *, limits: ImageLimits | None = None) -> tuple[str, int, int]:
    """Format, width and height of the upright picture, by its header alone: no pixel is decoded.

    Raises:
        ImageError: as `decode_image`, as far as the header shows it.
    """
    name, picture = _open(data, limits or ImageLimits())
    width, height = picture.size
    # Pillow gives the size of a TIFF, and pillow-heif that of a HEIC, as it will be once upright.
    lying = name not in {"TIFF", "HEIC"} and _orientation(picture) >= 5
    return (name, height, width) if lying else (name, width, height)


def _open(data: bytes, limits: ImageLimits) -> tuple[str, ImageFile.ImageFile]:
    """The format and the picture, its header read and all its sizes checked, no pixel decoded."""
    _check_bytes(data, limits)
    name = sniff_format(data)
    decoder = _decoder(name)
    _check_complete(name, data)
    if name == "WebP":
        # libwebp allocates the whole canvas when it opens a file.
        _check_size(_webp_size(data), limits)
    with _damage_reported(name):
        picture = decoder(io.BytesIO(data))
        _check_size(picture.size, limits)
        if name == "TIFF":
            # libtiff allocates whole tiles, however small the picture.
            _check_size(_tile_size(picture), limits)
    return name, picture


@contextmanager
def _damage_reported(name: str) -> Iterator[None]:
    """Turn whatever damaged bytes make a decoder raise into a `BrokenImageError`; the original stays attached."""
    try:
        yield
    except ImageError:
        raise
    except Image.DecompressionBombError as error:
        raise ImageTooLargeError(f"{name} picture expands to too many pixels: {error}") from error
    except Exception as error:  # OSError, SyntaxError, struct.error, KeyError, ...
        raise _broken(name, error) from error


def read_photo(path: str | Path, *, limits: ImageLimits | None = None) -> bytes:
    """The bytes of a photo's file, if they are not too many.

    Raises:
        InputError: the file is missing, not a regular file, or cannot be read.
        ImageTooLargeError: it has more bytes than `limits` allow; they are not read.
    """
    limits = limits or ImageLimits()
    path = Path(path)
    try:
        status = path.stat()
        data = path.read_bytes() if _is_readable(status, limits) else b""
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    except ValueError as error:  # a NUL character
        raise InputError(f"cannot read {str(path)!r}: {error}") from error
    if not stat.S_ISREG(status.st_mode):
        raise InputError(f"cannot read {path}: expected a file, got a folder, pipe or device")
    if status.st_size > limits.max_bytes:
        raise ImageTooLargeError(f"expected at most {limits.max_bytes:,} bytes, got {status.st_size:,}")
    return data


def sniff_format(data: bytes) -> str:
    """The format of a picture by its first bytes, one of `SUPPORTED_FORMATS`.

    Raises:
        UnsupportedImageError: none of them.
    """
    for signature, name in _SIGNATURES:
        if data.startswith(signature):
            return name
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WebP"
    if data[4:8] == b"ftyp" and data[8:12] in _HEIC_BRANDS:
        return "HEIC"
    raise UnsupportedImageError(f"expected a picture ({', '.join(SUPPORTED_FORMATS)}), got {_describe(data)}")


def _is_readable(status: os.stat_result, limits: ImageLimits) -> bool:
    # Opening a pipe or a device could wait for ever, and what is too large is not worth reading.
    return stat.S_ISREG(status.st_mode) and status.st_size <= limits.max_bytes


def _describe(data: bytes) -> str:
    head = data[:256].lstrip().lower()
    if head.startswith((b"<!doctype html", b"<html")):
        return "a web page"
    if head.startswith((b"<?xml", b"<svg")):
        return "XML or SVG"
    if head.startswith(b"%pdf"):
        return "a PDF"
    if data.startswith(b"PK\x03\x04"):
        return "a zip archive"
    if data[4:8] == b"ftyp":
        return f"a video or other media file of type {data[8:12].decode('ascii', 'replace').strip()!r}"
    if all(byte in b"\t\n\r" or 0x20 <= byte < 0x7F for byte in data[:256]):
        return f"{len(data):,} bytes of text"
    return f"{len(data):,} bytes that begin with {data[:8].hex(' ')}"


def _check_bytes(data: bytes, limits: ImageLimits) -> None:
    if not data:
        raise EmptyImageError("expected a picture, got 0 bytes")
    if len(data) > limits.max_bytes:
        raise ImageTooLargeError(f"expected at most {limits.max_bytes:,} bytes, got {len(data):,}")


def _check_size(size: tuple[int, int], limits: ImageLimits) -> None:
    width, height = size
    if width < 1 or height < 1:
        raise BrokenImageError(f"the picture has no pixels: {width} x {height}")
    if max(size) > limits.max_side:
        raise ImageTooLargeError(f"expected sides of at most {limits.max_side:,} pixels, got {width:,} x {height:,}")
    if width * height > limits.max_pixels:
        raise ImageTooLargeError(
            f"expected at most {limits.max_pixels:,} pixels, got {width:,} x {height:,} = {width * height:,}"
        )


def _decoder(name: str) -> Callable[[io.BytesIO], ImageFile.ImageFile]:
    module_name, class_name = _DECODERS[name]
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        if name != "HEIC":
            raise
        raise UnsupportedImageError('HEIC photos need a plug-in: pip install "binsight[heic]"') from error
    decoder: Callable[[io.BytesIO], ImageFile.ImageFile] = getattr(module, class_name)
    return decoder


def _check_complete(name: str, data: bytes) -> None:
    """Refuse files that are shorter than their own header says: the decoders would call them damaged."""
    least = 0
    if name == "WebP":
        least = 8 + int.from_bytes(data[4:8], "little")
    elif name == "TIFF" and 42 in data[2:4]:  # not a BigTIFF; the tags often lie behind the pixels
        least = int.from_bytes(data[4:8], "little" if data.startswith(b"II") else "big")
    if len(data) < least:
        raise TruncatedImageError(
            f"{name} picture ends too early (expected at least {least:,} bytes, got {len(data):,}); "
            "copy or download it again"
        )


def _webp_size(data: bytes) -> tuple[int, int]:
    """`(width, height)` as the header of a WebP file gives it.

    References:
        RFC 9649, sections 2.5 to 2.7.
    """
    chunk = data[12:16]
    if len(data) < (25 if chunk == b"VP8L" else 30):
        raise TruncatedImageError("WebP picture ends inside its header")
    if chunk == b"VP8X":
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if chunk == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if chunk == b"VP8 ":
        return int.from_bytes(data[26:28], "little") & 0x3FFF, int.from_bytes(data[28:30], "little") & 0x3FFF
    raise BrokenImageError(f"WebP picture is damaged (expected VP8, VP8L or VP8X, got {chunk!r})")


def _tile_size(picture: ImageFile.ImageFile) -> tuple[int, int]:
    tags = picture.tag_v2  # type: ignore[attr-defined]
    return tags.get(ExifTags.Base.TileWidth, 1), tags.get(ExifTags.Base.TileLength, 1)


def _reduce_jpeg(picture: ImageFile.ImageFile, min_size: tuple[int, int]) -> None:
    height, width = min_size
    if _orientation(picture) >= 5:  # stored lying on its side
        height, width = width, height
    picture.draft(None, (max(1, width), max(1, height)))


def _orientation(picture: Image.Image) -> int:
    """The EXIF orientation, 1 to 8; 1 where there is none, or where it cannot be read: the pixels are still good."""
    try:
        value = picture.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # damaged EXIF raises all kinds of errors
        return 1
    return value if isinstance(value, int) and value in _UPRIGHT else 1


def _turn_upright(picture: Image.Image) -> Image.Image:
    method = _UPRIGHT.get(_orientation(picture))
    return picture if method is None else picture.transpose(method)


def _to_rgb(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith("I"):
        return _sixteen_bit_to_rgb(picture)
    if picture.mode == "F":
        raise UnsupportedImageError("expected 8 or 16 bits per channel, got floating-point pixels; save as PNG or JPEG")
    if picture.mode in _ALPHA_MODES or "transparency" in picture.info:
        rgba = picture.convert("RGBA")
        white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, rgba).convert("RGB")
    if picture.mode == "RGB":
        return picture
    try:
        return picture.convert("RGB")
    except ValueError as error:
        raise UnsupportedImageError(
            f"cannot turn pixels of type {picture.mode} into RGB; save as PNG or JPEG"
        ) from error


def _sixteen_bit_to_rgb(picture: Image.Image) -> Image.Image:
    stored = np.asarray(picture)
    if stored.min() < 0 or stored.max() > 0xFFFF:
        raise UnsupportedImageError("expected 8 or 16 bits per channel, got 32-bit pixels; save as PNG or JPEG")
    values = stored.astype(np.uint32)
    if "transparency" in picture.info:
        values[values == picture.info["transparency"]] = 0xFFFF
    # 65535 / 257 = 255: the exact inverse of repeating a byte. In place, because a large picture is many megabytes.
    values += 128
    values //= 257
    return Image.fromarray(values.astype(np.uint8)).convert("RGB")


def _broken(name: str, error: Exception) -> BrokenImageError:
    # Some decoders quote the damaged bytes as they are.
    text = "".join(c if c.isprintable() else "?" for c in " ".join(str(error).split())) or type(error).__name__
    cause = error.__cause__ or error
    if isinstance(cause, (EOFError, struct.error)) or "truncated" in text.lower() or "end of file" in text.lower():
        return TruncatedImageError(f"{name} picture ends too early ({text}); copy or download it again")
    return BrokenImageError(f"{name} picture is damaged ({text})")
