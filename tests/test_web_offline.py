"""The package of the extra `web-offline`: what its build takes, and what it refuses."""

from __future__ import annotations

import base64
import gzip
import hashlib
import importlib.util
import io
import sys
import tarfile
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

FOLDER = Path(__file__).parents[1] / "web-offline"
FILES = {"ort.mjs": b"export {};", "ort.wasm": b"\0asm"}


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the build's own module, with what it needs of hatchling played."""
    place = "hatchling.builders.hooks.plugin.interface"
    played = ModuleType(place)
    played.BuildHookInterface = object  # type: ignore[attr-defined]
    for name in (*(place.rsplit(".", n)[0] for n in range(1, 5)), place):
        monkeypatch.setitem(sys.modules, name, played if name == place else ModuleType(name))
    spec = importlib.util.spec_from_file_location("web_offline_build", FOLDER / "hatch_build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def archive() -> bytes:
    """Return a package as npm packs it."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as package:
        for name, content in (FILES | {"more.js": b"1"}).items():
            member = tarfile.TarInfo(f"package/dist/{name}")
            member.size = len(content)
            package.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def integrity(archive: bytes) -> str:
    """Return what npm calls the digest."""
    return "sha512-" + base64.b64encode(hashlib.sha512(archive).digest()).decode()


def test_takes_two_files(hook: Any, archive: bytes) -> None:
    """Compressed, the same bytes each time, and nothing else of the archive."""
    found = hook.unpack(archive, integrity(archive), list(FILES))
    assert {name: gzip.decompress(content) for name, content in found.items()} == {
        f"{name}.gz": content for name, content in FILES.items()
    }
    assert found == hook.unpack(archive, integrity(archive), list(FILES))


def test_refuses_another_archive(hook: Any, archive: bytes) -> None:
    """One that is not, byte for byte, what was reviewed."""
    with pytest.raises(SystemExit, match="not the archive that was reviewed"):
        hook.unpack(archive + b"\0", integrity(archive), list(FILES))


def test_comes_from_a_file(hook: Any, archive: bytes, tmp_path: Path) -> None:
    """Where there is no internet; one that is missing is told by its name."""
    path = tmp_path / "ort.tgz"
    path.write_bytes(archive)
    assert hook.read_archive("any", {hook.FILE: str(path)}) == archive
    with pytest.raises(SystemExit, match=r"cannot read .*missing\.tgz: No such file"):
        hook.read_archive("any", {hook.FILE: str(tmp_path / "missing.tgz")})


def test_registry_away(hook: Any) -> None:
    """What to do instead is said."""
    with pytest.raises(SystemExit, match=r"cannot fetch http://127\.0\.0\.1:9/x\.tgz .*set BINSIGHT_ONNXRUNTIME_WEB"):
        hook.read_archive("x.tgz", {"NPM_CONFIG_REGISTRY": "http://127.0.0.1:9"})
    with pytest.raises(SystemExit, match="expected an address that begins with https://"):
        hook.read_archive("x.tgz", {"npm_config_registry": "file:///etc"})


def test_is_pinned() -> None:
    """By version and digest; the README of the package names the same version."""
    project = tomllib.loads((FOLDER / "pyproject.toml").read_text("utf-8"))
    settings = project["tool"]["hatch"]["build"]["targets"]["wheel"]["hooks"]["custom"]
    assert len(base64.b64decode(settings["integrity"].removeprefix("sha512-"))) == 64
    assert f"onnxruntime-web-{project['project']['version']}.tgz" in (FOLDER / "README.md").read_text("utf-8")
    extras = tomllib.loads((FOLDER.parent / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    assert extras["web-offline"] == [project["project"]["name"] + " @ {root:uri}/web-offline"]
