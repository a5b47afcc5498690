"""The account of every piece on disk."""

from __future__ import annotations

import datetime as dt
import sqlite3
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from tests.line.services import new_database
from tests.patience import PATIENCE_S

from binsight.errors import InputError
from binsight.line.film import Film
from binsight.line.ledger import retention
from binsight.line.ledger import writer as writer_module
from binsight.line.ledger.database import open_database
from binsight.line.ledger.schema import events, metadata, pieces, thumbnails
from binsight.line.ledger.writer import LedgerWriter
from binsight.line.records import Piece

AT = dt.datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=dt.UTC)
FULL = Piece(
    id="01J" + "0" * 23, line="line1", seq=4711, seen_at=AT, status="confirmed", encoder=2**32 - 1, frames=4,
    category="metal_cans", confidence=0.98, scores={"metal_cans": 0.98, "paper_waste": 0.02}, decision="accept",
    lane=3, target=2**32 - 2, commanded_at=AT, acknowledged_at=AT, ack_result="accepted", confirmed_at=AT,
    confirm_result="ejected", latency_ms=38.5, model_name="waste8", model_version="1.1.0", shift="early",
    thumbnail="01J", captured_at=AT, decided_at=AT, audit_probability=0.02,
)  # fmt: skip


def rows(url: str, table: sa.Table = pieces) -> list[dict[str, Any]]:
    """Return all rows of a table."""
    engine = open_database(url)
    with engine.connect() as connection:
        found = [dict(row._mapping) for row in connection.execute(sa.select(table))]
    engine.dispose()
    return found


def piece(seq: int, **values: Any) -> Piece:
    """Return a piece with little known of it."""
    return Piece(id=f"{seq:026}", line="line1", seq=seq, seen_at=AT, **values)


def test_a_row_comes_back_as_it_was_put(url: str) -> None:
    """All columns, with counts beyond 31 bits and times to the millisecond; a picture lies beside it."""
    writer = LedgerWriter(open_database(url))
    writer.start("line1", AT)
    writer.put(FULL)
    views = ({"frame": 7, "scores": {"red": 0.9}, "bytes": 3}, {"frame": 9, "bytes": 2})
    writer.keep(FULL, Film(b"\xff\xd8jpeg", views, b"one2f"))
    writer.event("line1", "camera_stalled", active=True, detail="no frame for 1 s", at=AT)
    writer.close()
    assert Piece(**rows(url)[0]) == FULL
    (kept,) = rows(url, thumbnails)
    assert kept == {"key": "01J", "at": AT, "jpeg": b"\xff\xd8jpeg", "views": list(views), "frames": b"one2f"}
    film = Film(kept["jpeg"], kept["views"], kept["frames"])
    assert [film.frame(number) for number in (0, 1, 2, 3)] == [None, b"one", b"2f", None]
    assert [row["code"] for row in rows(url, events)] == ["camera_stalled"]


def test_a_later_state_replaces_the_row_but_not_what_an_auditor_said(url: str) -> None:
    """The line's writer knows nothing of the label that a person gave meanwhile."""
    database = open_database(url)
    writer = LedgerWriter(database)
    writer.put(replace(FULL, status="acknowledged"))
    writer.flush()
    with database.begin() as connection:
        connection.execute(sa.update(pieces).values(true_category="paper_waste", audited_by="eve"))
    writer.put(FULL)
    writer.close()
    (row,) = rows(url)
    assert (row["status"], row["true_category"], row["audited_by"]) == ("confirmed", "paper_waste", "eve")


