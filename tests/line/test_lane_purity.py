"""Purity of the lanes of a ledger, its alarms and its message."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pytest
from tests.line.ledger.filling import AT, CONFIG, TAXONOMY, fill_file, piece

from binsight.line.lane_purity import lane_purities, purity_alarms
from binsight.line.ledger.audit import Label, label_pieces
from binsight.line.messages import purity_message

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from binsight.line.lane_purity import LanePurity
    from binsight.line.records import Piece

DAY = dt.timedelta(days=1)


def purities(folder: Path, rows: Sequence[Piece], words: Sequence[str]) -> dict[int, LanePurity]:
    """Return what lies in the lanes when the first pieces are labelled with these words."""
    _, database = fill_file(folder, rows)
    labels = [Label(row.id, word, "eve") for row, word in zip(rows, words, strict=False)]
    label_pieces(database, labels, at=AT, taxonomy=TAXONOMY)
    found = lane_purities(database, "line1", AT, AT + DAY, CONFIG, TAXONOMY)
    database.dispose()
    return found


def test_hours_count_by_their_pieces(tmp_path: Path) -> None:
    """First hour 30 cans, 10 audited, all right; second 90, 10 audited, 6 right: 0.25 · 1 + 0.75 · 0.6 = 0.7."""
    first = [piece(seq, minutes=1, drawn=seq <= 10) for seq in range(1, 31)]
    second = [piece(seq, minutes=70, drawn=seq <= 40) for seq in range(31, 121)]
    drawn = [row for row in first + second if row.thumbnail]
    rest = [row for row in first + second if not row.thumbnail]
    words = ["metal_cans"] * 16 + ["paper_waste", "paper_waste", "plastic_bags", "other"]
    lane = purities(tmp_path, drawn + rest, words)[1]
    assert lane.target.purity == pytest.approx(0.7)
    assert (lane.target.audited, lane.target.pieces, lane.target.wrong) == (20, 120, 4)
    assert lane.non_target.purity == pytest.approx(0.75 * 0.2)
    assert lane.non_recyclable.purity == pytest.approx(0.75 * 0.2)
    assert lane.by_weight is None  # something else weighs nobody knows what


def test_by_weight_where_grams_are_given(tmp_path: Path) -> None:
    """Eight cans of 15 g, two bags of 6 g: 120 of 132 g."""
    rows = [piece(seq, drawn=seq <= 10) for seq in range(1, 101)]
    lane = purities(tmp_path, rows, ["metal_cans"] * 8 + ["plastic_bags"] * 2)[1]
    assert lane.by_weight is not None
    assert lane.by_weight.purity == pytest.approx(120 / 132)


def test_a_line_that_only_looks_has_the_lanes_that_it_would_fill(tmp_path: Path) -> None:
    """What was accepted counts where its category would go; what no lane takes, and reviews, stay on the belt."""
    cans = [piece(seq, drawn=seq <= 10, status="fail_safe", reason="look_only", lane=0) for seq in range(1, 21)]
    bags = [
        piece(seq, status="fail_safe", reason="look_only", lane=0, category="plastic_bags") for seq in range(21, 24)
    ]
    reviewed = piece(24, status="fail_safe", reason="low_confidence", lane=0, decision="review")
    found = purities(tmp_path, [*cans, *bags, reviewed], ["metal_cans"] * 9 + ["paper_waste"])
    assert (found[1].target.pieces, found[1].target.audited, found[1].target.wrong) == (20, 10, 1)
    assert found[1].target.purity == pytest.approx(0.9)
    assert found[0].target.pieces == 4


def test_only_what_reached_a_lane_lies_in_it(tmp_path: Path) -> None:
    """Missed and refused ones stayed on the belt; of unknown ones nobody knows; acknowledged is enough."""
    rows = [
        piece(1, drawn=True),
        piece(2, drawn=True, status="acknowledged", confirm_result=None),
        piece(3, drawn=True, confirm_result="missed", reason="missed"),
        piece(4, drawn=True, status="refused", lane=0),
        piece(5, drawn=True, status="unknown"),
        piece(6, drawn=True, status="commanded"),
    ]
    found = purities(tmp_path, rows, ["metal_cans"] * 6)
    assert (found[1].target.pieces, found[1].target.purity, found[1].target.low) == (2, 1.0, 1.0)
    assert (found[0].target.pieces, found[0].target.purity) == (2, 0.0)  # cans, which a lane takes
    assert (found[2].target.pieces, found[2].target.purity) == (0, None)


def test_who_labels_what_was_not_drawn_changes_nothing(tmp_path: Path) -> None:
    """Chosen pieces say nothing of the others."""
    _, database = fill_file(tmp_path, [piece(seq) for seq in range(1, 10)])
    with database.begin() as connection:
        connection.exec_driver_sql("UPDATE pieces SET true_category = 'paper_waste'")
    found = lane_purities(database, "line1", AT, AT + DAY, CONFIG, TAXONOMY)
    assert found[1].target.audited == 0
    database.dispose()


def test_the_alarm_comes_when_even_the_upper_end_is_too_low(tmp_path: Path) -> None:
    """Wanted 95 %: 40 of 50 is surely less; 47 of 50 may be enough, and nothing audited is no reason to call."""
    rows = [piece(seq, drawn=seq <= 50) for seq in range(1, 1001)]
    for name, right, active in (("a", 40, True), ("b", 47, False), ("c", None, False)):
        (tmp_path / name).mkdir()
        words = [] if right is None else ["metal_cans"] * right + ["paper_waste"] * (50 - right)
        (alarm,) = purity_alarms(purities(tmp_path / name, rows, words))
        assert (alarm["code"], alarm["active"]) == ("purity_lane_1", active)
        if active:
            assert alarm["detail"].startswith("lane 1: purity 6")
            assert alarm["detail"].endswith("after 50 audits, wanted 95.0%")


def test_the_message_is_that_of_the_contract(tmp_path: Path) -> None:
    """Keys in order; null while nothing was audited."""
    rows = [piece(seq, drawn=True) for seq in range(1, 5)]
    message = purity_message(purities(tmp_path, rows, ["metal_cans"] * 3 + ["other"])[1].target)
    wanted = {"purity": 0.75, "low": 0.75, "high": 0.75, "audited": 4, "pieces": 4, "method": "stratified_jeffreys"}
    assert list(message.items()) == list(wanted.items())
    (tmp_path / "none").mkdir()
    assert purity_message(purities(tmp_path / "none", rows, [])[1].target) == {
        **wanted, "purity": None, "low": 0.0, "high": 1.0, "audited": 0
    }  # fmt: skip
