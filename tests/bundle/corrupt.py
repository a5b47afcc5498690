"""Bundles as no one should write them: sealed manifests of any content, and zips with patched headers."""

from __future__ import annotations

import hashlib
import json
import struct
import zipfile
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

__all__ = ["files_of", "local_header", "patch_zip", "read_zip", "seal", "write_raw", "write_zip"]

_NO_DIGEST = "0" * 64
# Field → where it is, from the start of an entry's central and local header, and how it is packed.
# References: APPNOTE.TXT 6.3.10 of PKWARE, sections 4.3.7 and 4.3.12.
_ZIP_FIELDS = {
    "flag_bits": (8, 6, "<H"),
    "compress_type": (10, 8, "<H"),
    "file_size": (24, 22, "<I"),
    "external_attr": (38, None, "<I"),
    "header_offset": (42, None, "<I"),
}
_CENTRAL, _LOCAL = b"PK\x01\x02", b"PK\x03\x04"
_CENTRAL_NAME, _LOCAL_NAME = 46, 30


def seal(raw: Mapping[str, Any]) -> bytes:
    """The bytes of a `bundle.json` with this content, whatever it is, and the right digest of itself."""
    blank = json.dumps({**raw, "sha256": _NO_DIGEST}).encode()
    return blank.replace(_NO_DIGEST.encode(), hashlib.sha256(blank).hexdigest().encode(), 1)


def files_of(folder: Path) -> dict[str, bytes]:
    """Name → content of every file in a folder."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def write_raw(path: Path, files: Mapping[str, bytes]) -> Path:
    """Write files as they are to `path`: into a zip when that ends in `.zip`, into a folder otherwise."""
    if path.suffix == ".zip":
        return write_zip(path, files.items())
    path.mkdir(exist_ok=True)
    for name, data in files.items():
        (path / name).write_bytes(data)
    return path


def write_zip(path: Path, entries: Iterable[tuple[str, bytes]], *, compression: int = zipfile.ZIP_STORED) -> Path:
    """Write a zip with these entries, of any name, NUL included."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in entries:
            info = zipfile.ZipInfo(name)
            info.filename = name  # ZipInfo cuts a name at its first NUL
            archive.writestr(info, data, compression)
    return path


def read_zip(path: Path) -> dict[str, bytes]:
    """Name → content of every file in a zip, in its order."""
    with zipfile.ZipFile(path) as archive:
        return {info.filename: archive.read(info) for info in archive.infolist()}


def patch_zip(path: Path, name: str, **fields: int) -> Path:
    """Overwrite header fields of one entry, in its central and its local header."""
    data = bytearray(path.read_bytes())
    for field, value in fields.items():
        central, local, form = _ZIP_FIELDS[field]
        struct.pack_into(form, data, _header(data, _CENTRAL, _CENTRAL_NAME, name) + central, value)
        if local is not None:
            struct.pack_into(form, data, local_header(data, name) + local, value)
    path.write_bytes(data)
    return path


def local_header(data: bytes | bytearray, name: str) -> int:
    """Where the header before an entry's content begins in the bytes of a zip."""
    return _header(data, _LOCAL, _LOCAL_NAME, name)


def _header(data: bytes | bytearray, signature: bytes, name_offset: int, name: str) -> int:
    start = -1
    while (start := data.find(signature, start + 1)) >= 0:
        if data[start + name_offset :].startswith(name.encode()):
            return start
    raise AssertionError(f"no entry {name}")
