"""A split as folders."""

from __future__ import annotations

import json

import pytest
from tests.dataset.folders import write_photos

from binsight.dataset import read_manifest, scan
from binsight.dataset.materialise import materialise
from binsight.dataset.split import split
from binsight.errors import DatasetError, OutputError


@pytest.fixture
def divided(tmp_path):
    """Return eleven photos of one class, split."""
    root = write_photos(tmp_path / "data", *(f"cans/{i}.jpg" for i in range(10)), "cans/more/1.jpg")
    return split(scan(root), val=0.2, test=0.2)


@pytest.mark.parametrize("mode", ["copy", "link"])
def test_folders(tmp_path, divided, mode):
    """Every photo is below its split and class, with the same bytes, and the originals are untouched."""
    before = {p: p.read_bytes() for p in (tmp_path / "data").rglob("*.jpg")}
    out = materialise(divided, tmp_path / "out", mode=mode)
    again = scan(out)
    assert again.counts() == divided.counts()
    assert sorted(s.sha256 for s in again) == sorted(s.sha256 for s in divided)
    assert {p: p.read_bytes() for p in before} == before
    assert all((out / s.path).is_symlink() == (mode == "link") for s in again)


def test_manifest(tmp_path, divided):
    """The folder has a manifest of its own, with the groups."""
    out = materialise(divided, tmp_path / "out")
    assert scan(out / "manifest.csv").counts() == divided.counts()


def test_same_names(tmp_path):
    """Photos of one name in one class and split get names of their own."""
    root = write_photos(tmp_path / "data", "train/cans/a/1.jpg", "train/cans/b/1.JPG", "train/cans/1.jpg")
    out = materialise(scan(root), tmp_path / "out")
    assert sorted(p.name.lower() for p in (out / "train/cans").iterdir()) == ["1-2.jpg", "1-3.jpg", "1.jpg"]


def test_existing_folder(tmp_path, divided):
    """A folder that was made here is replaced on request, any other never."""
    out = materialise(divided, tmp_path / "out")
    (out / "train/old.txt").write_text("x")
    with pytest.raises(OutputError, match="--overwrite"):
        materialise(divided, out)
    assert not (materialise(divided, out, overwrite=True) / "train/old.txt").exists()
    (tmp_path / "mine").mkdir()
    with pytest.raises(OutputError, match="was not made by binsight"):
        materialise(divided, tmp_path / "mine", overwrite=True)


@pytest.mark.parametrize("name", ["../../../ESC", "/ESC", "C:\\ESC", "..", "nul", "a\0b", "x/y"])
@pytest.mark.parametrize("column", ["class", "split"])
def test_names_that_lead_elsewhere(tmp_path, name, column):
    """A manifest's class or split that is no folder name is refused before anything is written."""
    write_photos(tmp_path / "deep/data", "cans/1.jpg")
    row = {"path": "cans/1.jpg", "class": "cans", "split": "train"} | {column: name}
    (tmp_path / "deep/data/m.jsonl").write_text(json.dumps(row))
    with pytest.raises(DatasetError, match="classes and splits become folders here"):
        materialise(read_manifest(tmp_path / "deep/data/m.jsonl"), tmp_path / "deep/out")
    assert {p.name for p in tmp_path.rglob("*")} == {"deep", "data", "cans", "1.jpg", "m.jsonl"}


def test_into_itself(tmp_path, divided):
    """A folder is not replaced by a split of the photos that it holds."""
    out = materialise(divided, tmp_path / "out")
    with pytest.raises(OutputError, match="this very data set"):
        materialise(scan(out), out, overwrite=True)


def test_vanished_photo(tmp_path, divided):
    """When a photo is gone, nothing is made."""
    divided.file(divided.samples[3]).unlink()
    with pytest.raises(OutputError, match="cannot make"):
        materialise(divided, tmp_path / "out")
    assert [p.name for p in tmp_path.iterdir()] == ["data"]


def test_no_split(tmp_path):
    """A data set without splits has no such folders."""
    with pytest.raises(DatasetError, match="no sample has a split"):
        materialise(scan(write_photos(tmp_path, "cans/1.jpg")), tmp_path / "out")
