"""Puts ONNX Runtime for browsers into the wheel: fetched from the npm registry, and checked, when the wheel is built.

The repository holds no copy: it would be 4 MB that nobody can read. Where there is no internet, the npm package's
archive comes from a file: `BINSIGHT_ONNXRUNTIME_WEB=onnxruntime-web-1.30.0.tgz pip install ./web-offline`.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import os
import tarfile
import tempfile
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

FILE = "BINSIGHT_ONNXRUNTIME_WEB"
REGISTRY = "NPM_CONFIG_REGISTRY"
_NPM = "https://registry.npmjs.org"
_ATTEMPTS = 3
_MODULE = '"""ONNX Runtime for browsers; binsight\'s web page reads the files beside this one."""\n'


class RuntimeHook(BuildHookInterface):  # type: ignore[type-arg]
    """What hatchling calls before it writes the wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the runtime's files, compressed as they are served; an editable installation gets the same."""
        name, number = self.config["package"], self.metadata.version
        archive = read_archive(f"{name}/-/{name}-{number}.tgz", os.environ)
        contents = unpack(archive, self.config["integrity"], self.config["files"])
        folder = Path(tempfile.mkdtemp(prefix="binsight-web-offline-"))
        contents["__init__.py"] = _MODULE.encode()
        included = build_data["force_include_editable" if version == "editable" else "force_include"]
        for file, content in contents.items():
            (folder / file).write_bytes(content)
            included[str(folder / file)] = f"binsight_web_offline/{file}"


def read_archive(place: str, environment: Mapping[str, str]) -> bytes:
    """The npm package's archive: the file that the environment names, or what the registry has at `place`."""
    if path := environment.get(FILE):
        try:
            return Path(path).read_bytes()
        except OSError as error:
            raise SystemExit(f"{FILE}: cannot read {path}: {error.strerror or error}") from error
    registry = environment.get(REGISTRY) or environment.get(REGISTRY.lower()) or _NPM
    address = f"{registry.rstrip('/')}/{place}"
    if not address.startswith(("https://", "http://")):
        raise SystemExit(f"{REGISTRY}: expected an address that begins with https://, got {registry}")
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            with urllib.request.urlopen(address, timeout=60) as answer:  # noqa: S310 - one of the two above
                return bytes(answer.read())
        except OSError as error:
            if attempt == _ATTEMPTS:
                advice = f"fetch it elsewhere and set {FILE} to its path"
                raise SystemExit(f"cannot fetch {address} ({error}); {advice}") from error
    raise AssertionError("unreachable")


def unpack(archive: bytes, integrity: str, files: Sequence[str]) -> dict[str, bytes]:
    """The wanted files of the npm package, compressed: name → content.

    Args:
        archive: the package as npm has it.
        integrity: what it must be, as npm writes it: `sha512-` and the digest in base 64.
        files: names below its folder `dist`.
    """
    found = "sha512-" + base64.b64encode(hashlib.sha512(archive).digest()).decode()
    if found != integrity:
        raise SystemExit(f"not the archive that was reviewed: expected {integrity}, got {found}")
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as package:
        members = {name: package.extractfile(f"package/dist/{name}") for name in files}
        return {f"{name}.gz": gzip.compress(member.read(), 9, mtime=0) for name, member in members.items() if member}
