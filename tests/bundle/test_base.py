"""Bundles whose network is made from that of a bundle in the package."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from onnx import numpy_helper
from tests.bundle.corrupt import files_of, seal, write_raw
from tests.tiny_bundle import tiny_bundle, tiny_files, tiny_manifest, tiny_model

from binsight.bundle import load_bundle, pack_bundle, verify_bundle, write_bundle
from binsight.bundle.constants import replace_constants
from binsight.bundle.container import DELTA_NAME
from binsight.errors import BundleError
from binsight.predictor import Predictor


@pytest.fixture
def packaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package with one bundle, `tiny`."""
    models = tmp_path / "models"
    monkeypatch.setattr("binsight.bundle.bundle._BUILTIN", models)
    return tiny_bundle(models / "tiny")


@pytest.fixture(params=["shared", "shared.zip"])
def shared(tmp_path: Path, packaged: Path, request: pytest.FixtureRequest) -> Path:
    """A bundle with the same network but for its head, of which only that is stored."""
    return write_bundle(
        tmp_path / request.param, tiny_manifest(name="other"), {**tiny_files(), "model.onnx": other_network()},
        base=load_bundle(packaged),
    )  # fmt: skip


def other_network() -> bytes:
    """The tiny network, whose head is half as sure."""
    model = tiny_model().SerializeToString()
    (head,) = (c for c in tiny_model().graph.initializer if c.name == "head")
    return replace_constants(model, {"head": numpy_helper.to_array(head) / 2})


def test_it_reads_as_if_it_were_whole(shared: Path, packaged: Path) -> None:
    """Its network is the one that was given, its files are listed as ever; stored is a fraction of it."""
    bundle = load_bundle(shared)
    assert bundle.read("model.onnx") == other_network()
    assert sorted(bundle.manifest.files) == ["card.md", "model.onnx"]
    assert bundle.manifest.base is not None
    assert bundle.manifest.base.delta.size < len(other_network()) / 2
    assert verify_bundle(shared) == []
    whole = load_bundle(packaged)
    assert bundle.manifest.base.sha256 == whole.manifest.files["model.onnx"].sha256


def test_it_predicts(shared: Path, tmp_path: Path) -> None:
    """A predictor opens it as any bundle."""
    whole = pack_bundle(shared, tmp_path / "whole")
    assert Predictor(load_bundle(shared)).bundle.manifest.files == Predictor(load_bundle(whole)).bundle.manifest.files


def test_packed_it_is_whole_again(shared: Path, tmp_path: Path) -> None:
    """A copy needs no other bundle, and older readers know its format."""
    whole = pack_bundle(shared, tmp_path / "whole")
    assert sorted(files_of(whole)) == ["bundle.json", "card.md", "model.onnx"]
    assert json.loads((whole / "bundle.json").read_bytes())["format"] == 1
    assert load_bundle(whole).manifest.base is None


def test_older_readers_refuse_its_number(shared: Path) -> None:
    """They say that they know another format, and nothing of missing files."""
    assert load_bundle(shared).manifest.to_dict()["format"] == 2


def test_another_version_of_the_base_is_refused(shared: Path, packaged: Path) -> None:
    """A network is never made from one that it was not told from."""
    write_bundle(packaged, tiny_manifest(), {**tiny_files(), "model.onnx": other_network()}, overwrite=True)
    [fault] = verify_bundle(shared)
    assert fault.file == "model.onnx"
    assert fault.message.startswith("made from the network of tiny 1.0.0, which this version of binsight has not")


