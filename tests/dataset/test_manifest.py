"""Data sets as CSV and JSON lines."""

from __future__ import annotations

import json
import os
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.dataset.folders import write_photos

from binsight.dataset import Dataset, Sample, read_manifest, scan, write_manifest
from binsight.errors import DatasetError, InputError, OutputError, TaxonomyError
from binsight.taxonomy import builtin_taxonomy

SUFFIXES = ["csv", "tsv", "jsonl"]

# Anything that a file name or a cell may hold, line breaks, quotes and bytes that are no text (as surrogates) included.
characters = st.characters(exclude_characters="\0", exclude_categories=["Cs"]) | st.sampled_from(
    "\udc80\udcff,;\t\"'\n\r"
)
cells = st.text(characters, min_size=1, max_size=12).filter(lambda t: t.strip())
parts = cells.filter(lambda t: "/" not in t and t not in {".", ".."})
paths = st.lists(parts, min_size=1, max_size=3).map("/".join).filter(lambda p: os.path.normpath(p) == p)
samples = st.builds(
    Sample,
    path=paths,
    class_id=st.sampled_from(["cans", "paper", "E-waste"]),
    split=st.sampled_from([None, "train", "val", "test", "fold 3"]),
    sha256=st.none() | st.sampled_from(["0" * 64, "f" * 64]),
    width=st.none() | st.integers(1, 9999),
    height=st.none() | st.integers(1, 9999),
    format=st.none() | st.sampled_from(["JPEG", "PNG"]),
    bytes=st.none() | st.integers(0, 10**9),
    error=st.none() | cells,
    error_code=st.none() | st.just("broken"),
    extra=st.dictionaries(st.sampled_from(["source", "group", "note"]), cells, max_size=2),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder for all examples of a test."""
    return tmp_path_factory.mktemp("manifests")


@pytest.mark.parametrize("suffix", SUFFIXES)
@given(rows=st.lists(samples, min_size=1, max_size=6, unique_by=lambda s: s.path))
def test_round_trip(folder, suffix, rows):
    """What was written is read back, cell for cell."""
    classes = tuple(sorted({s.class_id for s in rows}))
    dataset = Dataset(folder, classes, tuple(rows))
    path = write_manifest(dataset, folder / f"m.{suffix}", overwrite=True)
    again = read_manifest(path)
    assert [again.file(s) for s in again] == [dataset.file(s) for s in dataset]
    assert [replace(s, path="") for s in again] == [replace(s, path="") for s in rows]


def read(tmp_path, text, name="m.csv", **options):
    """Write a manifest and read it."""
    (tmp_path / name).write_text(text, encoding="utf-8")
    return read_manifest(tmp_path / name, **options)


def test_csv(tmp_path):
    """Path, class and split are understood, other columns are kept, empty cells are not."""
    (sample,) = read(tmp_path, "path,class,split,source,group\na/1.jpg,cans,valid,web,\n")
    assert sample == Sample("a/1.jpg", "cans", "val", extra={"source": "web"})


@pytest.mark.parametrize(
    "text", ["\ufeffpath,class\n1.jpg,cans\n", "path;class\r\n1.jpg;cans\r\n", "class\tpath\ncans\t1.jpg\n"]
)
def test_csv_dialects(tmp_path, text):
    """A byte order mark, semicolons, tabs and the line ends of Windows are understood."""
    (sample,) = read(tmp_path, text)
    assert (sample.path, sample.class_id) == ("1.jpg", "cans")


@pytest.mark.parametrize(
    "text",
    [
        "path,class,,\r\na/1.jpg,cans,,\r\n,,,\r\n",
        "sep=;\r\npath;class\r\na/1.jpg;cans\r\n",
        "Path,CLASS\na\\1.jpg,cans\n",
        "path,class\n\na/1.jpg,cans,,,\n",
    ],
    ids=["empty columns and rows", "sep", "header and path", "cells too many"],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_as_spreadsheets_write_it(tmp_path, text, encoding):
    """What Excel adds does not count, and paths may be written as on Windows."""
    write_photos(tmp_path, "a/1.jpg")
    (tmp_path / "m.csv").write_bytes(text.encode(encoding))
    (sample,) = scan(tmp_path / "m.csv")
    assert (sample.path, sample.class_id, sample.error) == ("a/1.jpg", "cans", None)


@pytest.mark.parametrize("row", ["1.jpg,Métal,train", "1.jpg,x,entraîné", "é/1.jpg,x,train"])
def test_another_encoding(tmp_path, row):
    """Windows-1252 in class, split or path is refused in one line; names never become escapes."""
    (tmp_path / "m.csv").write_bytes(f"path,class,split\n{row}\n".encode("cp1252"))
    with pytest.raises(InputError, match=r"m\.csv: expected UTF-8 text.*Windows-1252"):
        scan(tmp_path / "m.csv")


@pytest.mark.skipif(os.name != "posix", reason="other systems have no such names")
def test_names_that_are_no_text(tmp_path):
    """A file that exists under a name that is not UTF-8 is found by the manifest that a scan writes."""
    photo = write_photos(tmp_path, "cans/1.jpg") / "cans/1.jpg"
    photo.rename(photo.with_name(os.fsdecode(b"caf\xe9.jpg")))
    write_manifest(scan(tmp_path), tmp_path / "m.csv")
    assert [s.error for s in scan(tmp_path / "m.csv")] == [None]


def test_spellings(tmp_path):
    """Spellings of one class or one split are said to be taken for one."""
    found = read(tmp_path, "path,class,split\n1.jpg,E-waste,TRAIN\n2.jpg,e_waste,train\n3.jpg,cans,UNASSIGNED\n")
    assert [s.split for s in found] == ["train", "train", "UNASSIGNED"]
    assert found.notes == (
        "E-waste, e_waste are taken for one class, E-waste",
        "TRAIN, train are taken for one split, train",
    )


@pytest.mark.parametrize(
    "rows", ["path,class,subset\n1.jpg,x,train\n2.jpg,x,Test", "path,class\ntrain/1.jpg,x\ntest/2.jpg,x"]
)
def test_splits_that_are_said_elsewhere(tmp_path, rows):
    """A column of another name, or the paths, may say the splits: they are not used, and a note says so."""
    found = read(tmp_path, rows)
    assert found.splits == ()
    (note,) = found.notes
    assert "is not used; if these are splits, write a column split" in note


def test_jsonl(tmp_path):
    """One object per line; numbers may be numbers."""
    rows = [
        {"path": "1.jpg", "class": "cans", "width": 5, "weight": 1.5},
        {"path": "2.jpg", "class": "cans", "split": None},
    ]
    first, second = read(tmp_path, "\n".join(map(json.dumps, rows)) + "\n\n", "m.jsonl")
    assert (first.width, dict(first.extra), second.split) == (5, {"weight": "1.5"}, None)


def test_relative_to_its_folder(tmp_path):
    """Relative paths start from the manifest's folder, absolute ones are taken as they are."""
    found = read(tmp_path, "path,class\na/1.jpg,cans\n/far/2.jpg,cans\n")
    assert [str(found.file(s)) for s in found] == [f"{tmp_path}/a/1.jpg", "/far/2.jpg"]


def test_relative_to_the_folder_above(tmp_path):
    """Paths that all begin with the name of the manifest's folder start from the folder above it."""
    folder = tmp_path / "waste"
    write_photos(folder, "train/cans/1.jpg")
    assert read(folder, "path,class\nwaste/train/cans/1.jpg,cans\n").root == tmp_path
    assert all(s.error is None for s in scan(folder / "m.csv"))


def test_missing_photos(tmp_path):
    """A photo that is listed and does not exist is a row with an error."""
    write_photos(tmp_path, "a/1.jpg")
    (tmp_path / "m.csv").write_text("path,class,source\na/1.jpg,cans,web\na/2.jpg,cans,web\n")
    there, missing = scan(tmp_path / "m.csv")
    assert (there.error, there.width, dict(there.extra)) == (None, 24, {"source": "web"})
    assert missing.error_code == "unreadable"


def test_taxonomy(tmp_path):
    """Class names are matched to a taxonomy, unknown ones reported with a suggestion."""
    assert read(tmp_path, "path,class\n1.jpg,E-Waste\n", taxonomy=builtin_taxonomy()).samples[0].class_id == "ewaste"
    with pytest.raises(TaxonomyError, match="did you mean ewaste"):
        read(tmp_path, "path,class\n1.jpg,wastes\n", taxonomy=builtin_taxonomy())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty file"),
        ("file,label\n1.jpg,cans\n", "expected the columns path and class, got file, label"),
        ("path,class,path\n1.jpg,cans,2.jpg\n", "occur twice: path"),
        ("path,class\n1.jpg\n", "line 2: expected 2 columns, got 1"),
        ('path,class\n"1.jpg,cans\n', "line 2: unexpected end of data"),
        (
            "path,class\n,cans\n1.jpg, \n1.jpg,cans\n",
            r"line 2: no path; line 3: no class; line 4: 1.jpg was already on line 3",
        ),
        ("path,class,width\n1.jpg,cans,wide\n", "line 2: width 'wide' is no whole number"),
        ("path,class\n" + ",cans\n" * 20, "and 10 more"),
    ],
)
def test_malformed_csv(tmp_path, text, message):
    """A malformed manifest is refused with the line and what is wrong."""
    with pytest.raises(DatasetError, match=message):
        read(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "message"), [("", "empty"), ("{", "line 1: not JSON"), ("\n[1]", "line 2: expected an object")]
)
def test_malformed_jsonl(tmp_path, text, message):
    """The same for JSON lines."""
    with pytest.raises(DatasetError, match=message):
        read(tmp_path, text, "m.jsonl")


