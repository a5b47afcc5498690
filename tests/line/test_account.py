"""A ledger's answers about one line."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pytest
from tests.line.fakes import FakeClock
from tests.line.watched import WatchedLine

from binsight.errors import InputError
from binsight.line.film import Film
from binsight.line.ledger.audit import AlreadyLabelledError, LabelError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def line(tmp_path: Path) -> Iterator[WatchedLine]:
    """Return a line in a ledger of its own."""
    line = WatchedLine(tmp_path, clock=FakeClock())
    yield line
    line.close()


def test_pages_of_pieces(line: WatchedLine) -> None:
    """The newest come first, and each page says where the next begins."""
    pieces = []
    for _ in range(5):
        pieces.append(line.piece())
        line.clock.seconds += 1
    first = line.monitor.account.pieces(limit=3)
    assert [entry["seq"] for entry in first["pieces"]] == [5, 4, 3]
    second = line.monitor.account.pieces(limit=3, before=first["next"])
    assert [entry["seq"] for entry in second["pieces"]] == [2, 1]
    assert second["next"] is None
    with pytest.raises(InputError, match="before"):
        line.monitor.account.pieces(limit=3, before="nobody")


def test_times_of_a_piece(line: WatchedLine) -> None:
    """Each step counts from the capture of the deciding frame; rows of earlier versions do not have it."""
    piece = line.piece(seen_at=line.clock.utc())
    found = line.monitor.account.piece(piece.id)
    assert found is not None
    assert [(entry["step"], entry["after_ms"]) for entry in found["times"]] == [
        ("captured", 0), ("seen", 18.5), ("decided", 33.5), ("commanded", 38.5), ("acknowledged", 39.5),
        ("confirmed", 3018.5),
    ]  # fmt: skip
    old = line.monitor.account.piece(line.piece(captured_at=None, decided_at=None).id)
    assert old is not None
    assert [entry["step"] for entry in old["times"]] == ["captured", "seen", "commanded", "acknowledged", "confirmed"]
    assert found["scores"][0] == {"category": "red", "probability": 0.98}
    left = line.monitor.account.piece(line.review().id)
    assert left is not None
    assert [entry["step"] for entry in left["times"]] == ["captured", "seen", "decided"]


def test_a_piece_of_another_line_is_not_shown(tmp_path: Path, line: WatchedLine) -> None:
    """Two lines may share a ledger; each shows its own pieces."""
    piece = line.piece(line="line2", thumbnail="t")
    assert line.monitor.account.piece(piece.id) is None
    assert line.monitor.account.picture(piece.id) is None


def test_shifts(line: WatchedLine) -> None:
    """Each day has its sums; days without pieces are left out."""
    now = line.clock.utc()
    line.piece()
    line.review(seen_at=now - dt.timedelta(days=2))
    line.piece(seen_at=now - dt.timedelta(days=2))
    today, before = line.monitor.account.shifts(5, now)["shifts"]
    assert (today["pieces"], before["pieces"], before["review_share"]) == (1, 2, 0.5)
    assert [(lane["number"], lane["pieces"]) for lane in before["lanes"]] == [(1, 1), (2, 0), (0, 1)]


def test_audit(line: WatchedLine) -> None:
    """Who audits gets what was drawn, blind; the first label stands."""
    line.piece()
    piece = line.piece(thumbnail="t", audit_probability=0.5)
    account = line.monitor.account
    item = account.next_to_audit("ada")
    assert item == {"id": piece.id, "open": 1, "labelled": 0, "without_picture": 0}
    assert account.next_to_audit("ada", skip=[piece.id])["id"] is None
    line.monitor.label(piece.id, "green", "ada")
    assert account.next_to_audit("ada") == {"id": None, "open": 0, "labelled": 1, "without_picture": 0}
    with pytest.raises(AlreadyLabelledError):
        line.monitor.label(piece.id, "red", "bob")
    with pytest.raises(LabelError):
        line.monitor.label(piece.id, "purple", "ada")
    found = account.piece(piece.id)
    assert found is not None
    assert found["audit"]["true_category"] == "green"


def test_views_of_a_piece(line: WatchedLine) -> None:
    """Each that was kept, with its picture, what the model said of it alone, and whether it counted."""
    views = (
        {"frame": 7, "at": "2026-01-01T00:01:40.000Z", "box": [1, 2, 3, 4], "sharpness": 0.5, "voted": True, "bytes": 3,
         "category": "red", "decision": "accept", "reason": None, "unfamiliarity": 0.1,
         "scores": {"green": 0.1, "red": 0.9}},
        {"frame": 9, "at": "2026-01-01T00:01:40.100Z", "box": [2, 2, 4, 4], "sharpness": 0.1, "voted": False,
         "bytes": 2},
    )  # fmt: skip
    account = line.monitor.account
    piece = line.change(line.piece(thumbnail="p"), film=Film(b"best", views, b"onetw"))
    found = account.piece(piece.id)
    assert found is not None
    first, second = found["views"]
    assert (first["frame"], first["voted"], first["category"]) == (7, True, "red")
    assert [entry["category"] for entry in first["scores"]] == ["red", "green"]
    assert (second["voted"], second["category"], second["scores"]) == (False, None, [])
    assert [account.picture(piece.id, view) for view in (None, 0, 1, 2, 3)] == [b"best", None, b"one", b"tw", None]
