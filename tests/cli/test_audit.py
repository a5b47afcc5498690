"""`binsight data audit`."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner
from PIL import Image
from tests.dataset.duplicates.pictures import picture

from binsight.cli.app import root


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Two classes in two splits, without copies."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    data = tmp_path / "photos"
    for s, split in enumerate(("train", "test")):
        for c, name in enumerate(("a", "b")):
            (data / split / name).mkdir(parents=True)
            for i in range(5):
                Image.fromarray(picture(100 * s + 10 * c + i)).save(data / split / name / f"{i}.png")
    return data


def _run(*arguments):
    return CliRunner().invoke(root, ["data", "audit", *map(str, arguments), "--model", "none", "-q"])


def _leak(folder):
    (folder / "test" / "a" / "leak.png").write_bytes((folder / "train" / "a" / "0.png").read_bytes())


def test_sound_data_exits_with_0(folder):
    """Without leakage and conflicts the exit code is 0."""
    result = _run(folder)
    assert result.exit_code == 0, result.output
    assert "20 photos" in result.output


def test_leakage_exits_with_1(folder):
    """Copies on both sides of a split stop a pipeline, and the files are named."""
    _leak(folder)
    result = _run(folder)
    assert result.exit_code == 1
    assert "test/a/leak.png" in result.output
    assert "binsight data split" in result.output


def test_fail_on_chooses_what_stops(folder):
    """Any kind or severity may be asked for, or none."""
    _leak(folder)
    assert _run(folder, "--fail-on", "none").exit_code == 0
    assert _run(folder, "--fail-on", "label_conflict").exit_code == 0
    assert _run(folder, "--fail-on", "error").exit_code == 1
    assert _run(folder, "--fail-on", "small_class").exit_code == 1


def test_unknown_kind_is_wrong_use(folder):
    """A mistyped kind exits with 2 and lists the kinds."""
    result = _run(folder, "--fail-on", "leak")
    assert result.exit_code == 2
    assert "leakage" in result.output


def test_json(folder):
    """--json prints one document with the findings and the settings."""
    _leak(folder)
    found = json.loads(_run(folder, "--json", "--min-side", "50").stdout)
    assert found["counts"]["leakage"] == 1
    assert found["settings"]["min_side"] == 50


def test_html(folder, tmp_path):
    """--html writes the report, and says where."""
    result = _run(folder, "--html", tmp_path / "out.html")
    assert "out.html" in result.output
    assert (tmp_path / "out.html").read_text().startswith("<!DOCTYPE html>")


def test_setting_out_of_range_is_one_line(folder):
    """A threshold that makes no sense is refused by name."""
    result = _run(folder, "--near-similarity", "3")
    assert "near_similarity: expected a number from 0.5 to 1" in str(result.exception)


def test_hostile_names_reach_no_terminal(folder):
    """An escape sequence in a file name is printed as text."""
    _leak(folder)
    (folder / "train" / "a" / "0.png").rename(folder / "train" / "a" / "\x1b[31m[bold]0.png")
    result = _run(folder)
    assert "\x1b[31m" not in result.output
    assert "[bold]0.png" in result.output


def test_help_teaches():
    """The help shows examples and the default of every threshold."""
    result = CliRunner().invoke(root, ["data", "audit", "--help"])
    assert "binsight data audit photos/ --html audit.html" in result.output
    assert "--near-similarity" in result.output
