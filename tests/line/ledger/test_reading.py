"""What a ledger tells."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from tests.line.ledger.filling import AT, CONFIG, TAXONOMY, fill, fill_file, jpeg, piece

from binsight.errors import InputError
from binsight.line.film import Film
from binsight.line.lane_purity import lane_purities
from binsight.line.ledger.audit import Label, label_pieces, next_for_audit, read_progress
from binsight.line.ledger.configuration import read_configuration
from binsight.line.ledger.reading import (
    Span,
    choose_line,
    count_pieces,
    find_pieces,
    last_seen,
    latency_percentiles,
    read_events,
    read_piece,
    total,
)
from binsight.line.ledger.writer import LedgerWriter

if TYPE_CHECKING:
    from pathlib import Path

DAY = Span("line1", AT, AT + dt.timedelta(days=1))


def test_pieces_are_counted_in_every_way_from_one_pass(url: str) -> None:
    """Ends sum up to the pieces seen; lanes, classes, reasons and hours come from the same counts."""
    database = fill(
        url,
        [
            *(piece(seq, minutes=seq) for seq in range(1, 100)),
            piece(100, status="fail_safe", decision="review", reason="low_confidence", lane=0, category="paper_waste"),
            piece(101, status="confirmed", confirm_result="missed", reason="missed"),
            piece(102, status="unknown", reason="no_answer"),
            piece(103, minutes=1440),  # after the span
            piece(104, minutes=-0.01),  # before it
        ],
    )
    counts = count_pieces(database, DAY)
    assert total(counts, "status") == {"confirmed": 100, "fail_safe": 1, "unknown": 1}
    assert total(counts, "reached") == {1: 99, 0: 2, None: 1}
    assert total(counts, "reason")["no_answer"] == 1
    assert total(counts, "category") == {"metal_cans": 101, "paper_waste": 1}
    assert total(counts, "at") == {AT: 62, AT + dt.timedelta(hours=1): 40}
    assert latency_percentiles(database, DAY, (50, 99)) == {50: 44.0, 99: 49.0}
    assert last_seen(database, "line1") == AT + dt.timedelta(days=1)
    database.dispose()


def test_hours_are_those_of_utc_whatever_zone_the_server_has(url: str) -> None:
    """A server in a zone that is off by half an hour makes the same strata."""
    database = fill(url, [piece(1, minutes=20), piece(2, minutes=40)])
    if database.dialect.name == "postgresql":
        with database.begin() as connection:
            connection.execute(sa.text(f"ALTER DATABASE {database.url.database} SET timezone TO 'Asia/Kolkata'"))
        database.dispose()
    assert total(count_pieces(database, DAY), "at") == {AT: 2}
    database.dispose()


def test_pieces_page_by_page_and_one_with_its_picture(url: str) -> None:
    """The newest first, none twice and none left out where several were seen at the same time."""
    database = fill(url, [piece(seq, minutes=seq // 3, drawn=seq == 5) for seq in range(1, 11)])
    first = find_pieces(database, DAY, limit=4)
    second = find_pieces(database, DAY, limit=4, before=first[-1])
    third = find_pieces(database, DAY, limit=4, before=second[-1])
    assert [p.seq for p in first + second + third] == list(range(10, 0, -1))
    assert find_pieces(database, DAY, statuses=["late"]) == find_pieces(database, DAY, lane=7) == []
    found = read_piece(database, next(p.id for p in first + second if p.seq == 5))
    assert found is not None
    assert (found[0].seq, found[1]) == (5, Film(jpeg()))
    assert read_piece(database, "no such") is None
    database.dispose()


def test_the_line_is_the_only_one_or_has_to_be_said(url: str) -> None:
    """The message lists what there is; what the line is can be read without line.toml."""
    database = fill(url, [piece(1)])
    assert choose_line(database) == "line1"
    with pytest.raises(InputError, match=r"no line 'line2' in this ledger; it has line1$"):
        choose_line(database, "line2")
    writer = LedgerWriter(database, threaded=False)
    writer.start("line2", AT)
    writer.close()
    with pytest.raises(InputError, match=r"which line.*line1, line2"):
        choose_line(database)
    found = read_configuration(database, "line1")
    assert found is not None
    assert found[1] is not None
    assert (found[0].lanes, found[0].grams, found[1].ids) == (CONFIG.lanes, CONFIG.grams, TAXONOMY.ids)
    assert read_configuration(database, "line2") is None
    database.dispose()


def test_every_query_uses_an_index(tmp_path: Path) -> None:
    """None reads all rows of a table."""
    _, database = fill_file(tmp_path, [piece(seq, drawn=True) for seq in range(1, 20)])
    plans: list[tuple[str, str]] = []

    def explain(_: Any, cursor: Any, statement: str, parameters: Any, *__: Any) -> None:
        if statement.lstrip().upper().startswith(("SELECT", "UPDATE", "DELETE")):
            other = cursor.connection.cursor()
            plans.extend((statement, row[3]) for row in other.execute(f"EXPLAIN QUERY PLAN {statement}", parameters))

    sa.event.listen(database, "before_cursor_execute", explain)
    count_pieces(database, DAY)
    latency_percentiles(database, DAY)
    page = find_pieces(database, DAY)
    find_pieces(database, DAY, before=page[3])
    read_piece(database, page[0].id)
    read_events(database, "line1", DAY.since, DAY.until)
    last_seen(database, "line1")
    next_for_audit(database, "line1")
    read_progress(database, "line1")
    label_pieces(database, [Label(page[0].id, "metal_cans", "eve")], at=AT, taxonomy=TAXONOMY)
    lane_purities(database, "line1", DAY.since, DAY.until, CONFIG, TAXONOMY)
    assert len(plans) > 10
    assert [plan for plan in plans if plan[1].startswith(("SCAN pieces", "SCAN thumbnails", "SCAN events"))] == []
    database.dispose()
