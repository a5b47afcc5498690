"""Bytes → upright 8-bit RGB, refusing what is too large, broken or no picture before memory or time is spent on it.

Pillow decodes; this module chooses the decoder by the bytes themselves (never by a file name), gives it what decides
about the pixels and nothing else, and checks the sizes written in the header, and the work asked for, first.
"""

from __future__ import annotations

import importlib
import io
import os
import stat
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageFile, ImageOps

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
from binsight.imaging.avif import check_avif
from binsight.imaging.container import Contents, read_gif, read_png, read_webp
from binsight.imaging.formats import sniff_format
from binsight.imaging.jpeg import JpegStream, read_jpeg
from binsight.imaging.pixels import to_rgb
from binsight.imaging.tiff import check_tiff, read_orientation

__all__ = ["ImageLimits", "Photo", "decode_image", "decode_photo", "read_header", "read_photo"]

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
    "AVIF": ("PIL.AvifImagePlugin", "AvifImageFile"),
}

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
_TURNED_BY_DECODER = frozenset({"TIFF", "HEIC"})
# A JPEG of the largest size may have this many scans, a smaller one in proportion; encoders make about ten.
_MAX_SCANS = 12
_LEAST_SCAN = 1_000_000  # pixels that a scan of a small picture counts as: setting it up costs as much
# Pillow reads run-length coded BMP byte by byte in Python: bytes and pixels together.
_MAX_RLE = 2_000_000
_BLOCK = 8  # pixels; what a JPEG is coded in
_READERS = {"PNG": read_png, "GIF": read_gif, "WebP": read_webp}


@dataclass(frozen=True, slots=True)
class ImageLimits:
    """The largest picture that is decoded.

    Attributes:
        max_bytes: of the encoded picture.
        max_pixels: width times height; phones take up to 64 megapixels, few take more.
        max_side: width or height, whichever is larger, in pixels.
    """

    max_bytes: int = 20_000_000
    max_pixels: int = 65_000_000
    max_side: int = 20_000

    def __post_init__(self) -> None:
        if min(self.max_bytes, self.max_pixels, self.max_side) < 1:
            raise SpecError(f"image limits must be positive, got {self}")


_DEFAULT = ImageLimits()


@dataclass(frozen=True, slots=True)
class Photo:
    """A decoded photo.

    Attributes:
        picture: upright, of mode RGB; smaller than the photo where that was asked for.
        format: one of `SUPPORTED_FORMATS`.
        width: of the whole photo, upright, in pixels.
        height: likewise.
        is_animated: whether there are further pictures in it.
        quantisation: the mean of the JPEG luminance table, 1 for the best quality; 0 for other formats.
        damage: what the decoder passed over in silence; None where nothing was found.
    """

    picture: Image.Image
    format: str
    width: int
    height: int
    is_animated: bool = False
    quantisation: float = 0.0
    damage: str | None = None


def decode_image(
    data: bytes, *, limits: ImageLimits | None = None, min_size: tuple[int, int] | None = None
) -> NDArray[np.uint8]:
    """Decode one picture to upright RGB.

    The first frame of an animation is taken. EXIF orientation is applied; transparency is laid over white; 16-bit
    values are scaled to 8 bits; embedded colour profiles are ignored, as is all that is no part of the picture.

    Args:
        data: the encoded picture: JPEG, PNG, WebP, BMP, GIF, TIFF, AVIF, or HEIC when `pillow-heif` is installed.
        limits: the largest picture accepted; by default `ImageLimits()`.
        min_size: `(height, width)`: when given, a JPEG may come out at 1/2, 1/4 or 1/8 of its size, but no side smaller
            than this; the decoder then skips the frequencies that would be lost anyway, which is several times faster.

    Returns:
        `(h, w, 3)` uint8.

    Raises:
        EmptyImageError: there are no bytes.
        ImageTooLargeError: a limit is exceeded, or the picture asks for far more work than its pixels need.
        UnsupportedImageError: not a picture, or of a format or pixel type that is not supported.
        TruncatedImageError: the data end too early.
        BrokenImageError: the data are damaged.
    """
    return np.asarray(decode_photo(data, limits=limits, min_size=min_size).picture)


def decode_photo(data: bytes, *, limits: ImageLimits | None = None, min_size: tuple[int, int] | None = None) -> Photo:
    """`decode_image` as a Pillow image, which spares a copy where it is then resized, with what else was read."""
    opened = _open(data, limits or _DEFAULT)
    name, (width, height) = opened.format, opened.size
    with _damage_reported(name):
        quantisation = _quantisation(opened.picture)
        if opened.stream is not None:
            _load_jpeg(opened, opened.stream, min_size)
        else:
            opened.picture.load()
        method = _UPRIGHT.get(opened.orientation)
        upright = opened.picture if method is None else opened.picture.transpose(method)
        picture = to_rgb(upright, bits=opened.contents.bits)
        if opened.contents.white_is_zero and upright.mode.startswith("I"):
            picture = ImageOps.invert(picture)
    animated = opened.contents.is_animated or bool(getattr(opened.picture, "is_animated", False))
    damage = None if opened.stream is None else opened.stream.fault
    return Photo(picture, name, width, height, animated, quantisation, damage)


def read_header(data: bytes, *, limits: ImageLimits | None = None) -> tuple[str, int, int]:
    """Format, width and height of the upright picture, by its header alone: no pixel is decoded.

    Raises:
        ImageError: as `decode_image`, as far as the header shows it.
    """
    opened = _open(data, limits or _DEFAULT)
    return opened.format, *opened.size


