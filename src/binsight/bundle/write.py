"""Write bundles: as a whole or not at all, and byte for byte the same from the same content."""

from __future__ import annotations

import io
import os
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from binsight.bundle.bundle import Bundle, load_bundle
from binsight.bundle.container import CARD_NAME, DELTA_NAME, MANIFEST_NAME, MODEL_NAME, FileEntry, open_container
from binsight.bundle.delta import make_delta
from binsight.bundle.manifest import Base, Manifest
from binsight.errors import BundleError, InputError, OutputError
from binsight.files import replace_whole

__all__ = ["check_target", "pack_bundle", "write_bundle"]

_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)
_REGULAR_FILE_644 = 0o100644 << 16


def write_bundle(
    out: str | Path,
    manifest: Manifest,
    files: Mapping[str, bytes],
    *,
    base: Bundle | None = None,
    overwrite: bool = False,
) -> Path:
    """Write a bundle as a folder, or as a zip when `out` ends in `.zip`.

    Args:
        out: where to; its parent folder is made when it is missing.
        manifest: all but its `files`, which are computed here.
        files: name → content of every file but the manifest; `model.onnx` and `card.md` at least.
        base: a bundle in the package: of the network only what differs from this one's is written.
        overwrite: replace what is at `out`, but only when that is a bundle too.

    Returns:
        `out`.

    Raises:
        BundleError: a file is missing, or a name or a manifest value breaks the format.
        OutputError: `out` exists, or cannot be written.
    """
    out = Path(out)
    for name in (MODEL_NAME, CARD_NAME):
        if name not in files:
            raise BundleError("missing; every bundle has one", file=name)
    contents = _contents(manifest, files, base)
    check_target(out, overwrite=overwrite)
    try:
        replace_whole(
            out, lambda draft: (_write_zip if out.suffix.lower() == ".zip" else _write_folder)(draft, contents)
        )
    except OSError as error:
        raise OutputError(f"cannot write {out}: {error.strerror or error}") from error
    return out


def check_target(out: Path, *, overwrite: bool) -> None:
    """Refuse what `write_bundle` would, before the work that leads to the bundle.

    Raises:
        OutputError: `out` exists, or nothing can be written where it is to be.
    """
    if os.path.lexists(out) and not overwrite:
        raise OutputError(f"{out} exists; overwrite it or choose another name")
    if os.path.lexists(out) and not _is_bundle(out):
        raise OutputError(f"{out} exists and is not a bundle; choose another name")
    place = next(parent for parent in out.absolute().parents if os.path.lexists(parent))
    try:
        tempfile.TemporaryDirectory(dir=place, prefix=".binsight-").cleanup()
    except OSError as error:
        raise OutputError(f"cannot write {out}: {error.strerror or error}") from error


def pack_bundle(source: str | Path, out: str | Path, *, base: Bundle | None = None, overwrite: bool = False) -> Path:
    """Copy a bundle into the other form: a folder into a zip, a zip into a folder. Every file is checked on the way.

    What is made from the network of a bundle in the package becomes whole, unless `base` is given, as `write_bundle`
    takes it.

    Raises:
        InputError: there is no bundle at `source`.
        BundleError: the bundle is malformed or was altered.
        OutputError: `out` exists, or cannot be written.
    """
    bundle = load_bundle(source)
    files = {name: bundle.read(name) for name in bundle.manifest.files}
    return write_bundle(out, bundle.manifest, files, base=base, overwrite=overwrite)


def zip_bundle(bundle: Bundle) -> bytes:
    """A bundle as one zip; the same content gives the same bytes, so that their SHA-256 names it.

    Raises:
        BundleError: a file of it was altered.
    """
    file = io.BytesIO()
    _pack(file, _contents(bundle.manifest, {name: bundle.read(name) for name in bundle.manifest.files}))
    return file.getvalue()


def _contents(manifest: Manifest, files: Mapping[str, bytes], base: Bundle | None = None) -> dict[str, bytes]:
    entries, shared = {name: FileEntry.of(data) for name, data in files.items()}, None
    if base is not None:
        if base.manifest.base is not None:
            raise BundleError(f"is made from that of {base.manifest.base.name}; take that as the base", file=MODEL_NAME)
        delta = make_delta(base.read(MODEL_NAME), files[MODEL_NAME])
        if len(delta) >= len(files[MODEL_NAME]):
            raise BundleError(f"has nothing in common with that of {base.label}", file=MODEL_NAME)
        of = base.manifest
        shared = Base(of.name, of.version, of.files[MODEL_NAME].sha256, FileEntry.of(delta))
        files = {name: data for name, data in files.items() if name != MODEL_NAME} | {DELTA_NAME: delta}
    return {MANIFEST_NAME: manifest.with_files(entries, shared).to_bytes(), **dict(sorted(files.items()))}


def _is_bundle(path: Path) -> bool:
    try:
        return open_container(path).size(MANIFEST_NAME) > 0
    except (BundleError, InputError):
        return False


def _write_folder(folder: Path, contents: Mapping[str, bytes]) -> None:
    folder.mkdir()
    for name, data in contents.items():
        with (folder / name).open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())


def _write_zip(path: Path, contents: Mapping[str, bytes]) -> None:
    with path.open("wb") as file:
        _pack(file, contents)
        file.flush()
        os.fsync(file.fileno())


def _pack(file: IO[bytes], contents: Mapping[str, bytes]) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, data in contents.items():
            info = zipfile.ZipInfo(name, _ZIP_EPOCH)
            info.create_system = 3  # Unix, whatever this machine is: the same content gives the same bytes
            info.external_attr = _REGULAR_FILE_644
            archive.writestr(info, data)
