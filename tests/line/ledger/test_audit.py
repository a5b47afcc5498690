"""The audit: blind, in random order, safe for several people at once."""

from __future__ import annotations

import datetime as dt
import threading
from dataclasses import fields, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa
from tests.line.ledger.filling import AT, TAXONOMY, fill, fill_file, piece

from binsight.line.ledger.audit import (
    AlreadyLabelledError,
    AuditItem,
    Label,
    LabelError,
    label_piece,
    label_pieces,
    next_for_audit,
    read_progress,
)
from binsight.line.ledger.reading import read_piece
from binsight.line.ledger.schema import pieces

if TYPE_CHECKING:
    from pathlib import Path


def test_pieces_come_in_random_order_without_what_the_model_said(url: str) -> None:
    """Neither in time nor by lane; another auditor begins elsewhere; what has no picture is not shown."""
    rows = [piece(seq, minutes=seq, drawn=True, lane=1 + (seq > 50)) for seq in range(1, 101)]
    unseen = replace(piece(101, drawn=True), thumbnail=None)
    database = fill(url, [*rows, piece(102), unseen])
    order = {row.id: row.seq for row in rows}
    shown = [order[item.id] for item in next_for_audit(database, "line1", auditor="eve", count=1000)]
    assert sorted(shown) == list(range(1, 101))
    assert sum(abs(a - b) == 1 for a, b in pairwise(shown)) < 10
    assert 3 < sum(seq > 50 for seq in shown[:20]) < 17
    assert shown == [order[item.id] for item in next_for_audit(database, "line1", auditor="eve", count=1000)]
    other = [order[item.id] for item in next_for_audit(database, "line1", auditor="bob", count=1000)]
    assert sorted(other) == sorted(shown)
    assert other[0] != shown[0]
    assert {field.name for field in fields(AuditItem)} == {"id", "jpeg"}
    skipped = next_for_audit(database, "line1", auditor="eve", skip=[rows[shown[0] - 1].id])
    assert order[skipped[0].id] == shown[1]
    progress = read_progress(database, "line1")
    assert (progress.drawn, progress.labelled, progress.without_picture, progress.open) == (101, 0, 1, 100)
    database.dispose()


def test_a_label_changes_the_three_columns_of_the_audit_and_nothing_else(url: str) -> None:
    """Titles are understood; the same person may correct it; what was said twice counts once."""
    row = piece(1, drawn=True)
    database = fill(url, [row])
    for category, meant in (("Metal cans", "metal_cans"), ("other", "other"), ("metal_cans", "metal_cans")):
        label_piece(database, Label(row.id, category, " Eve  B. "), at=AT, taxonomy=TAXONOMY)
        found = read_piece(database, row.id)
        assert found is not None
        assert found[0] == replace(row, true_category=meant, audited_by="Eve B.", audited_at=AT)
    later = AT + dt.timedelta(hours=1)
    assert label_pieces(database, [Label(row.id, "metal_cans", "Eve B.")], at=later, taxonomy=TAXONOMY) == 0
    assert next_for_audit(database, "line1") == []
    assert read_progress(database, "line1").auditors == {"Eve B.": 1}
    database.dispose()


def test_the_first_of_two_auditors_wins_and_the_other_is_told(url: str) -> None:
    """Two at the same moment: one row is changed, once."""
    row = piece(1, drawn=True)
    database = fill(url, [row])
    barrier, faults = threading.Barrier(2), []

    def say(who: str, category: str) -> None:
        barrier.wait()
        try:
            label_piece(database, Label(row.id, category, who), at=AT, taxonomy=TAXONOMY)
        except AlreadyLabelledError as error:
            faults.append(str(error))

    threads = [threading.Thread(target=say, args=a) for a in (("eve", "metal_cans"), ("bob", "paper_waste"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = read_piece(database, row.id)
    assert found is not None
    assert faults == [f"{row.id}: already labelled by {found[0].audited_by}"]
    assert (found[0].audited_by, found[0].true_category) in {("eve", "metal_cans"), ("bob", "paper_waste")}
    database.dispose()


def test_a_fault_that_many_labels_share_is_told_once(tmp_path: Path) -> None:
    """With the first of the pieces, and how many more there are."""
    _, database = fill_file(tmp_path, [piece(1, drawn=True)])
    labels = [Label(name, "metal_cans", "eve") for name in "abcde"]
    with pytest.raises(LabelError) as error:
        label_pieces(database, labels, at=AT, taxonomy=TAXONOMY)
    assert str(error.value) == "a, b, c and 2 more: no such piece"
    database.dispose()


def test_of_many_labels_all_are_written_or_none(tmp_path: Path) -> None:
    """Every fault is told at once."""
    rows = [piece(seq, drawn=seq < 5) for seq in range(1, 6)]
    _, database = fill_file(tmp_path, rows)
    label_piece(database, Label(rows[3].id, "metal_cans", "bob"), at=AT, taxonomy=TAXONOMY)
    labels = [
        Label(rows[0].id, "metal_cans", "eve"),
        Label(rows[1].id, "metal_can", "eve"),
        Label(rows[2].id, "metal_cans", ""),
        Label(rows[2].id, "metal_cans", "eve"),
        Label(rows[3].id, "paper_waste", "eve"),
        Label(rows[4].id, "metal_cans", "eve"),
        Label("nothing", "metal_cans", "eve"),
    ]
    with pytest.raises(LabelError) as error:
        label_pieces(database, labels, at=AT, taxonomy=TAXONOMY)
    for fault in (
        f"{rows[1].id}: no class 'metal_can' in 'waste8'; did you mean metal_cans",
        f"{rows[2].id}: audited_by: expected a name",
        f"{rows[2].id}: stands there 2 times",
        f"{rows[3].id}: already labelled by bob",
        f"{rows[4].id}: was not drawn for the audit",
        "nothing: no such piece",
    ):
        assert fault in str(error.value)
    with database.connect() as connection:
        assert connection.execute(sa.select(pieces.c.id).where(pieces.c.audited_by == "eve")).all() == []
    database.dispose()
