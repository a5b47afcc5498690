"""`binsight compare`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from tests.evaluation.photos import save
from tests.tiny_bundle import tiny_bundle, tiny_manifest

from binsight.bundle import CalibrationRecord, photo_key
from binsight.probability.calibration import ReviewTargets

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import RunBinsight


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Return three photos, one of them labelled wrongly."""
    for label, colour in (("red", "red"), ("green", "green"), ("blue", "red")):
        save(tmp_path / "data" / label / "a.png", colour)
    return tmp_path / "data"


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """Return a second bundle, of another version."""
    return tiny_bundle(tmp_path / "other.zip", manifest=tiny_manifest(version="2.0.0"))


def test_table(binsight: RunBinsight, shared_bundle: Path, other: Path, data: Path) -> None:
    """Both models on the same photos, and whether they differ."""
    run = binsight("compare", shared_bundle, other, "--data", data, "-q")
    assert run.code == 0, run.err
    assert run.lines()[0] == "2 models on 3 photos of data"
    assert sum("66.7 %" in line for line in run.lines()) == 2
    assert "tiny 1.0.0 against tiny 2.0.0: no difference beyond chance" in run.out


def test_json_page_and_plot(
    binsight: RunBinsight, shared_bundle: Path, other: Path, data: Path, tmp_path: Path
) -> None:
    """All three forms of one comparison."""
    page, plot = tmp_path / "c.html", tmp_path / "c.png"
    run = binsight("compare", shared_bundle, other, "--data", data, "--json", "-q", "--html", page, "--plot", plot)
    found = json.loads(run.out)
    assert [e["name"] for e in found["entries"]] == ["tiny 1.0.0", "tiny 2.0.0"]
    assert page.read_text("utf-8").count("<svg ") == 2
    assert plot.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((), "at least two BUNDLEs, or --backbones"),
        (("waste8",), "at least two BUNDLEs"),
        (("waste8", "--backbones", "a,b"), "not both"),
        (("none.zip", "waste8"), "no model bundle at 'none.zip'"),
    ],
)
def test_wrong_use(binsight: RunBinsight, data: Path, arguments: tuple[str, ...], expected: str) -> None:
    """What is missing or too much is said."""
    run = binsight("compare", *arguments, "--data", data)
    assert run.code == 2
    assert expected in run.err


def test_backbones_need_a_split_to_fit_on(binsight: RunBinsight, data: Path) -> None:
    """A folder without train and val is refused before any backbone is loaded."""
    pytest.importorskip("binsight.pipeline.compare_backbones")
    run = binsight("compare", "--backbones", "efficientnet_lite0,efficientnet_lite1", "--data", data, "-q")
    assert run.code == 2
    assert "no split 'train'" in run.err


def test_help_teaches(binsight: RunBinsight) -> None:
    """Examples, and no line wider than a terminal."""
    run = binsight("compare", "--help")
    assert "binsight compare waste8 my.zip --data photos/" in run.out
    assert max(map(len, run.lines())) <= 120


def test_photos_that_were_seen_are_warned_of(binsight: RunBinsight, shared_bundle: Path, tmp_path: Path) -> None:
    """A model that was trained on the photos wins unfairly."""
    photo = save(tmp_path / "photos" / "red" / "1.png", "red")
    record = CalibrationRecord.of(ReviewTargets(), 0.9, {"trained": [photo_key(photo.read_bytes())]})
    seeing = tiny_bundle(tmp_path / "seeing", calibration__json=record.to_bytes())
    run = binsight("compare", seeing, shared_bundle, "--data", tmp_path / "photos", "-q", "--json")
    assert run.code == 0
    assert run.err.count("1 of 1 photos were trained on") == 1
    assert len(json.loads(run.out)["seen"]) == 1
