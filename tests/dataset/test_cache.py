"""What is remembered of photos, and what happens when it cannot be."""

from __future__ import annotations

import os
import sqlite3
import time

import pytest

from binsight.dataset import cache as module
from binsight.dataset.cache import PhotoCache, is_cache
from binsight.errors import OutputError
from binsight.notes import Note

VALUES = {str(i).encode(): i.to_bytes(2, "big") * 25 for i in range(1200)}


@pytest.fixture
def file(tmp_path):
    """Return a cache with 1,200 values."""
    path = tmp_path / "new/photos.sqlite"
    with PhotoCache.open(path) as cache:
        cache.put("a", VALUES)
        cache.put("b", {b"0": b"other"})
    return path


def test_values_survive_closing(file):
    """What was put is found after the file is opened again, by kind and key, however many are asked for."""
    with PhotoCache.open(file) as cache:
        assert cache.get("a", [*VALUES, b"missing"]) == VALUES
        assert cache.get("b", list(VALUES)) == {b"0": b"other"}


def test_none():
    """Without a file nothing is remembered, and nothing said."""
    with PhotoCache.open(None) as cache:
        cache.put("a", VALUES)
        assert cache.get("a", list(VALUES)) == {}


def test_files_of_others(tmp_path):
    """A text, a database of somebody else's and a folder are refused, and stay what they were."""
    text, other, folder = tmp_path / "notes.txt", tmp_path / "mail.sqlite", tmp_path / "folder"
    text.write_text("notes " * 999)
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE letters (text)")
    connection.close()
    folder.mkdir()
    before = text.read_bytes(), other.read_bytes()
    for path in (text, other, folder):
        with pytest.raises(OutputError, match="is no cache of binsight and is left as it is"), PhotoCache.open(path):
            pass
    assert (text.read_bytes(), other.read_bytes()) == before


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="other systems have no such files")
def test_pipe(tmp_path):
    """A pipe is refused without being opened."""
    os.mkfifo(tmp_path / "pipe")
    assert not is_cache(tmp_path / "pipe")


@pytest.mark.parametrize("damage", ["pages", "header", "cut off", "first bytes", "empty"])
def test_damaged(file, damage):
    """A damaged cache gives nothing wrong, says nothing, and is one again after it was used."""
    data = file.read_bytes()
    damaged = {
        "pages": data[:4096] + b"\x5a" * (len(data) - 4096),
        "header": b"\x5a" * 50 + data[50:],
        "cut off": data[: len(data) // 2 + 7],
        "first bytes": data[:100],
        "empty": b"",
    }
    file.write_bytes(damaged[damage])
    with PhotoCache.open(file) as cache:
        assert cache.get("a", list(VALUES)).items() <= VALUES.items()
        cache.put("a", VALUES)
    with PhotoCache.open(file) as cache:
        assert cache.get("a", list(VALUES)) == VALUES


def test_altered_value(file):
    """A value of which a byte changed on the disk is not given: SQLite itself would not notice."""
    data = file.read_bytes()
    assert data.count(VALUES[b"77"]) == 1
    file.write_bytes(data.replace(VALUES[b"77"], VALUES[b"77"][:-1] + b"!"))
    with PhotoCache.open(file) as cache:
        assert cache.get("a", [b"77", b"78"]) == {b"78": VALUES[b"78"]}


def test_locked(file, monkeypatch):
    """A cache that another program holds on to is done without after a moment, said once."""
    monkeypatch.setattr(module, "_BUSY_TIMEOUT_S", 0.05)
    with sqlite3.connect(file, isolation_level=None) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        began = time.monotonic()
        with PhotoCache.open(file) as cache:
            with pytest.warns(Note, match="locked"):
                assert cache.get("a", [b"1"]) == {}
            cache.put("a", VALUES)  # a second warning would be an error
    holder.close()
    assert time.monotonic() - began < 2


def test_full_disk(file, monkeypatch):
    """A disk that is full is said once, and what was kept before stays."""

    def refuse(*_):
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(module, "_insert", refuse)
    with PhotoCache.open(file) as cache:
        with pytest.warns(Note, match="disk is full"):
            cache.put("a", {b"x": b"1"})
        cache.put("a", {b"y": b"1"})  # a second warning would be an error
    with PhotoCache.open(file) as cache:
        assert cache.get("a", list(VALUES)) == VALUES
