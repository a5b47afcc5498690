"""Finished hours are counted once, and never say anything else than the pieces."""

from __future__ import annotations

import datetime as dt
import random
import time
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa
from tests.line.ledger.filling import AT, CONFIG, TAXONOMY, fill, piece
from tests.patience import PATIENCE_S

from binsight.line.account import LineAccount
from binsight.line.ledger.audit import AuditProgress, Label, label_piece, next_for_audit, read_progress
from binsight.line.ledger.database import open_database
from binsight.line.ledger.hours import FinishedHours
from binsight.line.ledger.reading import Count, Span, count_pieces, latency_percentiles, total
from binsight.line.ledger.retention import Retention
from binsight.line.ledger.schema import hours, lines, pieces, thumbnails
from binsight.line.ledger.writer import LedgerWriter

if TYPE_CHECKING:
    from binsight.line.records import Piece

NOON = AT + dt.timedelta(hours=6)
SPANS = [
    Span("line1", AT, NOON),
    Span("line1", AT + dt.timedelta(minutes=30), NOON - dt.timedelta(minutes=30)),
    Span("line1", AT + dt.timedelta(minutes=70), AT + dt.timedelta(minutes=80)),
    Span("line1", AT - dt.timedelta(days=400), NOON + dt.timedelta(days=400)),
    Span("line1", AT, NOON, shift="early"),
    Span("line2", AT, NOON),
]


def some(number: int = 200) -> list[Piece]:
    """Return pieces of all kinds over five hours and a half, one hour without any; every third was drawn."""
    chance = random.Random(7)  # noqa: S311 - no secret
    found = []
    for seq in range(1, number + 1):
        minutes = 330 * seq / number
        end = chance.choice(["confirmed", "fail_safe", "late", "unknown"])
        values = {"status": end, "lane": chance.randrange(3), "reason": chance.choice([None, "deadline"])}
        values |= {"decision": chance.choice(["accept", "review"]), "shift": chance.choice(["early", "late"])}
        if not 120 <= minutes < 180:
            drawn = {"audit_probability": 0.5} if seq % 3 == 0 else {}
            found.append(piece(seq, minutes=minutes, **values, **drawn))
    return found


def told(database: sa.Engine) -> list[tuple[set[Count], dict[float, float] | None]]:
    """Return what is said of all spans."""
    counted = [(count_pieces(database, span), latency_percentiles(database, span)) for span in SPANS]
    assert all(len(set(counts)) == len(counts) for counts, _ in counted)
    return [(set(counts), latencies) for counts, latencies in counted]


def count(database: sa.Engine, now: dt.datetime = NOON + dt.timedelta(minutes=10)) -> int:
    """Count what has ended by then, as the line's writer does; how many hours."""
    finished = FinishedHours()
    with database.connect() as connection:
        until = connection.execute(sa.select(lines.c.counted_until).where(lines.c.name == "line1")).scalar()
    finished.begin("line1", until)
    return sum(finished.count(database.begin, now))


def forget(database: sa.Engine) -> None:
    """Take the pieces away: what is still told of them was counted before."""
    with database.begin() as connection:
        connection.execute(sa.delete(pieces))


def test_what_is_counted_once_is_what_the_pieces_say(url: str) -> None:
    """Of every time, shift and label; and it is not counted again."""
    rows = some()
    database = fill(url, rows)
    drawn = [row for row in rows if row.audit_probability]
    for row in drawn[::2]:
        label_piece(database, Label(row.id, "paper_waste", "eve"), at=NOON, taxonomy=TAXONOMY)
    before = told(database)
    assert count(database) == 5
    assert told(database) == before
    label_piece(database, Label(drawn[1].id, "metal_cans", "eve"), at=NOON, taxonomy=TAXONOMY)
    said = total(before[0][0], "true_category")
    said.update({"metal_cans": 1, None: -1})
    assert total(count_pieces(database, SPANS[0]), "true_category") == said
    assert count(database) == 0
    forget(database)
    assert sum(found.pieces for found in count_pieces(database, SPANS[0])) == len(rows)
    assert latency_percentiles(database, SPANS[0]) == before[0][1]
    database.dispose()


def test_an_hour_is_counted_when_its_pieces_have_their_ends(url: str) -> None:
    """Ten minutes later; the newest hours are those of the pieces themselves."""
    database = fill(url, some())
    assert count(database, AT + dt.timedelta(minutes=69)) == 0
    assert count(database, AT + dt.timedelta(minutes=70)) == 1
    assert count(database, AT + dt.timedelta(minutes=200)) == 1  # the third had no piece
    forget(database)
    assert {found.at for found in count_pieces(database, SPANS[0])} == {AT, AT + dt.timedelta(hours=1)}
    database.dispose()


