"""A ledger in PostgreSQL that is kept by days."""

from __future__ import annotations

import datetime as dt
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from tests.line.ledger.filling import AT, TAXONOMY, fill, piece
from tests.line.services import new_database

from binsight.line.ledger import days
from binsight.line.ledger.audit import Label, label_piece
from binsight.line.ledger.database import open_database
from binsight.line.ledger.days import Days, are_divided, divide
from binsight.line.ledger.reading import read_piece
from binsight.line.ledger.retention import Retention
from binsight.line.ledger.schema import lines, pieces
from binsight.line.ledger.writer import LedgerWriter

if TYPE_CHECKING:
    from collections.abc import Iterator

DAY = 24 * 60  # minutes


@pytest.fixture
def url(postgres_server: str) -> str:
    """Return an empty database."""
    return new_database(postgres_server)


@pytest.fixture
def whole(url: str) -> Iterator[sa.Engine]:
    """Return a ledger with ten days in tables that are not divided, as earlier versions made it."""
    engine = open_database(url)
    config = Config()
    config.set_main_option("script_location", str(Path(days.__file__).with_name("migrations")))
    fill(url, [piece(1, drawn=True)]).dispose()
    with engine.begin() as config.attributes["connection"]:
        command.downgrade(config, "0002")
    with engine.begin() as config.attributes["connection"]:
        command.upgrade(config, "head")
    fill(url, [piece(seq, minutes=DAY * (seq - 1), drawn=True) for seq in range(2, 11)]).dispose()
    yield engine
    engine.dispose()


def parts(database: sa.Engine) -> list[str]:
    """Return the partitions of `pieces`."""
    with database.connect() as connection:
        query = "SELECT relname FROM pg_inherits JOIN pg_class ON oid = inhrelid WHERE inhparent = 'pieces'::regclass"
        return sorted(connection.execute(sa.text(query)).scalars())


def seqs(database: sa.Engine) -> list[int]:
    """Return the sequence numbers there are."""
    with database.connect() as connection:
        return sorted(connection.execute(sa.select(pieces.c.seq)).scalars())


def test_a_piece_goes_to_its_day_in_utc_and_the_next_day_is_there_before_it_comes(url: str) -> None:
    """Whatever zone the server has; a clock that went astray makes a day of its own."""
    database = fill(url, [])
    with database.begin() as connection:
        connection.execute(sa.text(f"ALTER DATABASE {database.url.database} SET timezone TO 'Asia/Kolkata'"))
    database.dispose()
    fill(url, [piece(1), piece(2, minutes=18 * 60 - 0.001), piece(3, minutes=18 * 60), piece(4, minutes=-DAY * 9000)])
    assert parts(database) == [
        "pieces_20010513",
        "pieces_20010514",
        "pieces_20260102",
        "pieces_20260103",
        "pieces_20260104",
    ]
    with database.connect() as connection:
        assert connection.execute(sa.text("SELECT seq FROM pieces_20260102")).scalars().all() == [1, 2]
    database.dispose()


def test_lines_that_begin_a_day_together_make_it_once(url: str) -> None:
    """None fails, none waits for ever."""
    database = fill(url, [])
    times = [AT + dt.timedelta(days=day) for day in range(4)]

    def make() -> None:
        with database.begin() as connection:
            Days().make(connection, times)

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(parts(database)) == 5
    database.dispose()


def keep(database: sa.Engine, **keeps: int) -> None:
    """Note how long lines keep their rows."""
    with database.begin() as connection:
        for line, number in keeps.items():
            row = {"name": line, "since": AT, "keep_days": number}
            connection.execute(sa.delete(lines).where(lines.c.name == line))
            connection.execute(sa.insert(lines).values(row))


def test_a_day_is_dropped_when_no_line_needs_it_and_deleted_for_those_that_keep_less(url: str) -> None:
    """A line with 0 keeps everything, and so its neighbours' days."""
    rows = [piece(seq, minutes=DAY * (seq % 100 - 1)) for first in (1, 101) for seq in range(first, first + 10)]
    database = fill(url, [replace(row, line="line1" if row.seq < 100 else "line2") for row in rows])
    now = AT + dt.timedelta(days=10)
    keep(database, line1=3, line2=0)
    Retention(database.begin, 30).remove(now)
    assert seqs(database) == [8, 9, 10, *range(101, 111)]
    assert "pieces_20260102" in parts(database)
    keep(database, line1=3, line2=5)
    Retention(database.begin, 30).remove(now)
    assert seqs(database) == [8, 9, 10, *range(106, 111)]
    assert parts(database)[0] == "pieces_20260107"
    with database.connect() as connection:
        assert dict(map(tuple, connection.execute(sa.select(lines.c.name, lines.c.last_seq)))) == {
            "line1": None,
            "line2": 105,
        }
    database.dispose()


def test_who_reads_for_long_holds_up_the_dropping_and_nothing_else(url: str) -> None:
    """The day goes with the next look."""
    database = fill(url, [piece(1), piece(2, minutes=DAY * 20)])
    now = AT + dt.timedelta(days=40)
    with database.connect() as reader:
        reader.execute(sa.select(pieces)).all()
        Retention(database.begin, 30).remove(now)
        assert seqs(database) == [1, 2]
        writer = LedgerWriter(open_database(url), threaded=False)
        writer.put(piece(3, minutes=DAY * 20))
        assert writer.flush()
        writer.close()
    Retention(database.begin, 30).remove(now)
    assert seqs(database) == [2, 3]
    database.dispose()


def test_a_full_ledger_is_divided_while_a_line_writes(whole: sa.Engine) -> None:
    """What was there stays as one part until it is too old; the line goes on after one failed write."""
    with whole.connect() as connection:
        assert not are_divided(connection)
    writer = LedgerWriter(open_database(whole.url), threaded=False)
    writer.start("line1", AT)
    with whole.begin() as connection:
        divide(connection)
    now = dt.datetime.now(dt.UTC)
    tomorrow = piece(11, minutes=(now - AT) / dt.timedelta(minutes=1) + DAY)
    writer.put(tomorrow)
    assert not writer.flush()
    assert writer.flush()
    writer.put(piece(1, drawn=True, status="unknown"))
    assert writer.flush()
    writer.close()
    assert seqs(whole) == list(range(1, 12))
    first = piece(1, drawn=True)
    label_piece(whole, Label(first.id, "metal_cans", "eve"), at=AT, taxonomy=TAXONOMY)
    found = read_piece(whole, first.id)
    assert found is not None
    assert (found[0].status, found[0].audited_by, found[1] is not None) == ("unknown", "eve", True)
    Retention(whole.begin, 30).remove(now + dt.timedelta(days=31))
    assert "pieces_before" not in parts(whole)
    assert seqs(whole) == [11]