def test_a_killed_run_is_ended_and_sequence_numbers_go_on(url: str) -> None:
    """What may have been commanded is unknown; what was not, stayed on the belt; ends stay as they are."""
    writer = LedgerWriter(open_database(url))
    for seq, status in enumerate(["seen", "decided", "commanded", "acknowledged", "confirmed", "refused"], start=1):
        writer.put(piece(seq, status=status, lane=3))
    writer.close()
    writer = LedgerWriter(open_database(url))
    assert writer.start("line1", AT) == 7
    assert writer.start("other", AT) == 1
    writer.close()
    found = [(row["seq"], row["status"], row["reason"], row["lane"]) for row in rows(url)]
    assert sorted(found) == [
        (1, "late", "restart", 0),
        (2, "late", "restart", 0),
        (3, "unknown", "restart", 3),
        (4, "unknown", "restart", 3),
        (5, "confirmed", None, 3),
        (6, "refused", None, 3),
    ]


def test_equipment_that_never_confirms_has_ended_with_its_yes(tmp_path: Path) -> None:
    """An acknowledged piece of such a line was not left open."""
    url = f"sqlite:///{tmp_path / 'line.sqlite'}"
    writer = LedgerWriter(open_database(url))
    writer.put(piece(1, status="acknowledged", lane=3))
    writer.flush()
    writer.start("line1", AT, confirms=False)
    writer.close()
    assert rows(url)[0]["status"] == "acknowledged"


def test_what_comes_after_the_write_finds_the_row_on_disk(tmp_path: Path) -> None:
    """Another connection, as another process would have after a crash, reads it already."""
    file = tmp_path / "line.sqlite"
    writer = LedgerWriter(open_database(f"sqlite:///{file}"))
    seen: list[Any] = []
    done = threading.Event()

    def look(written: bool) -> None:
        with sqlite3.connect(file) as connection:
            seen.append((written, connection.execute("SELECT status FROM pieces").fetchall()))
        done.set()

    writer.put(piece(1, status="commanded"), after=look)
    assert done.wait(PATIENCE_S)
    writer.close()
    assert seen == [(True, [("commanded",)])]


def test_what_cannot_be_written_is_kept_and_written_later(tmp_path: Path) -> None:
    """Another program locks the file for longer than the patience: told, and made good for."""
    file = tmp_path / "line.sqlite"
    database = open_database(f"sqlite:///{file}")
    writer = LedgerWriter(database, threaded=False)
    with database.connect() as connection:
        connection.execute(sa.text("PRAGMA busy_timeout=1"))
        connection.commit()
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    told: list[bool] = []
    writer.put(piece(1), after=told.append)
    assert not writer.flush()
    assert told == [False]
    assert writer.fault is not None
    assert "locked" in writer.fault
    other.execute("ROLLBACK")
    other.close()
    writer.put(piece(2))
    assert writer.flush()
    assert writer.fault is None
    writer.close()
    assert [row["seq"] for row in rows(f"sqlite:///{file}")] == [1, 2]


def test_the_shipped_migrations_make_the_schema(url: str) -> None:
    """Tables and columns of the last migration are those the code uses."""
    engine = open_database(url)
    inspector = sa.inspect(engine)
    is_sqlite = engine.dialect.name == "sqlite"
    every = "SELECT name FROM sqlite_master WHERE type = 'index'" if is_sqlite else "SELECT indexname FROM pg_indexes"
    with engine.connect() as connection:
        indexes = set(connection.execute(sa.text(every)).scalars())
    for table in metadata.sorted_tables:
        assert {column["name"] for column in inspector.get_columns(table.name)} == set(table.columns.keys())
        assert indexes >= {index.name for index in table.indexes}
    engine.dispose()


def test_files_that_are_no_ledger_are_refused_and_left_alone(tmp_path: Path) -> None:
    """One line, with the path, and not a byte changed."""
    file = tmp_path / "notes.txt"
    file.write_text("not a database, whatever it is" * 100)
    before = file.read_bytes()
    with pytest.raises(InputError, match=r"notes\.txt: file is not a database"):
        open_database(f"sqlite:///{file}")
    assert file.read_bytes() == before
    with pytest.raises(InputError, match="unable to open"):
        open_database(f"sqlite:///{tmp_path / 'no' / 'folder' / 'x.sqlite'}")


def test_a_ledger_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    """Its tables may mean something else."""
    url = f"sqlite:///{tmp_path / 'line.sqlite'}"
    engine = open_database(url)
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    with pytest.raises(InputError, match="newer binsight"):
        open_database(url)