@pytest.mark.parametrize("minutes", [61.0, 130.0, -3000.0, 500.0])
def test_a_piece_that_is_written_later_counts_at_once(url: str, minutes: float) -> None:
    """In an hour that was counted, in one that had no piece, in one before all, and in one to come."""
    database = fill(url, some())
    count(database)
    before = total(count_pieces(database, SPANS[3]), "reached")
    writer = LedgerWriter(open_database(url), threaded=False)
    writer.start("line1", NOON)
    writer.put(piece(1000, minutes=minutes))
    writer.close()
    after = total(count_pieces(database, SPANS[3]), "reached")
    assert after - before == {1: 1}
    count(database, NOON + dt.timedelta(hours=6))
    assert total(count_pieces(database, SPANS[3]), "reached") == after
    with database.connect() as connection:
        assert connection.execute(sa.select(hours.c.hour).where(hours.c.counts.is_(None))).all() == []
    forget(database)
    assert total(count_pieces(database, SPANS[3]), "reached") == after
    database.dispose()


def test_a_kill_that_is_noticed_hours_later_counts(url: str) -> None:
    """What was left open ends in hours that were counted with it."""
    database = fill(url, [piece(1), piece(2, status="commanded"), piece(3, minutes=61, status="seen")])
    count(database)
    writer = LedgerWriter(open_database(url), threaded=False)
    writer.start("line1", NOON)
    writer.close()
    expected = {"confirmed": 1, "unknown": 1, "late": 1}
    assert total(count_pieces(database, SPANS[0]), "status") == expected
    count(database)
    forget(database)
    assert total(count_pieces(database, SPANS[0]), "status") == expected
    database.dispose()


def test_the_writer_counts_when_nothing_waits(url: str) -> None:
    """By itself, on its own thread, before the first piece comes."""
    fill(url, some(20)).dispose()
    writer = LedgerWriter(open_database(url), keep_days=0)
    writer.start("line1", NOON)
    database, end = open_database(url), time.monotonic() + PATIENCE_S
    counted = sa.select(sa.func.count()).select_from(hours)
    found = 0
    while found < 5 and time.monotonic() < end:
        with database.connect() as connection:
            found = connection.execute(counted).scalar() or 0
    writer.close()
    assert found == 5
    database.dispose()


def test_hours_go_with_their_pieces(url: str) -> None:
    """What is too old is not told any more."""
    database = fill(url, some())
    count(database)
    with database.begin() as connection:
        connection.execute(sa.update(lines).values(keep_days=30))
    Retention(database.begin, 30).remove(AT + dt.timedelta(days=30, hours=3))
    with database.connect() as connection:
        left = connection.execute(sa.select(hours.c.hour).order_by(hours.c.hour)).scalars().all()
    assert left == [AT + dt.timedelta(hours=hour) for hour in (3, 4, 5)]
    database.dispose()


def test_a_picture_that_was_lost_waits_for_no_auditor(url: str) -> None:
    """It is noted when its hour is counted; before, it is looked for."""
    database = fill(url, [piece(seq, minutes=25 * seq, drawn=True) for seq in range(1, 6)])
    label_piece(database, Label(piece(5, minutes=125).id, "metal_cans", "eve"), at=NOON, taxonomy=TAXONOMY)
    with database.begin() as connection:
        keys = [piece(seq, minutes=25 * seq).id for seq in (1, 4)]
        connection.execute(sa.delete(thumbnails).where(thumbnails.c.key.in_(keys)))
    expected = AuditProgress(5, 1, 2, {"eve": 1})
    assert read_progress(database, "line1") == expected
    for hour in (1, 2, 3):
        assert count(database, AT + dt.timedelta(hours=hour, minutes=10)) == 1
        assert read_progress(database, "line1") == expected
    assert {found.id for found in next_for_audit(database, "line1", count=9)} == {
        piece(seq, minutes=25 * seq).id for seq in (2, 3)
    }
    with database.connect() as connection:
        kept = connection.execute(sa.select(pieces.c.seq).where(pieces.c.thumbnail.is_not(None))).scalars()
        assert set(kept) == {2, 3, 5}
    database.dispose()


def test_shifts_that_begin_at_any_minute_are_whole(url: str) -> None:
    """Half of an hour belongs to one, half to the next."""
    rows = some()
    database = fill(url, rows)
    times = [{"name": "early", "start": "06:20"}, {"name": "late", "start": "08:50"}]
    config = CONFIG.model_validate({**CONFIG.model_dump(exclude_unset=True), "shifts": times})
    account = LineAccount(config, database, TAXONOMY)
    before = account.shifts(4, NOON)
    count(database)
    assert account.shifts(4, NOON) == before
    began = [dt.datetime.fromisoformat(shift["began"]) for shift in before["shifts"]]
    expected = [
        sum(since <= row.seen_at < until for row in rows) for since, until in zip(began, [NOON, *began], strict=False)
    ]
    assert [shift["pieces"] for shift in before["shifts"]] == expected
    assert len(expected) >= 2
    database.dispose()
