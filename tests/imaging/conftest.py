"""Small pictures of every format, made when they are needed: no binary file is kept beside the tests."""

from __future__ import annotations

import io
import struct
import zlib
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image, features

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

SIDES = 24, 36  # of every sample: height, width


@pytest.fixture(scope="session")
def encode() -> Callable[..., bytes]:
    """Encodes an array or a Pillow image: `encode(picture, "PNG", **options)`."""
    return _encode


@pytest.fixture(scope="session")
def encode_png() -> Callable[..., bytes]:
    """Writes a PNG from its raw rows, for the pixel types Pillow cannot save."""
    return _encode_png


@pytest.fixture(scope="session")
def encode_tiff() -> Callable[..., bytes]:
    """Writes a TIFF header with any tags, and some pixel data."""
    return _encode_tiff


@pytest.fixture(scope="session")
def photo() -> NDArray[np.uint8]:
    """A picture of `SIDES` whose pixels all differ, smooth with a little noise, as photos are."""
    return _photo()


@pytest.fixture(scope="session")
def samples(photo: NDArray[np.uint8]) -> dict[str, bytes]:
    """One small file per format and flavour; `heic` only where its plug-in is installed."""
    grey, second = Image.fromarray(photo[..., 0]), Image.fromarray(255 - photo)
    alpha = Image.fromarray(np.dstack([photo, photo[..., 2]]))
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010F] = "A camera"
    files = {
        "jpeg": _encode(photo, "JPEG", quality=90, exif=exif),
        "jpeg-grey": _encode(grey, "JPEG"),
        "jpeg-progressive": _encode(photo, "JPEG", progressive=True),
        "jpeg-cmyk": _encode(Image.fromarray(photo).convert("CMYK"), "JPEG"),
        "png": _encode(photo, "PNG", exif=exif),
        "png-palette": _encode(Image.fromarray(photo).quantize(16), "PNG", transparency=3),
        "png-16-bit": _encode(Image.fromarray(photo[..., 0].astype(np.uint16) * 257), "PNG"),
        "webp": _encode(photo, "WEBP", quality=80),
        "webp-lossless": _encode(alpha, "WEBP", lossless=True, exif=exif),
        "webp-animated": _encode(photo, "WEBP", save_all=True, append_images=[second]),
        "bmp": _encode(photo, "BMP"),
        "bmp-palette": _encode(Image.fromarray(photo).quantize(16), "BMP"),
        "gif": _encode(Image.fromarray(photo).quantize(64), "GIF", transparency=5),
        "gif-animated": _encode(photo, "GIF", save_all=True, append_images=[second]),
        "tiff": _encode(photo, "TIFF"),
        "tiff-lzw": _encode(photo, "TIFF", compression="tiff_lzw", tiffinfo={0x0112: 8}),
        "tiff-deflate": _encode(alpha, "TIFF", compression="tiff_adobe_deflate"),
        "tiff-jpeg": _encode(photo, "TIFF", compression="jpeg"),
        "tiff-pages": _encode(grey, "TIFF", save_all=True, append_images=[second]),
    }
    if features.check("avif"):
        files["avif"] = _encode(photo, "AVIF", quality=90)
    if find_spec("pillow_heif"):
        files["heic"] = _encode_heic(photo)
    return files


def _photo() -> NDArray[np.uint8]:
    rows, columns = np.mgrid[: SIDES[0], : SIDES[1]]
    noise = np.random.default_rng(7).integers(-8, 9, (*SIDES, 3))
    smooth = np.dstack([rows * 9, columns * 6, 220 - rows * 4 - columns * 3])
    return np.clip(smooth + noise, 0, 255).astype(np.uint8)


def _encode(picture: Image.Image | NDArray[Any], format_name: str, **options: Any) -> bytes:
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    stream = io.BytesIO()
    image.save(stream, format_name, **options)
    return stream.getvalue()


def _encode_heic(picture: NDArray[np.uint8], **options: Any) -> bytes:
    import pillow_heif  # noqa: PLC0415 - optional

    stream = io.BytesIO()
    pillow_heif.from_pillow(Image.fromarray(picture)).save(stream, **{"quality": 90, **options})
    return stream.getvalue()


def _encode_png(size: tuple[int, int], depth: int, colour: int, rows: bytes, **chunks: bytes) -> bytes:
    """`size` is (width, height); `rows` have their filter byte; `chunks` come before the pixels."""
    header = struct.pack(">IIBBBBB", *size, depth, colour, 0, 0, 0)
    parts = [(b"IHDR", header), *((name.encode(), data) for name, data in chunks.items())]
    parts += [(b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in parts
    )


def _encode_tiff(tags: dict[int, int | tuple[int, ...]], pixels: bytes, *, offset_tag: int = 273) -> bytes:
    """A little-endian TIFF of one strip or tile; the tag with its offset is filled in."""
    entries = {tag: value if isinstance(value, tuple) else (value,) for tag, value in tags.items()} | {offset_tag: (0,)}
    behind = 8 + 2 + 12 * len(entries) + 4
    long_values = b"".join(struct.pack(f"<{len(v)}I", *v) for _, v in sorted(entries.items()) if len(v) > 1)
    entries[offset_tag] = (behind + len(long_values),)
    directory = struct.pack("<H", len(entries))
    for tag, values in sorted(entries.items()):
        inline = values[0] if len(values) == 1 else behind
        behind += 4 * len(values) if len(values) > 1 else 0
        directory += struct.pack("<HHII", tag, 4, len(values), inline)
    return b"II*\x00" + struct.pack("<I", 8) + directory + bytes(4) + long_values + pixels


@pytest.fixture(scope="session")
def encode_heic() -> Callable[..., bytes]:
    """Encodes an array as HEIC; skips the test where the plug-in is not installed."""
    pytest.importorskip("pillow_heif")
    return _encode_heic
