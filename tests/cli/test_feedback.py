"""`binsight feedback`: what it prints, writes and refuses."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from PIL import Image
from tests.tiny_bundle import tiny_taxonomy

from binsight.cli.app import root
from binsight.errors import InputError
from binsight.serving.corrections import FeedbackStore

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """Return a store with two corrections to green and one to blue."""
    store = FeedbackStore(tmp_path / "kept", max_bytes=1_000_000)
    for i, corrected in enumerate(("green", "green", "blue")):
        buffer = io.BytesIO()
        Image.new("RGB", (20, 20), (90 * i, 0, 0)).save(buffer, "PNG")
        said = {"predicted": "red", "corrected": corrected, "model_name": "tiny", "model_version": "1.0.0"}
        store.add(buffer.getvalue(), taxonomy=tiny_taxonomy(), **said)
    return store.directory


def run(*arguments: str | Path) -> str:
    """Return what `binsight feedback` prints."""
    result = CliRunner().invoke(root, ["feedback", *map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_list(kept: Path) -> None:
    """A list shows each correction: what it is, what it was taken for, by which model."""
    lines = run("list", kept).splitlines()
    assert [line.split()[:4] for line in lines if "tiny" in line] == [
        ["blue", "red", "tiny", "1.0.0"],
        ["green", "red", "tiny", "1.0.0"],
        ["green", "red", "tiny", "1.0.0"],
    ]
    assert lines[-1].startswith("3 corrections")


@pytest.mark.parametrize("command", ["list", "export"])
@pytest.mark.parametrize("damage", ["all", "pages"])
def test_damaged_index(kept: Path, tmp_path: Path, command: str, damage: str) -> None:
    """An index that is damaged is one line, and nothing is exported."""
    index = kept / "feedback.sqlite3"
    data = index.read_bytes()
    index.write_bytes((b"" if damage == "all" else data[:4096]).ljust(len(data), b"\x5a"))
    arguments = ["--to", str(tmp_path / "out")] if command == "export" else []
    with pytest.raises(InputError, match=r"cannot read \S+feedback\.sqlite3") as caught:
        run(command, kept, *arguments)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_list_json(kept: Path) -> None:
    """With `--json` each correction is one JSON object on a line of its own."""
    entries = [json.loads(line) for line in run("list", kept, "--json").splitlines()]
    assert [entry["corrected"] for entry in entries] == ["blue", "green", "green"]
    assert set(entries[0]) == {
        "sha256",
        "corrected",
        "predicted",
        "model_name",
        "model_version",
        "created",
        "size",
    }


def test_list_nothing(tmp_path: Path) -> None:
    """A store without corrections says so, and gives no JSON at all."""
    FeedbackStore(tmp_path, max_bytes=1)
    assert run("list", tmp_path) == "no corrections yet\n"
    assert run("list", tmp_path, "--json") == ""


def test_export(kept: Path, tmp_path: Path) -> None:
    """An export has a folder for each class, and tells how many photos are new."""
    output = run("export", kept, "--out", tmp_path / "out")
    counts = {folder.name: len(list(folder.iterdir())) for folder in (tmp_path / "out").iterdir()}
    assert counts == {"green": 2, "blue": 1}
    assert output.splitlines()[-1].endswith("3 new, 0 present, 0 moved")


def test_export_json(kept: Path, tmp_path: Path) -> None:
    """With `--json` an export, here a second one, is told as one object."""
    run("export", kept, "--out", tmp_path / "out")
    told = json.loads(run("export", kept, "--out", tmp_path / "out", "--json"))
    assert told == {
        "to": str(tmp_path / "out"),
        "classes": {"blue": 1, "green": 2},
        "new": 0,
        "present": 3,
        "moved": 0,
    }


@pytest.mark.parametrize("arguments", [["list"], ["export", "--out", "out"]])
def test_no_store(tmp_path: Path, arguments: list[str]) -> None:
    """A folder that is no store is refused in one line."""
    with pytest.raises(InputError, match=r"no feedback.sqlite3 in .*binsight serve --feedback"):
        run(arguments[0], tmp_path, *arguments[1:])