def test_a_ledger_of_the_first_version_is_brought_up_to_date(url: str) -> None:
    """With what is in it; who only reads is told to start the line, and changes nothing."""
    engine = open_database(url)
    config = Config()
    config.set_main_option("script_location", str(Path(retention.__file__).with_name("migrations")))
    with engine.begin() as config.attributes["connection"]:
        command.downgrade(config, "0001")
    row = {"id": "01J", "line": "line1", "seq": 1, "seen_at": AT, "status": "confirmed", "frames": 2, "lane": 1}
    picture = {"key": "01J", "at": AT, "jpeg": b"j"}
    with engine.begin() as connection:
        for table, values in ((pieces, row), (thumbnails, picture)):
            columns = (sa.column(name, table.c[name].type) for name in values)
            connection.execute(sa.insert(sa.table(table.name, *columns)).values(values))
    engine.dispose()
    with pytest.raises(InputError, match="of an older binsight; the next `binsight line run` brings it up to date"):
        open_database(url, upgrade=False)
    assert rows(url)[0] == rows(url)[0] | row
    assert rows(url, thumbnails) == [picture | {"views": None, "frames": None}]
    open_database(url, upgrade=False).dispose()


def commits_of(engine: sa.Engine) -> list[int]:
    """Return a list that grows with each transaction of a writer."""
    found: list[int] = []
    sa.event.listen(engine, "commit", lambda _: found.append(1))
    return found


def statuses(engine: sa.Engine) -> dict[int, str]:
    """Return what another connection reads."""
    with engine.connect() as connection:
        return dict(map(tuple, connection.execute(sa.select(pieces.c.seq, pieces.c.status))))


