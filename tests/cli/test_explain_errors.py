"""`binsight explain-errors`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from tests.evaluation.photos import save

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import RunBinsight


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Return three photos, two of them labelled wrongly."""
    for label, colour in (("red", "red"), ("green", "blue"), ("blue", "red")):
        save(tmp_path / "data" / label / f"{colour}.png", colour)
    return tmp_path / "data"


def test_table(binsight: RunBinsight, shared_bundle: Path, data: Path) -> None:
    """The mistakes with what they were taken for, without any file."""
    run = binsight("explain-errors", shared_bundle, data, "-q")
    assert run.code == 0, run.err
    assert run.lines()[0] == "tiny 1.0.0: 2 of 3 photos of data are wrong, 2 of these accepted"
    assert "green/blue.png" in run.out


def test_folder_page_and_copies(binsight: RunBinsight, shared_bundle: Path, data: Path, tmp_path: Path) -> None:
    """--out makes a folder, --copy fills it, --html writes the page alone."""
    out, page = tmp_path / "out", tmp_path / "m.html"
    run = binsight(
        "explain-errors", shared_bundle, data, "-q", "--out", out, "--copy", "--html", page, "--reference", data / "red"
    )
    assert run.code == 0, run.err
    assert f"page: {out / 'index.html'}" in run.out
    assert page.read_text("utf-8") == (out / "index.html").read_text("utf-8")
    assert [p.parent.name for p in sorted((out / "photos").rglob("*.png"))] == ["blue--red", "green--blue"]
    again = binsight("explain-errors", shared_bundle, data, "-q", "--out", out)
    assert (again.code, "pass --overwrite" in again.err) == (2, True)


def test_json(binsight: RunBinsight, shared_bundle: Path, data: Path) -> None:
    """Mistakes and pairs as data."""
    found = json.loads(binsight("explain-errors", shared_bundle, data, "--json", "-q", "--limit", "1").out)
    assert (found["wrong"], len(found["mistakes"]), len(found["confusions"])) == (2, 1, 2)


def test_copying_needs_a_place(binsight: RunBinsight, shared_bundle: Path, data: Path) -> None:
    """--copy alone is wrong use."""
    run = binsight("explain-errors", shared_bundle, data, "--copy")
    assert (run.code, "--copy needs --out" in run.err) == (2, True)


def test_help_teaches(binsight: RunBinsight) -> None:
    """Examples, and no line wider than a terminal."""
    run = binsight("explain-errors", "--help")
    assert "binsight explain-errors waste8 photos/ --html mistakes.html" in run.out
    assert max(map(len, run.lines())) <= 120
