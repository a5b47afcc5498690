"""What is known of a photo's file without looking at what it shows."""

from __future__ import annotations

import hashlib
from pathlib import Path

from binsight.dataset.samples import Facts
from binsight.errors import BinsightError, ImageError, ImageTooLargeError, InputError
from binsight.imaging import ImageLimits, decode_image, read_header, read_photo, sniff_format

__all__ = ["inspect_photo"]


def inspect_photo(path: Path, *, decode: bool = False, limits: ImageLimits | None = None) -> Facts:
    """Read a photo's file once: hash, format and size; a fault is part of the result, not raised.

    Args:
        path: the file.
        decode: decode all pixels too, which is the only way to know that it can be done; several times slower.
        limits: what is too large to be looked at.
    """
    limits = limits or ImageLimits()
    try:
        data = read_photo(path, limits=limits)
    except ImageTooLargeError as error:
        return _hash_in_parts(path, error)
    except BinsightError as error:
        return Facts(error=str(error), error_code=error.code)
    sha256 = hashlib.sha256(data).hexdigest()
    name = width = height = fault = None
    try:
        name = sniff_format(data) if data else None
        name, width, height = read_header(data, limits=limits)
        if decode:
            decode_image(data, limits=limits)
    except ImageError as error:
        fault = error
    return Facts(
        sha256=sha256,
        width=width,
        height=height,
        format=name,
        bytes=len(data),
        error=None if fault is None else str(fault),
        error_code=None if fault is None else fault.code,
        decoded=decode,
    )


def _hash_in_parts(path: Path, reason: ImageTooLargeError) -> Facts:
    try:
        with path.open("rb") as file:
            sha256, size = hashlib.file_digest(file, "sha256").hexdigest(), file.tell()
    except OSError as error:
        unreadable = InputError(f"cannot read {path}: {error.strerror or error}")
        return Facts(error=str(unreadable), error_code=unreadable.code)
    return Facts(sha256=sha256, bytes=size, error=str(reason), error_code=reason.code)