def wait_until(condition: Any) -> None:
    """Wait for what must come."""
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_ends_wait_for_the_next_command_and_go_with_it(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A first row is written by itself, a command at once with all that waits."""
    monkeypatch.setattr(writer_module, "_WAIT_S", 1e6)
    engine, done = open_database(url), threading.Event()
    writer = LedgerWriter(open_database(url))
    commits = commits_of(writer.database)
    writer.put(piece(2))
    assert writer.flush(PATIENCE_S)
    commits.clear()  # its connection, and the day, are there now
    writer.put(piece(1))
    wait_until(lambda: statuses(engine) == {1: "seen", 2: "seen"})
    writer.put(piece(1, status="confirmed"))
    writer.keep(piece(1, thumbnail="1"), Film(b"jpeg"))
    writer.event("line1", "link", active=True, detail="", at=AT)
    writer.put(piece(2, status="commanded"), after=lambda _: done.set())
    assert done.wait(PATIENCE_S)
    assert statuses(engine) == {1: "confirmed", 2: "commanded"}
    assert len(rows(url, thumbnails)) == len(rows(url, events)) == 1
    assert len(commits) == 2
    writer.close()
    engine.dispose()


def test_a_piece_that_is_decided_at_once_takes_one_transaction_and_its_end_goes_with_the_next(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen, decided and commanded are one row; that a command was accepted waits for what became of it."""
    monkeypatch.setattr(writer_module, "_WAIT_S", 1e6)
    monkeypatch.setattr(writer_module, "_FIRST_S", 1e6)
    monkeypatch.setattr(writer_module, "_ANSWER_S", 1e6)
    engine, writer = open_database(url), LedgerWriter(open_database(url))
    writer.start("line1", AT)
    writer.put(piece(1))
    assert writer.flush(PATIENCE_S)  # the day is there now
    commits, found = commits_of(writer.database), []
    for seq in (2, 3, 4):
        done = threading.Event()
        for status in ("seen", "decided"):
            writer.put(piece(seq, status=status))
        writer.put(piece(seq, status="commanded"), after=lambda _, done=done: done.set())
        assert done.wait(PATIENCE_S)
        writer.put(piece(seq, status="acknowledged"))
        found.append(statuses(engine))
        if seq == 2:
            writer.put(piece(seq, status="confirmed"))
    assert found[1] == {1: "seen", 2: "confirmed", 3: "commanded"}
    assert found[2] == {1: "seen", 2: "confirmed", 3: "commanded", 4: "commanded"}
    assert len(commits) == 3
    writer.close()
    assert statuses(engine) == {1: "seen", 2: "confirmed", 3: "acknowledged", 4: "acknowledged"}
    engine.dispose()


@pytest.mark.parametrize(("confirms", "status"), [(True, "acknowledged"), (False, "acknowledged"), (True, "seen")])
def test_what_waits_longest_is_written_by_itself(
    url: str, monkeypatch: pytest.MonkeyPatch, confirms: bool, status: Any
) -> None:
    """An acknowledgement, too, and at once with the others where it is the end."""
    for name in ("_FIRST_S", "_ANSWER_S" if confirms else "_WAIT_S"):
        monkeypatch.setattr(writer_module, name, 0.01)
    engine, writer = open_database(url), LedgerWriter(open_database(url))
    writer.start("line1", AT, confirms=confirms)
    writer.put(piece(1, status=status))
    wait_until(lambda: statuses(engine) == {1: status})
    writer.close()
    engine.dispose()


def test_what_waits_is_written_by_itself(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing needs to follow."""
    monkeypatch.setattr(writer_module, "_WAIT_S", 0.01)
    engine, writer = open_database(url), LedgerWriter(open_database(url))
    writer.put(piece(1, status="confirmed"))
    wait_until(lambda: statuses(engine) == {1: "confirmed"})
    writer.close()
    engine.dispose()


def test_a_kill_loses_no_piece_with_the_answers_that_wait(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its row and its command are there, and it ends as what was commanded and not answered."""
    monkeypatch.setattr(writer_module, "_WAIT_S", 1e6)
    writer, done = LedgerWriter(open_database(url)), threading.Event()
    writer.put(piece(1))
    writer.put(piece(1, status="commanded", lane=3), after=lambda _: done.set())
    assert done.wait(PATIENCE_S)
    writer.put(piece(1, status="confirmed", lane=3))
    writer.abandon()
    writer = LedgerWriter(open_database(url))
    assert writer.start("line1", AT) == 2
    writer.close()
    assert [(row["status"], row["reason"]) for row in rows(url)] == [("unknown", "restart")]


def test_a_second_line_of_a_name_is_refused(url: str) -> None:
    """Before it changes anything; another name, and the same one when the first is closed, are taken."""
    first, second = LedgerWriter(open_database(url)), LedgerWriter(open_database(url))
    first.start("line1", AT)
    first.put(piece(1, status="commanded"))
    first.flush()
    with pytest.raises(InputError, match="a line named 'line1' writes into this ledger already"):
        second.start("line1", AT)
    assert second.start("line2", AT) == 1
    assert rows(url)[0]["status"] == "commanded"
    first.close()
    assert second.start("line1", AT) == 2
    second.close()


def test_who_lost_the_connection_and_the_name_writes_no_more(postgres_server: str) -> None:
    """While PostgreSQL was away another line of that name was started: rows are kept, and it is told."""
    url = new_database(postgres_server)
    first, second = (LedgerWriter(open_database(url), threaded=False) for _ in range(2))
    first.start("line1", AT)
    with second.database.begin() as connection:
        others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> "
        connection.execute(sa.text(others + "pg_backend_pid()"))
        wait_until(lambda: not connection.execute(sa.text("SELECT 1 FROM pg_locks WHERE locktype = 'advisory'")).all())
    second.start("line1", AT)
    first.put(piece(1))
    assert not first.flush()  # the connection is gone
    assert not first.flush()
    assert first.fault is not None
    assert "writes into this ledger already, from 127.0.0.1 since 20" in first.fault
    second.close()
    assert first.flush()
    assert first.fault is None
    first.close()
    assert [row["seq"] for row in rows(url)] == [1]
