"""`binsight line report`: what it prints, writes and refuses."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest
from tests.line.ledger.filling import AT, TAXONOMY, fill_file, piece

from binsight.line.ledger.audit import Label, label_pieces
from binsight.line.ledger.database import open_database

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import RunBinsight


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    """Return a ledger of 100 cans, 20 leaves, 10 to review, 4 late, 1 unknown; 40 cans audited, 3 of them wrong."""
    cans = [piece(seq, minutes=seq, drawn=seq <= 40, shift="early" if seq < 60 else "late") for seq in range(1, 101)]
    others = [
        *(piece(seq, category="leaf_waste", lane=2) for seq in range(101, 121)),
        *(
            piece(seq, status="fail_safe", decision="review", reason="unfamiliar", lane=0, commanded_at=None)
            for seq in range(121, 131)
        ),
        *(piece(seq, status="late", reason="deadline", lane=0) for seq in range(131, 135)),
        piece(135, status="unknown", reason="no_answer"),
    ]
    file, database = fill_file(tmp_path, [*cans, *others])
    words = ["plastic_bags", "paper_waste", "other", *["metal_cans"] * 37]
    labels = [Label(can.id, word, "eve") for can, word in zip(cans, words, strict=False)]
    label_pieces(database, labels, at=AT, taxonomy=TAXONOMY)
    database.dispose()
    return file


def test_the_table_has_purity_ends_and_reasons(binsight: RunBinsight, ledger: Path) -> None:
    """Without flags: a person reads it."""
    run = binsight("line", "report", ledger)
    assert run.code == 0, run.err
    lane = next(line.split() for line in run.lines() if line.startswith(" 1 Metal"))
    assert lane[:7] == ["1", "Metal", "100", "1.0", "40", "3", "92.5"]
    ends = [line.split()[:3] for line in run.lines() if line.split()[:1] and len(line.split()) == 4]
    ends = [end for end in ends if end[0] in {"fail_safe", "late", "unknown"}]
    assert ends == [["fail_safe", "unfamiliar", "10"], ["late", "deadline", "4"], ["unknown", "no_answer", "1"]]
    assert "135 pieces" in run.out
    assert "From frame to command: p50" in run.out
    assert "Audit: 40 of 40 drawn pieces are labelled." in run.out


def test_csv_has_target_non_target_and_non_recyclable(binsight: RunBinsight, ledger: Path) -> None:
    """One row per lane: 37 of 40, 1 of 40 (paper), 2 of 40 (a bag, and something else)."""
    run = binsight("line", "report", ledger, "--csv")
    rows = {row["name"]: row for row in csv.DictReader(io.StringIO(run.out))}
    metal = rows["Metal"]
    shares = [float(metal[name]) for name in ("target", "non_target", "non_recyclable")]
    assert sum(shares) == pytest.approx(1)
    assert shares == [pytest.approx(37 / 40, abs=1e-4), 0.025, 0.05]
    assert float(metal["target_low"]) < shares[0] < float(metal["target_high"]) < 1
    assert rows["Compost"]["target"] == ""
    assert metal["by_weight"] == ""  # nobody said what something else weighs


def test_json_sums_up(binsight: RunBinsight, ledger: Path) -> None:
    """Ends, categories and lanes each account for every piece."""
    found = json.loads(binsight("line", "report", ledger, "--json").out)
    assert found["pieces"] == sum(end["pieces"] for end in found["ends"]) == 135
    assert sum(found["categories"].values()) == 135
    assert sum(lane["pieces"] for lane in found["lanes"]) + found["unknown_lane"] == 135
    assert found["review_rate"] == pytest.approx(10 / 135)
    early = json.loads(binsight("line", "report", ledger, "--json", "--shift", "early").out)
    assert early["pieces"] == 59
    hour = binsight(
        "line", "report", ledger, "--json", "--since", "2026-01-02T07:00Z", "--until", "2026-01-02T08:00+00:00"
    )
    assert json.loads(hour.out)["pieces"] == 41


class _Tags(HTMLParser):
    """Remembers what a page would fetch or run."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.fetched += [tag] if tag == "script" else [name for name, _ in attrs if name in {"src", "href"}]


