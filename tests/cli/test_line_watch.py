"""Lines that are shown from their ledgers, and who hears of alarms while a line runs."""

from __future__ import annotations

import urllib.request
from typing import TYPE_CHECKING, Any

import pytest
from tests.line.watched import WatchedLine, watched_config

from binsight.cli.line_watch import LineWatch, followed_lines
from binsight.errors import InputError, SettingsError
from binsight.line.run import SystemClock

if TYPE_CHECKING:
    from pathlib import Path


def write_line(folder: Path, model: Path, **tables: str) -> Path:
    """Return a `line.toml` for a line that sorts red."""
    name = tables.pop("name", "line1")
    path = folder / f"{name}.toml"
    category = tables.pop("category", "red")
    path.write_text(
        f'[line]\nname = "{name}"\nmodel = "{model}"\n'
        f'[[lanes]]\nnumber = 1\ncategories = ["{category}"]\ndistance_mm = 1200\n'
        '[sorter]\nkind = "mqtt"\nurl = "mqtt://127.0.0.1"\n'
    )
    return path


def test_a_ledger_is_shown(tmp_path: Path, shared_bundle: Path) -> None:
    """A line that runs elsewhere is found by its file: its ledger lies beside it."""
    line = WatchedLine(tmp_path)
    line.piece()
    (monitor,) = followed_lines([write_line(tmp_path, shared_bundle)])
    assert (monitor.overview()["pieces"], monitor.is_here) == (1, False)
    monitor.close()
    line.close()


def test_a_ledger_that_is_not_there(tmp_path: Path, shared_bundle: Path) -> None:
    """It is not made by looking at it; the message says what to do first."""
    file = write_line(tmp_path, shared_bundle)
    with pytest.raises(InputError, match="start the line first"):
        followed_lines([file])
    assert not (tmp_path / "line1.sqlite").exists()


def test_what_cannot_be_shown(tmp_path: Path, shared_bundle: Path) -> None:
    """Two lines of one name, and a category that the model does not know, are refused."""
    line = WatchedLine(tmp_path)
    file = write_line(tmp_path, shared_bundle)
    with pytest.raises(SettingsError, match="line1 twice"):
        followed_lines([file, file])
    with pytest.raises(SettingsError, match="purple"):
        followed_lines([write_line(tmp_path, shared_bundle, category="purple")])
    line.close()


def test_looking_on(tmp_path: Path, shared_bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """While a line runs its dashboard is served, where wanted; afterwards nothing is left running."""
    line = WatchedLine(tmp_path)
    watch = LineWatch(watched_config(), line.url, line.monitor.account.taxonomy, SystemClock())
    published: list[Any] = []
    running: Any = line
    with watch.looking(
        running, source=line.source, publish=published.append, http=("127.0.0.1", 0), model=str(shared_bundle)
    ):
        url = capsys.readouterr().err.split()[-1]
        with urllib.request.urlopen(url.replace("/lines", "/lines.json"), timeout=10) as answer:  # noqa: S310
            assert b'"here":true' in answer.read()
    with pytest.raises(OSError, match=r"refused|Errno"):
        urllib.request.urlopen(url, timeout=2)  # noqa: S310
    with watch.looking(running, source=None, publish=published.append, http=None, model=""):
        assert capsys.readouterr().err == ""
    line.close()