def test_other_suffix(tmp_path):
    """A manifest has one of the known suffixes."""
    with pytest.raises(DatasetError, match=r"ends in .csv"):
        read(tmp_path, "path,class\n", "m.txt")
    with pytest.raises(OutputError, match=r"ends in .csv"):
        write_manifest(Dataset(tmp_path, ("a",), ()), tmp_path / "m.txt")


def test_no_manifest(tmp_path):
    """A manifest that cannot be read is an input error."""
    with pytest.raises(InputError, match="cannot read"):
        read_manifest(tmp_path / "m.csv")


def test_existing_output(tmp_path):
    """An existing file is replaced only when that is asked for, and no draft is left behind."""
    dataset = Dataset(tmp_path, ("a",), (Sample("1.jpg", "a"),))
    (tmp_path / "m.csv").write_text("mine")
    with pytest.raises(OutputError, match="--overwrite"):
        write_manifest(dataset, tmp_path / "m.csv")
    assert (tmp_path / "m.csv").read_text() == "mine"
    write_manifest(dataset, tmp_path / "m.csv", overwrite=True)
    assert [p.name for p in tmp_path.iterdir()] == ["m.csv"]


def test_paths_from_elsewhere(tmp_path):
    """Photos below the manifest's folder are written with relative paths, others with absolute ones."""
    dataset = Dataset(tmp_path / "photos", ("a",), (Sample("1.jpg", "a"),))
    assert read_manifest(write_manifest(dataset, tmp_path / "m.csv")).samples[0].path == "photos/1.jpg"
    outside = write_manifest(dataset, tmp_path / "other/m.csv")
    assert read_manifest(outside).samples[0].path == f"{tmp_path}/photos/1.jpg"
