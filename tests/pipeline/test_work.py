"""The work folder: what is kept, for whom, and what is left alone."""

from __future__ import annotations

import json

import numpy as np
import pytest

from binsight.errors import OutputError
from binsight.pipeline.work import Work, key_of


@pytest.fixture
def work(tmp_path):
    """A new work folder."""
    return Work.open(tmp_path / "w")


def test_what_was_kept_is_found_again(work):
    """Values and arrays, under their stage and key."""
    work.remember("data", "k", {"a": [1, None]})
    work.remember_arrays("heads", "k", {"w": np.arange(3.0)})
    again = Work.open(work.root, resume=True)
    assert again.recall("data", "k") == {"a": [1, None]}
    np.testing.assert_array_equal(again.recall_arrays("heads", "k")["w"], np.arange(3.0))


def test_another_key_finds_nothing(work):
    """What was made from other data or settings does not count."""
    work.remember("data", "k", 1)
    work.remember_arrays("heads", "k", {"w": np.zeros(1)})
    assert work.recall("data", "other") is None
    assert work.recall_arrays("heads", "other") is None
    assert work.recall("never", "k") is None
    assert work.recall_arrays("never", "k") is None


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b"PK\x03\x04"])
def test_a_damaged_file_is_no_result(work, damage):
    """The stage is done again."""
    work.remember("data", "k", 1)
    work.remember_arrays("heads", "k", {"w": np.zeros(1)})
    (work.root / "data.json").write_bytes(damage)
    (work.root / "heads.npz").write_bytes(damage)
    assert work.recall("data", "k") is None
    assert work.recall_arrays("heads", "k") is None


def test_an_earlier_run_is_neither_mixed_in_nor_lost(work):
    """Without --resume it is refused; with --overwrite it is emptied."""
    work.remember("data", "k", 1)
    work.remember_arrays("heads-k", "k", {"w": np.zeros(1)})
    with pytest.raises(OutputError, match="--resume to continue it, or --overwrite"):
        Work.open(work.root)
    assert work.recall("data", "k") == 1
    emptied = Work.open(work.root, overwrite=True)
    assert emptied.recall("data", "k") is None
    assert [entry.name for entry in emptied.root.iterdir()] == [".binsight-work.json"]


def test_a_run_that_trained_nothing_is_not_in_the_way(work):
    """It failed before: what it found out of the photos is kept, as it is for whoever comes with the same ones."""
    work.remember("data", "k", 1)
    (work.folder("features") / "f.npz").write_bytes(b"x")
    assert Work.open(work.root).recall("data", "k") == 1
    assert Work.open(work.root, overwrite=True).recall("data", "k") is None


@pytest.mark.parametrize("options", [{}, {"resume": True}, {"overwrite": True}])
def test_a_folder_of_the_users_is_left_alone(tmp_path, options):
    """Whatever is asked for."""
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(OutputError, match="was not made by binsight"):
        Work.open(tmp_path, **options)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_an_empty_folder_will_do(tmp_path):
    """It need not be new."""
    assert Work.open(tmp_path).root == tmp_path


def test_what_cannot_be_written_is_one_line(tmp_path):
    """A file where the folder should be."""
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write"):
        Work.open(tmp_path / "file" / "w")


def test_resuming_needs_no_earlier_run(tmp_path):
    """It then begins."""
    assert Work.open(tmp_path / "new", resume=True).recall("data", "k") is None


def test_keys_depend_on_values_only():
    """Not on the order of a dictionary."""
    assert key_of({"a": 1, "b": [2]}) == key_of({"b": [2], "a": 1})
    assert key_of({"a": 1}) != key_of({"a": 2})
    assert key_of(1, 2) != key_of([1, 2])


def test_files_say_what_they_are_of(work):
    """Readable JSON."""
    work.remember("data", "k", {"a": 1})
    assert json.loads((work.root / "data.json").read_text()) == {"key": "k", "value": {"a": 1}}