def test_without_the_base_it_is_refused(shared: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """And a folder beside it does not take its place."""
    monkeypatch.setattr("binsight.bundle.bundle._BUILTIN", tmp_path / "none")
    with pytest.raises(BundleError, match="this version of binsight has not"):
        load_bundle(shared).read("model.onnx")


def test_a_base_that_is_itself_made_from_another_is_refused(shared: Path, packaged: Path, tmp_path: Path) -> None:
    """When it is written and, should the package change, when it is read: so none can be made from itself."""
    other = tiny_bundle(packaged.parent / "other")
    write_bundle(packaged, tiny_manifest(), tiny_files(), base=load_bundle(other), overwrite=True)
    assert [fault.file for fault in verify_bundle(shared)] == ["model.onnx"]
    with pytest.raises(BundleError, match="is made from that of tiny; take that as the base"):
        write_bundle(tmp_path / "last", tiny_manifest(), tiny_files(), base=load_bundle(packaged))


@pytest.mark.parametrize("change", ["altered", "longer", "missing"])
def test_altered_differences_are_a_fault(shared: Path, tmp_path: Path, packaged: Path, change: str) -> None:
    """Their size and digest are in the manifest, as those of every file."""
    folder = write_bundle(tmp_path / "f", tiny_manifest(), tiny_files(), base=load_bundle(packaged))
    file = folder / DELTA_NAME
    data = file.read_bytes()
    file.write_bytes({"altered": data[:-1] + bytes([data[-1] ^ 1]), "longer": data + b"x", "missing": b""}[change])
    if change == "missing":
        file.unlink()
    assert [fault.file for fault in verify_bundle(folder)] == [DELTA_NAME]


def test_a_whole_network_beside_the_differences_is_a_fault(packaged: Path, tmp_path: Path) -> None:
    """There is one place where a network may be."""
    folder = write_bundle(tmp_path / "f", tiny_manifest(), tiny_files(), base=load_bundle(packaged))
    (folder / "model.onnx").write_bytes(other_network())
    [fault] = verify_bundle(folder)
    assert (fault.file, fault.message) == ("model.onnx", "the manifest does not list it")


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("name", "../tiny", "base.name must match"),
        ("version", 3, "base.version must match"),
        ("sha256", "0" * 63, "base.sha256: expected 64"),
        ("delta", {"sha256": "0" * 64, "bytes": -1}, "model.onnx.delta: bytes must be"),
        ("delta", {"sha256": "x", "bytes": 1}, "model.onnx.delta: sha256 must be"),
        ("more", 1, "more"),
    ],
)
def test_a_malformed_base_is_refused(packaged: Path, tmp_path: Path, key: str, value: object, words: str) -> None:
    """The manifest is checked as a whole before anything else is read."""
    folder = write_bundle(tmp_path / "f", tiny_manifest(), tiny_files(), base=load_bundle(packaged))
    files = files_of(folder)
    raw = json.loads(files["bundle.json"])
    raw["base"][key] = value
    changed = write_raw(tmp_path / "changed", {**files, "bundle.json": seal(raw)})
    with pytest.raises(BundleError, match=words):
        load_bundle(changed)


@pytest.mark.parametrize(("number", "has_base"), [(1, True), (2, False)])
def test_format_and_base_go_together(packaged: Path, tmp_path: Path, number: int, has_base: bool) -> None:
    """Format 1 has no base, format 2 always one."""
    folder = write_bundle(tmp_path / "f", tiny_manifest(), tiny_files(), base=load_bundle(packaged))
    raw = {**json.loads((folder / "bundle.json").read_bytes()), "format": number}
    if not has_base:
        del raw["base"]
    (folder / "bundle.json").write_bytes(seal(raw))
    with pytest.raises(BundleError, match="base"):
        load_bundle(folder)


def test_a_network_that_has_nothing_in_common_stays_whole(packaged: Path, tmp_path: Path) -> None:
    """Differences as large as the network are of no use."""
    with pytest.raises(BundleError, match=r"nothing in common with that of tiny 1\.0\.0"):
        write_bundle(
            tmp_path / "f", tiny_manifest(), {**tiny_files(), "model.onnx": b"\x07" * 300}, base=load_bundle(packaged)
        )
    assert not (tmp_path / "f").exists()
