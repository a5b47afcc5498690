"""`binsight line audit`: labelling on the terminal and by file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from tests.line.ledger.filling import fill_file, piece

from binsight.line.ledger.database import open_database
from binsight.line.ledger.reading import read_piece

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import RunBinsight

ROWS = [piece(seq, drawn=seq <= 4) for seq in range(1, 6)]
IDS = [row.id for row in ROWS]


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    """Return a ledger of five pieces, four of them drawn."""
    file, database = fill_file(tmp_path, ROWS)
    database.dispose()
    return file


def said(ledger: Path) -> dict[str, tuple[str | None, str | None]]:
    """Return what was said of each piece, and by whom."""
    database = open_database(f"sqlite:///{ledger}")
    found = [read_piece(database, key) for key in IDS]
    database.dispose()
    return {f[0].id: (f[0].true_category, f[0].audited_by) for f in found if f and f[0].true_category}


def test_progress_and_the_next_ids_without_what_the_model_said(binsight: RunBinsight, ledger: Path) -> None:
    """Who labels must not be led."""
    run = binsight("line", "audit", ledger)
    assert run.lines()[0] == "line1: 0 of 4 drawn pieces are labelled (0%)"
    listed = binsight("line", "audit", ledger, "--list", 9)
    assert sorted(listed.lines()) == sorted(IDS[:4])
    assert "metal" not in run.out + listed.out
    assert json.loads(binsight("line", "audit", ledger, "--json").out)["open"] == 4


def test_label_on_the_terminal(binsight: RunBinsight, ledger: Path) -> None:
    """By number or by name; what is not understood is asked again; what was put off does not come back."""
    run = binsight("line", "audit", ledger, "--label", "--by", "Eve", stdin=b"nonsense\n4\ns\nOther\nPaper waste\n")
    assert run.code == 0, run.err
    assert "no class 'nonsense'" in run.err
    assert "nothing is left to label" in run.out
    assert sorted(word or "" for word, _ in said(ledger).values()) == ["metal_cans", "other", "paper_waste"]
    assert "▀" in run.out


def test_set_labels_of_single_pieces(binsight: RunBinsight, ledger: Path) -> None:
    """Another person's label is not replaced."""
    assert binsight("line", "audit", ledger, "--set", f"{IDS[0]}=metal_cans", "--by", "Eve").code == 0
    run = binsight("line", "audit", ledger, "--set", f"{IDS[0]}=paper_waste", "--by", "Bob")
    assert run.code == 2
    assert "already labelled by Eve" in run.err
    assert said(ledger) == {IDS[0]: ("metal_cans", "Eve")}


def test_export_and_import(binsight: RunBinsight, ledger: Path, tmp_path: Path) -> None:
    """A list and the pictures; rows that were left empty stay open; a second import changes nothing."""
    file = tmp_path / "audit.csv"
    assert binsight("line", "audit", ledger, "--export", file).code == 0
    header, *rows = file.read_text().splitlines()
    assert header == "id,true_category,audited_by"
    assert sorted(row.split(",")[0] for row in rows) == sorted(IDS[:4])
    assert len(list((tmp_path / "audit-pictures").glob("*.jpg"))) == 4
    again = binsight("line", "audit", ledger, "--export", file)
    assert (again.code, "--overwrite" in again.err) == (2, True)
    # As a spreadsheet writes it where the comma is for decimals.
    file.write_text(f"\ufeffid;true_category;audited_by\n{IDS[0]};Metal cans;Eve\n{IDS[1]};other;\n{IDS[2]};;\n")
    run = binsight("line", "audit", ledger, "--import", file, "--by", "Bob")
    assert run.code == 0, run.err
    assert said(ledger) == {IDS[0]: ("metal_cans", "Eve"), IDS[1]: ("other", "Bob")}
    assert (
        "0 labels written, 2 were there already"
        in binsight("line", "audit", ledger, "--import", file, "--by", "Bob").err
    )


def test_of_a_faulty_file_nothing_is_taken(binsight: RunBinsight, ledger: Path, tmp_path: Path) -> None:
    """All faults at once, in one line."""
    file = tmp_path / "audit.csv"
    good = f"{IDS[0]},metal_cans,Eve\n"
    for text, words in (
        (f"id,true_category,audited_by\n{good}{IDS[1]},can,Eve\n{IDS[4]},other,Eve\nx,other,Eve\n",
         ["no class 'can'", "was not drawn", "x: no such piece"]),
        (f"id,true_category,audited_by\n{good}{IDS[1]},other\n{IDS[2]},other,Eve,x\n", ["line 3: expected", "line 4"]),
        (f"id,true_category,audited_by\n{good}{IDS[1]},other,\n{IDS[2]},other,\n",
         ["2 labels without audited_by", "--by NAME"]),
        (f"id,category\n{IDS[0]},metal_cans\n", ["there is no true_category, audited_by"]),
        (f"id,true_category,audited_by\n{IDS[0]},,\n", ["no row has a true_category"]),
        ("", ["expected the columns"]),
        (f'id,true_category,audited_by\n{good}"{IDS[1]},other,Eve\n', ["line"]),
        (f"id,true_category,audited_by\n{good}{IDS[0]},other,Eve\n", ["stands there 2 times"]),
    ):  # fmt: skip
        file.write_text(text)
        run = binsight("line", "audit", ledger, "--import", file)
        assert (run.code, len(run.err.splitlines())) == (2, 1), (text, run)
        assert all(word in run.err for word in words), (words, run.err)
        assert said(ledger) == {}
    file.write_bytes("id;é".encode("cp1252"))
    assert "expected UTF-8" in binsight("line", "audit", ledger, "--import", file).err
    assert binsight("line", "audit", ledger, "--import", tmp_path / "none.csv").code == 2


def test_one_thing_at_a_time(binsight: RunBinsight, ledger: Path) -> None:
    """Wrong use says what is meant."""
    assert binsight("line", "audit", ledger, "--label", "--list", 3).code == 2
    assert "expected ID=CATEGORY" in binsight("line", "audit", ledger, "--set", "x").err
