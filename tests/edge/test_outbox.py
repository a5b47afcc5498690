"""The store of an edge device."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import pytest

from binsight.edge.outbox import Outbox
from binsight.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PHOTO = b"x" * 1000


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Where it is."""
    return tmp_path / "edge.sqlite"


@pytest.fixture
def outbox(store: Path) -> Iterator[Outbox]:
    """Return an empty one."""
    found = Outbox(store, max_bytes=1_000_000)
    yield found
    found.close()


def test_results_come_out_in_their_order_with_their_numbers(outbox: Outbox) -> None:
    """Those with a picture apart from those without."""
    assert [outbox.put({"a": 1}), outbox.put({"a": 2}, PHOTO), outbox.put({"a": 3})] == [1, 2, 3]
    plain, asked = outbox.first(with_photo=False), outbox.first(with_photo=True)
    assert plain is not None
    assert asked is not None
    assert (plain.message, plain.photo) == ({"a": 1, "seq": 1}, None)
    assert (asked.message, asked.photo) == ({"a": 2, "seq": 2}, PHOTO)
    outbox.remove(1)
    outbox.settle(2, {"a": 20, "seq": 2})
    following = outbox.first(with_photo=False)
    assert following is not None
    assert following.message == {"a": 20, "seq": 2}
    assert outbox.first(with_photo=True) is None


def test_a_number_is_never_given_again(outbox: Outbox, store: Path) -> None:
    """Not after all was taken, and not after a restart."""
    outbox.remove(outbox.put({}))
    outbox.close()
    again = Outbox(store, max_bytes=1_000_000)
    assert again.put({}) == 2
    assert again.waiting() == 1
    again.close()


def test_without_room_pictures_go_first_then_the_oldest_results(store: Path) -> None:
    """And both are counted."""
    outbox = Outbox(store, max_bytes=2500)
    for number in range(3):
        outbox.put({"n": number}, PHOTO)
    assert outbox.dropped() == {"photos": 1, "results": 0}
    oldest = outbox.first(with_photo=False)
    assert oldest is not None
    assert oldest.message["n"] == 0
    for number in range(3, 60):
        outbox.put({"n": number})
    assert outbox.first(with_photo=True) is None
    dropped = outbox.dropped()
    assert dropped["photos"] == 3
    assert outbox.waiting() == 60 - dropped["results"] < 40
    left = outbox.first(with_photo=False)
    assert left is not None
    assert left.message["n"] == dropped["results"]
    outbox.close()


def test_another_database_is_refused(store: Path) -> None:
    """It is somebody's, and stays as it is."""
    other = sqlite3.connect(store)
    other.execute("CREATE TABLE theirs (a)")
    other.close()
    before = store.read_bytes()
    with pytest.raises(OutputError, match="expected a store that `binsight edge run` made"):
        Outbox(store, max_bytes=1_000_000)
    assert store.read_bytes() == before


@pytest.mark.parametrize("content", [b"no database at all, but long enough to be one" * 50, None])
def test_what_cannot_be_opened_is_an_error(tmp_path: Path, content: bytes | None) -> None:
    """A file that is no database; a folder that is not there."""
    path = tmp_path / "edge.sqlite" if content else tmp_path / "none" / "edge.sqlite"
    if content:
        path.write_bytes(content)
    with pytest.raises(OutputError, match="the store cannot be opened"):
        Outbox(path, max_bytes=1_000_000)


def test_what_cannot_be_written_is_an_error_and_changes_nothing(outbox: Outbox, store: Path) -> None:
    """As on a full disk: here somebody else keeps the store locked."""
    outbox.put({"a": 1})
    outbox._database.execute("PRAGMA busy_timeout = 1")
    other = sqlite3.connect(store, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(OutputError, match="cannot be kept"):
        outbox.put({"a": 2})
    other.execute("ROLLBACK")
    other.close()
    assert outbox.put({"a": 3}) == 2
    assert outbox.waiting() == 2
