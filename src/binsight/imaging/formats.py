"""Which format a picture has, by its bytes and never by its name; and what else bytes may be, for the message."""

from __future__ import annotations

from binsight.errors import UnsupportedImageError

__all__ = ["SUPPORTED_FORMATS", "sniff_format", "unsupported"]

SUPPORTED_FORMATS = ("JPEG", "PNG", "WebP", "BMP", "GIF", "TIFF", "HEIC", "AVIF")

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
_HEIC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"})
_AVIF_BRANDS = frozenset({b"avif", b"avis"})
_ANY_BRANDS = frozenset({b"mif1", b"msf1", b"miaf"})  # which coding is in it, only the further brands say
# What cameras write of the sensor; those that are TIFFs by their signature are told in `tiff`.
_RAW_SIGNATURES = (
    (b"IIRO", "ORF"),
    (b"IIRS", "ORF"),
    (b"MMOR", "ORF"),
    (b"IIU\x00", "RW2"),
    (b"FUJIFILMCCD-RAW", "RAF"),
    (b"FOVb", "X3F"),
    (b"\x00MRM", "MRW"),
    (b"HEAPCCDR", "CRW"),
)


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
    if (media := _media_format(data)) is not None:
        return media
    raise unsupported(_describe(data))


def unsupported(what: str) -> UnsupportedImageError:
    """The error for bytes that are `what` instead of a picture."""
    return UnsupportedImageError(f"expected a picture ({', '.join(SUPPORTED_FORMATS)}), got {what}")


def _media_format(data: bytes) -> str | None:
    """HEIC or AVIF by the brands of the first box (ISO/IEC 14496-12, section 4.3); None for other media."""
    if data[4:8] != b"ftyp":
        return None
    major, end = data[8:12], min(int.from_bytes(data[:4]), 256)
    brands = [major] if major not in _ANY_BRANDS else [data[at : at + 4] for at in range(16, end, 4)]
    if _AVIF_BRANDS.intersection(brands):
        return "AVIF"
    return "HEIC" if major in _ANY_BRANDS or _HEIC_BRANDS.intersection(brands) else None


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
    for signature, name in (*_RAW_SIGNATURES, (data[:4] + b"ftypcrx ", "CR3")):
        if data.startswith(signature, 6 if name == "CRW" else 0):
            return f"a camera raw file ({name}); export it as JPEG"
    if data[4:8] == b"ftyp":
        return f"a video or other media file of type {data[8:12].decode('ascii', 'replace').strip()!r}"
    if all(byte in b"\t\n\r" or 0x20 <= byte < 0x7F for byte in data[:256]):
        return f"{len(data):,} bytes of text"
    return f"{len(data):,} bytes that begin with {data[:8].hex(' ')}"
