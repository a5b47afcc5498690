"""A sorter that is a file."""

from __future__ import annotations

import csv
import resource
from dataclasses import replace
from pathlib import Path

import pytest
from tests.line.fakes import COMMAND, FakeClock, Heard
from tests.patience import PATIENCE_S

from binsight.line.config import LineConfig, parse_line_config
from binsight.line.records import Ack
from binsight.line.sorters.csv_file import COLUMNS, CsvSorter


def config(path: Path) -> LineConfig:
    """Return a line with one lane and this file."""
    return parse_line_config(
        {
            "lanes": [{"number": 3, "categories": ["metal_cans"], "distance_mm": 1200}],
            "sorter": {"kind": "csv", "url": str(path)},
        }
    )


def started(path: Path) -> tuple[CsvSorter, Heard]:
    """Return a sorter that has begun, and what it hands back."""
    sorter, heard = CsvSorter(config(path), clock=FakeClock()), Heard()
    sorter.start(heard)
    return sorter, heard


def rows(path: Path) -> list[dict[str, str]]:
    """Return what the file holds."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_row_for_each_command_and_each_piece(tmp_path: Path) -> None:
    """At once in the file; the row is the answer; what is not about a piece is left out."""
    path = tmp_path / "line.csv"
    sorter, heard = started(path)
    assert heard.link.get(timeout=PATIENCE_S) is True
    assert sorter.send(COMMAND)
    assert heard.events.get(timeout=PATIENCE_S) == Ack(4711, "accepted", 100.0)
    sorter.publish("piece", {"id": "01A", "seq": 4711, "category": 'a "can", blue', "status": "acknowledged"})
    sorter.publish("state", {"online": True})
    command, piece = rows(path)
    assert (command["topic"], command["seq"], command["fire_in_ms"]) == ("cmd/sort", "4711", "412")
    assert (piece["topic"], piece["category"], piece["status"]) == ("piece", 'a "can", blue', "acknowledged")
    assert command["at"] == "2026-01-01T00:01:40.000Z"


def test_a_file_that_is_there_is_added_to(tmp_path: Path) -> None:
    """With one head; a row that a crash cut off spoils no other."""
    path = tmp_path / "line.csv"
    started(path)[0].send(COMMAND)
    whole = path.read_text()
    path.write_text(whole + "2026-01-01,piece,01")
    started(path)[0].send(replace(COMMAND, seq=5))
    assert [row["seq"] for row in rows(path)] == ["4711", None, "5"]
    assert path.read_text().count(COLUMNS[-1]) == 1


def test_a_full_disk(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The link is down and commands are refused, with one warning; when there is room again it goes on."""
    path = tmp_path / "line.csv"
    path.symlink_to("/dev/full")
    sorter, heard = started(path)
    assert not sorter.send(COMMAND)
    assert not sorter.send(COMMAND)
    assert sorter.dropped == 2
    assert [record.message for record in caplog.records] == [
        f"csv: cannot write {path}: no space left on its disk; make room, or choose another place"
    ]
    path.unlink()
    assert sorter.send(COMMAND)
    assert heard.link.get(timeout=PATIENCE_S) is True
    assert len(rows(path)) == 1


def test_a_row_is_whole_or_not_there(tmp_path: Path) -> None:
    """A disk that takes half of a row is left as it was before."""
    path = tmp_path / "line.csv"
    sorter, heard = started(path)
    assert sorter.send(COMMAND)
    before = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 20, limits[1]))
    try:
        assert not sorter.send(replace(COMMAND, seq=2))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before
    assert [heard.link.get(timeout=PATIENCE_S) for _ in range(2)] == [True, False]


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    """It is said, and nothing is sent."""
    sorter, heard = started(tmp_path / "no" / "line.csv")
    assert not sorter.send(COMMAND)
    assert heard.link.empty()
