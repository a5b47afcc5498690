"""What a ledger forgets, and what it never does."""

from __future__ import annotations

import datetime as dt
import time
from typing import TYPE_CHECKING

import sqlalchemy as sa
from tests.line.ledger.filling import AT, TAXONOMY, fill, fill_file, piece
from tests.patience import PATIENCE_S

from binsight.line.ledger.audit import Label, label_piece
from binsight.line.ledger.database import open_database
from binsight.line.ledger.retention import Retention
from binsight.line.ledger.schema import events, pieces, thumbnails
from binsight.line.ledger.writer import LedgerWriter

if TYPE_CHECKING:
    from pathlib import Path

DAY_MINUTES = 24 * 60


def kept(database: sa.Engine) -> tuple[list[int], set[int]]:
    """Return the sequence numbers of all rows, and of those with a picture."""
    joined = sa.select(pieces.c.seq).join(thumbnails, thumbnails.c.key == pieces.c.id)
    with database.connect() as connection:
        rows = connection.execute(sa.select(pieces.c.seq).order_by(pieces.c.seq)).scalars().all()
        return list(rows), set(connection.execute(joined).scalars())


def test_old_rows_go_and_so_do_day_old_pictures_but_not_what_waits_for_its_auditor(url: str) -> None:
    """One piece a day over 40 days, all with a picture, every other one drawn; small batches."""
    rows = [piece(day + 1, minutes=day * DAY_MINUTES, drawn=True) for day in range(40)]
    rows = [
        row if row.seq % 2 else piece(row.seq, minutes=(row.seq - 1) * DAY_MINUTES, thumbnail=row.id) for row in rows
    ]
    database = fill(url, rows)
    label_piece(database, Label(rows[30].id, "metal_cans", "eve"), at=AT, taxonomy=TAXONOMY)
    writer = LedgerWriter(database, threaded=False)
    for days in (0, 39):
        writer.event("line1", "link", active=True, detail="", at=AT + dt.timedelta(days=days))
    writer.close()
    now = AT + dt.timedelta(days=40)
    batches = list(Retention(database.begin, 30, batch=3).batches(now))
    assert max(batches) == 3
    left, pictures = kept(database)
    assert left == list(range(11, 41))
    assert pictures == {*range(11, 41, 2), 40}
    with database.connect() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(events)).scalar() == 1
        assert connection.execute(sa.select(sa.func.count()).select_from(thumbnails)).scalar() == len(pictures)
    database.dispose()


def test_the_newest_row_stays_so_that_no_sequence_number_comes_twice(url: str) -> None:
    """A line that stood still for a year goes on where it was; a day that is dropped leaves the number behind."""
    database = fill(url, [piece(seq) for seq in range(1, 8)])
    Retention(database.begin, 30).remove(AT + dt.timedelta(days=365))
    assert kept(database)[0] == ([7] if url.startswith("sqlite") else [])
    writer = LedgerWriter(database, threaded=False)
    assert writer.start("line1", AT) == 8
    writer.close()


def test_zero_days_keep_rows_and_pictures_of_the_audit_for_ever(tmp_path: Path) -> None:
    """Other pictures go after a day all the same; a second look begins where the first one ended."""
    rows = [piece(1, drawn=True), piece(2, thumbnail=piece(2).id), piece(3, minutes=DAY_MINUTES, thumbnail=piece(3).id)]
    _, database = fill_file(tmp_path, rows)
    retention = Retention(database.begin, 0)
    assert retention.remove(AT + dt.timedelta(days=1, minutes=1)) == 1
    assert retention.remove(AT + dt.timedelta(days=1, minutes=2)) == 0
    assert kept(database)[0] == [1, 2, 3]
    assert retention.remove(AT + dt.timedelta(days=4000)) >= 0
    assert kept(database)[0] == [1, 2, 3]
    assert 1 in kept(database)[1]
    database.dispose()


def test_the_writer_tidies_when_nothing_waits(tmp_path: Path) -> None:
    """By itself, on its own thread; what is new stays."""
    now = dt.datetime.now(dt.UTC)
    file, database = fill_file(tmp_path, [piece(seq) for seq in range(1, 500)])
    with database.begin() as connection:
        connection.execute(sa.update(pieces).values(seen_at=now - dt.timedelta(days=31)))
        connection.execute(sa.update(pieces).where(pieces.c.seq > 300).values(seen_at=now))
    database.dispose()
    database = open_database(f"sqlite:///{file}")
    writer = LedgerWriter(database, keep_days=30)
    end = time.monotonic() + PATIENCE_S
    while kept(database)[0] != list(range(301, 500)) and time.monotonic() < end:
        writer.flush()
    writer.close()
    assert kept(database)[0] == list(range(301, 500))
    database.dispose()
