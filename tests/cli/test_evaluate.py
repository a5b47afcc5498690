"""`binsight evaluate`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from tests.evaluation.photos import save
from tests.tiny_bundle import tiny_bundle

from binsight.bundle import CalibrationRecord, photo_key
from binsight.probability.calibration import ReviewTargets

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import RunBinsight

QUICK = ("--no-robustness", "-q")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Return a data set with two splits; in val one of five photos is labelled wrongly."""
    folder = tmp_path / "data"
    for i, (label, colour) in enumerate(
        [("red", "red"), ("red", "red"), ("green", "green"), ("blue", "blue"), ("blue", "red")]
    ):
        save(folder / "val" / label / f"{i}.png", colour)
    save(folder / "test" / "red" / "t.png", "red")
    return folder


def test_table(binsight: RunBinsight, shared_bundle: Path, data: Path) -> None:
    """The figures of the split val, with what is taken for what."""
    run = binsight("evaluate", shared_bundle, data, *QUICK)
    assert run.code == 0, run.err
    assert run.lines()[0] == "tiny 1.0.0 on 5 photos of val"
    assert any("Accuracy" in line and "80.0 %" in line for line in run.lines())
    assert any(line.split()[:2] == ["blue", "2"] and "1 red" in line for line in run.lines())


def test_json_with_requirements(binsight: RunBinsight, shared_bundle: Path, data: Path) -> None:
    """One document with every figure, and the requirements with value and bound."""
    run = binsight("evaluate", shared_bundle, data, *QUICK, "--json", "--require", "accuracy=0.8")
    found = json.loads(run.out)
    assert run.code == 0
    assert found["values"]["accuracy"]["value"] == 0.8
    assert found["requirements"] == [
        {"figure": "accuracy", "bound": 0.8, "at": "least", "value": 0.8, "met": True},
    ]


def test_missed_requirements_exit_with_1(binsight: RunBinsight, shared_bundle: Path, data: Path) -> None:
    """Each missed one is named with value and bound; those that are met are not."""
    run = binsight(
        "evaluate", shared_bundle, data, *QUICK, "--require", "accuracy=0.9", "--require", "ece=0.001",
        "--require", "recall.red=1", "--require", "unknown_auroc=0.5",
    )  # fmt: skip
    assert run.code == 1
    missed = run.err.splitlines()
    assert missed[0] == "binsight: requirement missed: accuracy is 0.8, required >= 0.9"
    assert missed[1].startswith("binsight: requirement missed: calibration_error is 0.1")
    assert missed[2] == "binsight: requirement missed: unknown_auroc not measured, required >= 0.5"
    assert len(missed) == 3
    assert "met  recall.red is 1, required >= 1" in run.out


def test_unknown_figure_is_wrong_use(binsight: RunBinsight, shared_bundle: Path, tmp_path: Path) -> None:
    """A slip is told before any photo is looked at."""
    run = binsight("evaluate", shared_bundle, tmp_path / "none", "--require", "acuracy=0.9")
    assert run.code == 2
    assert "did you mean accuracy" in run.err


def test_html(binsight: RunBinsight, shared_bundle: Path, data: Path, tmp_path: Path) -> None:
    """The report is written, requirements and all, also when one is missed."""
    page = tmp_path / "out" / "report.html"
    run = binsight("evaluate", shared_bundle, data, *QUICK, "--html", page, "--require", "accuracy=0.9")
    assert run.code == 1
    assert f"report: {page}" in run.out
    assert "✗ missed" in page.read_text("utf-8")


def test_robustness_and_unknown(binsight: RunBinsight, shared_bundle: Path, data: Path, tmp_path: Path) -> None:
    """Both are measured when asked for."""
    save(tmp_path / "strange" / "deep" / "grey.png", "grey")
    run = binsight(
        "evaluate", shared_bundle, data, "-q", "--robustness-photos", "2", "--unknown", tmp_path / "strange", "--json"
    )
    found = json.loads(run.out)
    assert found["robustness"]["photos"] == 2
    assert found["unknown"]["photos"] == 1


def test_empty_unknown_folder(binsight: RunBinsight, shared_bundle: Path, data: Path, tmp_path: Path) -> None:
    """No photos of something else is a mistake, not a perfect score."""
    (tmp_path / "strange").mkdir()
    run = binsight("evaluate", shared_bundle, data, *QUICK, "--unknown", tmp_path / "strange")
    assert run.code == 2
    assert "no photos in this folder" in run.err


def test_split_is_chosen(binsight: RunBinsight, shared_bundle: Path, data: Path) -> None:
    """Another split on request; one that is not there is refused with those that are."""
    assert "1 photos of test" in binsight("evaluate", shared_bundle, data, *QUICK, "--split", "test").out
    run = binsight("evaluate", shared_bundle, data, *QUICK, "--split", "vall")
    assert run.code == 2
    assert "no split 'vall'; there are val, test" in run.err


def test_folder_without_splits_is_taken_whole(binsight: RunBinsight, shared_bundle: Path, data: Path) -> None:
    """It is called by its name; asking for a split of it is refused."""
    assert "5 photos of val" in binsight("evaluate", shared_bundle, data / "val", *QUICK).out
    run = binsight("evaluate", shared_bundle, data / "val", *QUICK, "--split", "val")
    assert (run.code, "its photos are in no split" in run.err) == (2, True)


