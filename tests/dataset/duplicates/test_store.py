"""What is remembered by content."""

from __future__ import annotations

import pytest

from binsight.dataset.duplicates.store import ContentStore
from binsight.errors import OutputError


def test_values_survive_closing(tmp_path):
    """What was put is found after the file is opened again, by kind and key."""
    with ContentStore.open(tmp_path / "new" / "c.sqlite") as store:
        store.put("a", {"k": b"1", "l": b"2"})
        store.put("b", {"k": b"3"})
    with ContentStore.open(tmp_path / "new" / "c.sqlite") as store:
        assert store.get("a", ["k", "l", "missing"]) == {"k": b"1", "l": b"2"}
        assert store.get("b", ["k"]) == {"k": b"3"}


def test_more_keys_than_one_query_takes(tmp_path):
    """1,200 keys are found in one call."""
    values = {str(i): b"x" for i in range(1200)}
    with ContentStore.open(tmp_path / "c.sqlite") as store:
        store.put("a", values)
        assert store.get("a", list(values)) == values


def test_a_file_that_is_no_store_is_refused(tmp_path):
    """Another file is not overwritten; the message names it."""
    file = tmp_path / "notes.txt"
    file.write_text("not a database " * 100)
    with pytest.raises(OutputError, match=r"notes\.txt"), ContentStore.open(file):
        pass
    assert file.read_text().startswith("not a database")