@dataclass(frozen=True, slots=True)
class _Opened:
    """A picture whose header was read and whose sizes and work were checked; no pixel is decoded yet."""

    format: str
    picture: ImageFile.ImageFile
    contents: Contents
    stream: JpegStream | None
    orientation: int
    size: tuple[int, int]


def _open(data: bytes, limits: ImageLimits) -> _Opened:
    _check_bytes(data, limits)
    name = sniff_format(data)
    decoder = _decoder(name)
    contents, stream = _read_contents(name, data, limits)
    if name == "WebP":
        # libwebp allocates the whole canvas when it opens a file.
        _check_size(_webp_size(contents.data), limits)
    with _damage_reported(name):
        picture = decoder(io.BytesIO(contents.data))
        _check_size(picture.size, limits)
        _check_work(picture, data, stream, limits)
        orientation = 1
        if name not in _TURNED_BY_DECODER:
            exif, xmp = (picture.info.get(key, b"") for key in ("exif", "xmp"))
            orientation = read_orientation(contents.exif or exif, contents.xmp or xmp)
    width, height = picture.size
    return _Opened(name, picture, contents, stream, orientation, (height, width) if orientation >= 5 else picture.size)


def _read_contents(name: str, data: bytes, limits: ImageLimits) -> tuple[Contents, JpegStream | None]:
    """What is given to the decoder; of a JPEG its structure too."""
    if name == "JPEG":
        stream = read_jpeg(data)
        return Contents(stream.data, stream.exif, stream.xmp), stream
    if name in _READERS:
        return _READERS[name](data), None
    if name == "TIFF":
        directory = check_tiff(data, limits.max_pixels, _MAX_SCANS)
        white_is_zero = directory.white_is_zero
        return Contents(data, is_animated=directory.has_next, bits=directory.bits, white_is_zero=white_is_zero), None
    if name == "AVIF":  # libheif bounds the same for HEIC
        check_avif(data, limits.max_pixels)
    return Contents(data), None


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


def _load_jpeg(opened: _Opened, stream: JpegStream, min_size: tuple[int, int] | None) -> None:
    """Decode a JPEG, and make sure that no pixel of it was made up.

    libjpeg goes on with zeros where the data end too early, so that all blocks from there on are flat. A photo that
    ends so, or has no end marker, is decoded again with other bits behind its data: they change what was made up.

    Raises:
        TruncatedImageError: pixels are missing.
    """
    missing = TruncatedImageError("JPEG picture ends too early (pixels are missing); copy or download it again")
    if not (stream.has_end or stream.brings_all):
        raise missing
    _reduce(opened, min_size)
    opened.picture.load()
    if stream.has_end and not _ends_flat(opened.picture):
        return
    other = _decoder("JPEG")(io.BytesIO(stream.with_other_bits()))
    _reduce(replace(opened, picture=other), min_size)
    other.load()
    if ImageChops.difference(opened.picture, other).getbbox():
        raise missing


def _reduce(opened: _Opened, min_size: tuple[int, int] | None) -> None:
    if min_size is not None:
        height, width = min_size
        if opened.orientation >= 5:  # stored lying on its side
            height, width = width, height
        opened.picture.draft(None, (max(1, width), max(1, height)))


def _ends_flat(picture: ImageFile.ImageFile) -> bool:
    """Whether the last few pixels, of 8 x 8 before they were reduced, are all the same."""
    scale = picture.decoderconfig[0] if picture.decoderconfig else 1
    side = max(2, _BLOCK // scale)
    box = max(0, picture.width - side), max(0, picture.height - side), picture.width, picture.height
    return bool(picture.crop(box).getcolors(1))


def _quantisation(picture: ImageFile.ImageFile) -> float:
    tables = getattr(picture, "quantization", None)
    return sum(table := tables[min(tables)]) / len(table) if tables else 0.0


def read_photo(path: str | Path, *, limits: ImageLimits | None = None) -> bytes:
    """The bytes of a photo's file, if they are not too many.

    Raises:
        InputError: the file is missing, not a regular file, or cannot be read.
        ImageTooLargeError: it has more bytes than `limits` allow; they are not read.
    """
    limits = limits or _DEFAULT
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


def _is_readable(status: os.stat_result, limits: ImageLimits) -> bool:
    # Opening a pipe or a device could wait for ever, and what is too large is not worth reading.
    return stat.S_ISREG(status.st_mode) and status.st_size <= limits.max_bytes


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


def _check_work(picture: ImageFile.ImageFile, data: bytes, stream: JpegStream | None, limits: ImageLimits) -> None:
    """Refuse what would keep a decoder busy for much longer than its size lets one expect."""
    pixels = picture.width * picture.height
    most = _MAX_SCANS * max(limits.max_pixels, _DEFAULT.max_pixels) // max(pixels, _LEAST_SCAN)
    if stream is not None and stream.scans > most:
        raise ImageTooLargeError(
            f"expected a JPEG of {pixels:,} pixels to have at most {most:,} scans, got {stream.scans:,}; save it again"
        )
    if data.startswith(b"BM") and data[30:31] in {b"\x01", b"\x02"} and len(data) + pixels > _MAX_RLE:
        raise ImageTooLargeError(f"expected a run-length coded BMP of at most {_MAX_RLE:,} pixels; save it as PNG")


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


def _broken(name: str, error: Exception) -> BrokenImageError:
    # Some decoders quote the damaged bytes as they are.
    text = "".join(c if c.isprintable() else "?" for c in " ".join(str(error).split())) or type(error).__name__
    cause = error.__cause__ or error
    if isinstance(cause, (EOFError, struct.error)) or "truncated" in text.lower() or "end of file" in text.lower():
        return TruncatedImageError(f"{name} picture ends too early ({text}); copy or download it again")
    return BrokenImageError(f"{name} picture is damaged ({text})")
