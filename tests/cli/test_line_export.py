"""`binsight line export` and `divide`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.dataset as ds
import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from tests.line.ledger.filling import AT, fill, fill_file, piece
from tests.line.services import new_database, postgres

from binsight.line.ledger import days
from binsight.line.ledger.database import open_database
from binsight.line.ledger.writer import LedgerWriter

if TYPE_CHECKING:
    from tests.cli.conftest import RunBinsight


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    """Return a ledger of two lines, two hours and one."""
    file, database = fill_file(tmp_path, [piece(seq, minutes=30 * (seq - 1)) for seq in range(1, 5)])
    writer = LedgerWriter(database, threaded=False)
    writer.start("line2", AT)
    writer.put(replace(piece(5), line="line2"))
    writer.close()
    return file


def test_all_lines_or_those_that_are_named(binsight: RunBinsight, ledger: Path, tmp_path: Path) -> None:
    """Run again, it writes nothing."""
    out = tmp_path / "out"
    run = binsight("line", "export", ledger, "--out", out, "--line", "line2")
    assert (run.code, run.lines()) == (0, ["line2: hours: 1 written, 0 anew, 0 as they were; pieces: 1"])
    run = binsight("line", "export", ledger, "--out", out, "--json")
    assert [(told["line"], told["written"], told["unchanged"], told["rows"]) for told in run.objects()] == [
        ("line1", 2, 0, 4),
        ("line2", 0, 1, 0),
    ]
    assert ds.dataset(out, partitioning="hive").to_table().num_rows == 5
    run = binsight("line", "export", ledger, "--out", tmp_path / "later", "--since", "2026-01-02T06:00:01+00:00")
    assert run.lines()[0] == "line1: hours: 1 written, 0 anew, 0 as they were; pieces: 2"


def test_what_cannot_be_is_told_before_anything_is_written(binsight: RunBinsight, ledger: Path, tmp_path: Path) -> None:
    """One line each, exit code 2."""
    out = tmp_path / "out"
    for arguments, words in (
        ((ledger,), "--out"),
        ((ledger, "--out", out, "--line", "line1", "--line", "line9"), "no line 'line9' in this ledger; it has line1"),
        ((tmp_path / "none.sqlite", "--out", out), "no ledger at"),
        ((ledger, "--out", "ftp://host/x"), "expected a folder, or an address that begins with s3://"),
        ((ledger, "--out", ledger), "expected a folder"),
    ):
        run = binsight("line", "export", *arguments)
        assert run.code == 2
        assert words in run.err, run.err
    assert not out.exists()


def test_divide(binsight: RunBinsight, ledger: Path) -> None:
    """A ledger of an earlier version, once; a file is refused."""
    run = binsight("line", "divide", ledger)
    assert run.code == 2
    assert "expected a ledger in PostgreSQL" in run.err
    with postgres() as server:
        url = new_database(server)
        database, config = fill(url, [piece(1)]), Config()
        config.set_main_option("script_location", str(Path(days.__file__).with_name("migrations")))
        for step, version in ((command.downgrade, "0002"), (command.upgrade, "head")):
            with database.begin() as config.attributes["connection"]:
                step(config, version)
        database.dispose()
        for words in ("kept by days from now on", "it is kept by days already"):
            run = binsight("line", "divide", url)
            assert (run.code, run.lines()) == (0, [words])
        database = open_database(url)
        with database.connect() as connection:
            assert days.are_divided(connection)
            assert connection.execute(sa.text("SELECT seq FROM pieces_before")).scalars().all() == [1]
        database.dispose()