def test_other_class_names_are_refused_or_translated(
    binsight: RunBinsight, shared_bundle: Path, tmp_path: Path
) -> None:
    """A name that is no class needs --class; what is left out is said."""
    folder = tmp_path / "other"
    save(folder / "Red things" / "a.png", "red")
    save(folder / "grass" / "b.png", "green")
    save(folder / "stone" / "c.png", "grey")
    run = binsight("evaluate", shared_bundle, folder, *QUICK)
    assert run.code == 2
    assert "no class 'grass' in 'colours'" in run.err
    run = binsight("evaluate", shared_bundle, folder, "--no-robustness", "--class", "Grass=green", "--class", "stone=")
    assert run.code == 0, run.err
    assert "2 photos of other" in run.out
    assert "note: photos left out as asked: 1 stone" in run.err
    run = binsight("evaluate", shared_bundle, folder, *QUICK, "--class", "gras=green")
    assert "no class 'gras'; did you mean grass?" in run.err
    run = binsight("evaluate", shared_bundle, folder, *QUICK, "--class", "grass=green")
    assert "--class NAME= leaves it out" in run.err
    assert binsight("evaluate", shared_bundle, folder, "--class", "green").code == 2


def test_by_a_column(binsight: RunBinsight, shared_bundle: Path, data: Path) -> None:
    """The photos of a manifest are also counted by one of its columns."""
    manifest = data / "photos.csv"
    manifest.write_text("path,class,split,source\nval/red/0.png,red,val,mine\nval/blue/4.png,blue,val,theirs\n")
    run = binsight("evaluate", shared_bundle, manifest, *QUICK, "--by", "source", "--json")
    assert [(g["name"], g["accuracy"]["value"]) for g in json.loads(run.out)["groups"]] == [("mine", 1), ("theirs", 0)]
    run = binsight("evaluate", shared_bundle, manifest, *QUICK, "--by", "sorce")
    assert (run.code, "did you mean source?" in run.err) == (2, True)


def test_unreadable_photos_are_listed(binsight: RunBinsight, shared_bundle: Path, data: Path) -> None:
    """By path and reason, with escapes made harmless."""
    (data / "val" / "red" / "\x1b[31mx.png").write_bytes(b"broken")
    run = binsight("evaluate", shared_bundle, data, *QUICK)
    assert run.code == 0
    assert "on 5 photos" in run.out
    assert "not looked at: val/red/\\x1b[31mx.png: " in run.out
    assert "\x1b" not in run.out


def test_costs_from_a_file(binsight: RunBinsight, shared_bundle: Path, data: Path, tmp_path: Path) -> None:
    """The streams are those of the model."""
    costs = tmp_path / "costs.toml"
    costs.write_text("[costs.landfill]\nrecycling = 50\n")
    run = binsight("evaluate", shared_bundle, data, *QUICK, "--cost-matrix", costs, "--json")
    assert json.loads(run.out)["values"]["stream_cost"]["value"] == 10
    costs.write_text("[costs.paper]\nrecycling = 50\n")
    assert "no stream 'paper'" in binsight("evaluate", shared_bundle, data, *QUICK, "--cost-matrix", costs).err


def test_help_teaches(binsight: RunBinsight) -> None:
    """Examples, and no line wider than a terminal."""
    run = binsight("evaluate", "--help")
    assert "binsight evaluate waste8 photos/ --html report.html" in run.out
    assert max(map(len, run.lines())) <= 120


@pytest.fixture
def seeing(data: Path, tmp_path: Path) -> Path:
    """Return a bundle that was trained on the red photos of val, which are the same, and calibrated on the others."""
    paths = sorted((data / "val").rglob("*.png"))
    keys = [photo_key(path.read_bytes()) for path in paths]
    record = CalibrationRecord.of(ReviewTargets(), 0.9, {"trained": keys[-1:], "calibrated": keys[:-1]})
    return tiny_bundle(tmp_path / "seeing", calibration__json=record.to_bytes())


def test_photos_that_were_seen_are_warned_of(binsight: RunBinsight, seeing: Path, data: Path) -> None:
    """On standard error, and in the JSON."""
    run = binsight("evaluate", seeing, data, *QUICK, "--json")
    assert run.code == 0
    assert "warning: tiny has seen these photos: 3 of 5 photos were trained on" in run.err
    assert json.loads(run.out)["overlap"]["trained"] == 3


def test_requirements_on_training_photos_are_wrong_use(binsight: RunBinsight, seeing: Path, data: Path) -> None:
    """Exit code 2 and what to do, before anything is measured."""
    run = binsight("evaluate", seeing, data, *QUICK, "--require", "accuracy=0.5")
    assert (run.code, run.out) == (2, "")
    assert "were trained on" in run.err
    assert "--unseen" in run.err


def test_seen_photos_are_left_out(binsight: RunBinsight, seeing: Path, data: Path) -> None:
    """Of test the photo that is new, of val nothing."""
    save(data / "test" / "green" / "new.png", "green", size=(31, 32))
    run = binsight("evaluate", seeing, data, *QUICK, "--split", "test", "--unseen", "--require", "accuracy=1")
    assert run.code == 0, run.err
    assert "met  accuracy" in run.out
    run = binsight("evaluate", seeing, data, *QUICK, "--unseen")
    assert run.code == 2
    assert "expected photos that the model has not seen" in run.err


def test_copies_count_as_one(binsight: RunBinsight, shared_bundle: Path, tmp_path: Path) -> None:
    """Five copies of one photo, all right, are as sure as one: 1 / (1 + z^2) = 0.2065."""
    for i in range(5):
        photo = save(tmp_path / "d" / "red" / f"{i}.png", "red")
        photo.write_bytes(photo.read_bytes())
    found = json.loads(binsight("evaluate", shared_bundle, tmp_path / "d", *QUICK, "--json").out)
    assert found["values"]["accuracy"]["value"] == 1
    assert found["values"]["accuracy"]["low"] == pytest.approx(0.2065, abs=1e-4)