def test_html_needs_nothing_else(binsight: RunBinsight, ledger: Path, tmp_path: Path) -> None:
    """No script, no other file; text from the ledger is escaped."""
    database = open_database(f"sqlite:///{ledger}")
    with database.begin() as connection:
        connection.exec_driver_sql("UPDATE pieces SET reason = '<b>x</b>' WHERE status = 'late'")
    database.dispose()
    run = binsight("line", "report", ledger, "--html", tmp_path / "r.html")
    assert run.code == 0, run.err
    page = (tmp_path / "r.html").read_text()
    tags = _Tags()
    tags.feed(page)
    assert tags.fetched == []
    assert "&lt;b&gt;x" in page
    assert "92.5&nbsp;%" in page


def test_line_toml_stands_for_its_ledger(binsight: RunBinsight, ledger: Path) -> None:
    """Its lanes count, not those with which the line ran: cans are no longer wanted in lane 1."""
    settings = ledger.with_name("line.toml")
    lane = (
        '[[lanes]]\nnumber = 1\nname = "Paper"\ncategories = ["paper_waste"]\ndistance_mm = 900\npurity_target = 0.9\n'
    )
    settings.write_text(f'[line]\nname = "line1"\n{lane}')
    run = binsight("line", "report", settings)
    assert run.code == 0, run.err
    assert "90.0 % missed" in run.out


def test_wrong_use_is_one_line(binsight: RunBinsight, ledger: Path, tmp_path: Path) -> None:
    """With what came and what to do; nothing is created."""
    (tmp_path / "text.sqlite").write_text("no database " * 100)
    (tmp_path / "empty.sqlite").write_bytes(b"")
    whole = ledger.read_bytes()
    (tmp_path / "half.sqlite").write_bytes(whole[: len(whole) // 2])
    for arguments, words in (
        ([tmp_path / "none.sqlite"], "no ledger at"),
        ([tmp_path], "is a folder"),
        ([tmp_path / "text.sqlite"], "file is not a database"),
        ([tmp_path / "empty.sqlite"], "is no ledger, or has no tables yet"),
        ([tmp_path / "half.sqlite"], "malformed"),
        ([tmp_path / "none.toml"], "cannot read"),
        (["nonsense://x"], "nonsense"),
        (["postgresql://nobody@127.0.0.1:1/x"], "cannot open the ledger"),
        ([ledger, "--line", "line9"], "it has line1"),
        ([ledger, "--since", "yesterday"], "expected a time such as"),
        ([ledger, "--since", "2030-01-01"], "is not before"),
        ([ledger, "--csv", "--json"], "one of them"),
    ):
        run = binsight("line", "report", *arguments)
        assert (run.code, run.out) == (2, ""), (arguments, run)
        assert words in run.err
        assert "Traceback" not in run.err
    assert not (tmp_path / "none.sqlite").exists()


def test_somebody_elses_database_is_refused_and_left_alone(binsight: RunBinsight, tmp_path: Path) -> None:
    """Not a byte of it changes."""
    file = tmp_path / "other.sqlite"
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE shopping (item TEXT)")
    connection.close()
    before = file.read_bytes()
    run = binsight("line", "report", file)
    assert (run.code, "is no ledger" in run.err) == (2, True)
    assert file.read_bytes() == before
    assert [found.name for found in tmp_path.iterdir()] == ["other.sqlite"]


def test_a_ledger_that_nothing_is_known_of_is_reported_all_the_same(binsight: RunBinsight, ledger: Path) -> None:
    """Without what belongs in its lanes there is no purity, and that is said."""
    database = open_database(f"sqlite:///{ledger}")
    with database.begin() as connection:
        connection.exec_driver_sql("UPDATE lines SET configuration = NULL")
    database.dispose()
    run = binsight("line", "report", ledger)
    assert run.code == 0
    assert "does not say what belongs in its lanes" in run.out
    assert "no_answer" in run.out
