"""A bundle, read: its manifest, and its files on demand."""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from binsight.bundle.container import (
    DELTA_NAME,
    MANIFEST_NAME,
    MAX_MANIFEST_BYTES,
    MODEL_NAME,
    Container,
    FileEntry,
    open_container,
)
from binsight.bundle.delta import apply_delta
from binsight.bundle.graph import refuse_external_data
from binsight.bundle.manifest import Base, Manifest
from binsight.errors import BundleError, InputError

__all__ = ["Bundle", "builtin_bundles", "load_bundle", "read_manifest", "resolve_bundle"]

_BUILTIN = resources.files("binsight").joinpath("models")


@dataclass(frozen=True)
class Bundle:
    """A model bundle whose manifest has been checked; every file is checked when it is read.

    Attributes:
        path: the folder or zip it was read from.
        manifest: the content of `bundle.json`.
    """

    path: Path
    manifest: Manifest
    _container: Container

    @property
    def label(self) -> str:
        """Name and version, as people write them."""
        return f"{self.manifest.name} {self.manifest.version}"

    def read(self, name: str) -> bytes:
        """The content of a file, after its size and SHA-256 were checked.

        Raises:
            BundleError: the manifest does not list it, or it is missing or altered; or it is made from the network of
                a bundle that is not in the package.
        """
        entry = self.manifest.files.get(name)
        if entry is None:
            raise BundleError("the manifest does not list it", file=name)
        if self.manifest.base is None or name != MODEL_NAME:
            return self._read(name, entry)
        delta = self._read(DELTA_NAME, self.manifest.base.delta)
        data = apply_delta(_network_of(self.manifest.base), delta, entry.size)
        entry.check(name, data)
        return data

    def _read(self, name: str, entry: FileEntry) -> bytes:
        size = self._container.size(name)
        if size != entry.size:
            raise BundleError(f"expected {entry.size:,} bytes, got {size:,}", file=name)
        data = self._container.read(name)
        entry.check(name, data)
        return data

    def read_model(self, name: str = MODEL_NAME) -> bytes:
        """The bytes of an ONNX network, checked, and known to be self-contained.

        Raises:
            BundleError: missing, altered, not ONNX, or with external data.
        """
        data = self.read(name)
        try:
            refuse_external_data(data)
        except BundleError as error:
            raise BundleError(str(error), file=name) from error
        return data


def load_bundle(path: str | Path) -> Bundle:
    """Read the bundle at `path`, a folder or a zip.

    Raises:
        InputError: there is nothing there.
        BundleError: the manifest is malformed or was altered.
    """
    path = Path(path)
    try:
        container = open_container(path)
        return Bundle(path, read_manifest(container), container)
    except BundleError as error:
        located = BundleError(f"{path}: {error}")
        located.file = error.file
        raise located from error


def read_manifest(container: Container) -> Manifest:
    """The manifest of an opened container.

    Raises:
        BundleError: it is missing, too large, malformed or altered.
    """
    if container.size(MANIFEST_NAME) > MAX_MANIFEST_BYTES:
        raise BundleError(f"expected at most {MAX_MANIFEST_BYTES:,} bytes", file=MANIFEST_NAME)
    manifest = Manifest.from_bytes(container.read(MANIFEST_NAME))
    if MODEL_NAME not in manifest.files:
        raise BundleError(f"files: expected {MODEL_NAME}", file=MANIFEST_NAME)
    return manifest


def _network_of(base: Base) -> bytes:
    """The network that another is made from: that of a bundle in the package, and of no other place."""
    if base.name in builtin_bundles():
        bundle = load_bundle(str(_BUILTIN.joinpath(base.name)))
        if bundle.manifest.base is None and bundle.manifest.files[MODEL_NAME].sha256 == base.sha256:
            return bundle.read(MODEL_NAME)
    raise BundleError(
        f"made from the network of {base.name} {base.version}, which this version of binsight has not; in the version "
        "that has it, binsight model pack writes the bundle whole",
        file=MODEL_NAME,
    )


def builtin_bundles() -> list[str]:
    """The names of the bundles that come with the package."""
    if not _BUILTIN.is_dir():
        return []
    return sorted(entry.name for entry in _BUILTIN.iterdir() if entry.joinpath(MANIFEST_NAME).is_file())


def resolve_bundle(name_or_path: str | Path) -> Path:
    """Where a bundle is: a path as given, or else the bundle of that name in the package.

    A folder that holds no bundle, such as a data set named like the model trained on it, does not hide the package's.

    Raises:
        InputError: neither exists.
    """
    name, builtin = str(name_or_path), builtin_bundles()
    # Unlike those of `Path`, these also answer for a name that no file can have.
    is_other_folder = os.path.isdir(name) and not os.path.lexists(os.path.join(name, MANIFEST_NAME))  # noqa: PTH112, PTH118
    if name in builtin and (is_other_folder or not os.path.exists(name)):  # noqa: PTH110
        return Path(str(_BUILTIN.joinpath(name)))
    if os.path.exists(name):  # noqa: PTH110
        return Path(name)
    raise InputError(
        f"no model bundle at {name!r}, and none of that name in the package, which has {', '.join(builtin) or 'none'}"
    )
