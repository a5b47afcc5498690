"""The ledger: every line is bound to the one before it, and a crash leaves nothing that cannot be read."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime

import pytest

from binsight.errors import OutputError
from binsight.loop.ledger import Ledger, LedgerError

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)


@pytest.fixture
def ledger(tmp_path):
    """Return a ledger with three lines."""
    ledger = Ledger(tmp_path / "ledger.jsonl", now=lambda: NOW)
    for number in range(3):
        with ledger.writing():
            ledger.append("look", number=number)
    return ledger


def test_lines_are_bound_to_each_other(ledger):
    """Each names the hash of the one before it, the first 64 zeros."""
    first, second, third = ledger.read()
    assert (first.previous, second.previous, third.previous) == ("0" * 64, first.sha256, second.sha256)
    assert (third.event, third.at, third.details) == ("look", "2026-11-27T12:00:00Z", {"number": 2})
    assert [json.loads(line) for line in ledger.path.read_text().splitlines()][2] == third.to_dict()


@pytest.mark.parametrize(
    "change",
    [
        lambda lines: [lines[0].replace(b'"number":0', b'"number":7'), *lines[1:]],
        lambda lines: [lines[0], lines[2]],
        lambda lines: lines[1:],
        lambda lines: [lines[1], lines[0], lines[2]],
        lambda lines: [*lines, b"{}\n"],
        lambda lines: [*lines, lines[1]],
        lambda lines: [lines[0], b"\0" * 20 + b"\n", *lines[1:]],
    ],
)
def test_an_altered_ledger_is_refused_and_nothing_is_added_to_it(ledger, change):
    """Changed, left out, cut off at the front, exchanged, forged, repeated or blank lines."""
    data = b"".join(change(ledger.path.read_bytes().splitlines(keepends=True)))
    ledger.path.write_bytes(data)
    with pytest.raises(LedgerError, match="was altered"):
        ledger.read()
    with pytest.raises(LedgerError), ledger.writing():
        ledger.append("look")
    assert ledger.path.read_bytes() == data


def test_a_torn_last_line_is_passed_over_and_cut_off_by_the_next_writer(ledger):
    """At every byte: what was whole before stays."""
    whole = ledger.path.read_bytes()
    before = ledger.read()[:2]
    last = whole.splitlines(keepends=True)[2]
    for length in range(len(last)):
        ledger.path.write_bytes(whole[: len(whole) - len(last) + length])
        assert ledger.read() == before
    with ledger.writing():
        ledger.append("look", number=9)
    assert [entry.details["number"] for entry in ledger.read()] == [0, 1, 9]


def test_a_full_disk_leaves_the_ledger_as_it_was(ledger, monkeypatch):
    """Half a line is taken back, also when the same writer goes on."""
    before = ledger.path.read_bytes()
    with ledger.writing():
        with monkeypatch.context() as patch:
            patch.setattr("os.fsync", lambda _handle: (_ for _ in ()).throw(OSError(28, "full")))
            with pytest.raises(OSError, match="full"):
                ledger.append("look", number=3)
        assert ledger.path.read_bytes() == before
        ledger.append("look", number=4)
    assert [entry.details["number"] for entry in ledger.read()] == [0, 1, 2, 4]


def test_writers_take_turns(ledger):
    """Eight at a time lose no line and break no chain."""

    def write():
        for _ in range(5):
            with ledger.writing():
                ledger.append("look", number=len(ledger.read()))

    threads = [threading.Thread(target=write) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [entry.details["number"] for entry in ledger.read()] == list(range(43))


def test_a_place_that_cannot_be_written_is_said(tmp_path):
    """In one line, with the path."""
    (tmp_path / "file").write_text("")
    ledger = Ledger(tmp_path / "file" / "ledger.jsonl")
    with pytest.raises(OutputError, match="cannot write"), ledger.writing():
        ledger.append("look")
