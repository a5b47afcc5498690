"""`binsight adapt`: what it prints, as text and as JSON, and how it refuses."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.adapt.world import camera, factory_bundle

from binsight.bundle import load_bundle, write_bundle
from binsight.cli.app import root
from binsight.probability import ReviewThresholds


@pytest.fixture
def factory(tmp_path: Path) -> Path:
    """A bundle that can be taught."""
    return factory_bundle(tmp_path / "factory")


def run(*arguments: object) -> str:
    """What the command prints."""
    result = CliRunner().invoke(root, ["adapt", *map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return str(result.stdout)


def test_it_says_what_it_reached_and_what_it_wants(factory: Path, tmp_path: Path) -> None:
    """Before and after with intervals, what each class would need, and where the bundle is."""
    photos = camera(tmp_path / "photos", {"red": 40, "green": 4, "not-waste": 5})
    said = run(factory, photos, "--out", tmp_path / "out.zip", "--workers", 1)
    assert "right on this camera: " in said
    assert ", before " in said
    assert "would need more: green: 4 photos, wants about 15" in said
    assert "would need more: red" not in said
    assert said.rstrip().endswith(str(tmp_path / "out.zip"))
    assert load_bundle(tmp_path / "out.zip").manifest.version.endswith("-adapted1")


def test_json_has_it_all(factory: Path, tmp_path: Path) -> None:
    """Every figure with its interval."""
    photos = camera(tmp_path / "photos", {"red": 5, "green": 5})
    found = json.loads(run(factory, photos, "--out", tmp_path / "out", "--json"))
    assert {
        f"{name}{when}" for name in ("accuracy", "accepted", "accepted_right", "known") for when in ("", "_before")
    } <= set(found)
    assert set(found["accuracy"]) == {"value", "low", "high"}
    assert [c["name"] for c in found["classes"]] == ["red", "green"]


def test_a_new_class_by_flag_and_by_file(factory: Path, tmp_path: Path) -> None:
    """The flag takes defaults, and says which; a file says all of it."""
    photos = camera(tmp_path / "photos", {"red": 5, "yellow": 5})
    said = run(factory, photos, "--out", tmp_path / "flag", "--new-class", "yellow=compost")
    assert "yellow: stream compost, biodegradable" in said
    file = tmp_path / "new.toml"
    file.write_text(
        'name = "more"\n[[classes]]\nid = "yellow"\ntitle = "Yellow things"\nbiodegradable = false\nstream = "x"\n'
        '[[classes]]\nid = "unused"\ntitle = "Unused"\nbiodegradable = false\nstream = "x"\n'
    )
    run(factory, photos, "--out", tmp_path / "file", "--taxonomy", file)
    added = load_bundle(tmp_path / "file").manifest.taxonomy.classes[3:]
    assert [(c.id, c.title) for c in added] == [("yellow", "Yellow things")]


def test_a_new_class_without_effect_is_said(factory: Path, tmp_path: Path) -> None:
    """One that the model has, and one without a folder."""
    photos = camera(tmp_path / "photos", {"red": 6, "green": 6})
    flags = ["--new-class", "red=recycling", "--new-class", "yellow=recycling"]
    result = CliRunner().invoke(root, ["adapt", str(factory), str(photos), "--out", str(tmp_path / "out"), *flags])
    assert result.exit_code == 0
    assert [f"--new-class {name} had no effect" in result.stderr for name in ("red", "yellow")] == [True, True]


@pytest.mark.parametrize("flag", ["yellow", "=x", "yellow="])
def test_a_new_class_needs_a_stream(factory: Path, tmp_path: Path, flag: str) -> None:
    """In one line, with exit code 2."""
    arguments = ["adapt", str(factory), str(tmp_path), "--out", str(tmp_path / "out"), "--new-class", flag]
    result = CliRunner().invoke(root, arguments)
    assert result.exit_code == 2
    assert "NAME=STREAM" in result.output


def test_predict_says_that_a_camera_is_strange_and_how_to_teach_it(factory: Path, tmp_path: Path) -> None:
    """Of a folder, once, on standard error; of the same folder nothing is said after the lesson."""
    bundle = load_bundle(factory)
    manifest = replace(bundle.manifest, review=ReviewThresholds((0.0,) * 3, unfamiliarity=100.0))
    manifest = replace(manifest, training={"unfamiliarity_median": -300.0})  # energies
    strict = write_bundle(tmp_path / "strict", manifest, {name: bundle.read(name) for name in bundle.manifest.files})
    photos = camera(tmp_path / "photos", {"red": 15, "green": 15})
    result = CliRunner().invoke(root, ["predict", str(photos), "--model", str(strict), "--csv"])
    assert result.stderr.count("this camera is strange to tiny") == 1
    assert "binsight adapt tiny" in result.stderr
    assert {row["reason"] for row in csv.DictReader(result.stdout.splitlines())} == {"strange_camera"}
    only_warned = CliRunner().invoke(
        root, ["predict", str(photos), "--model", str(strict), "--csv", "--strange", "warn"]
    )
    assert only_warned.stderr.count("this camera is strange to tiny") == 1
    assert {row["decision"] for row in csv.DictReader(only_warned.stdout.splitlines())} == {"accept"}
    few = [str(path) for path in sorted(photos.rglob("*.png"))[:19]]
    of_few = CliRunner().invoke(root, ["predict", *few, "--model", str(strict), "--csv"])
    assert "strange" not in of_few.stderr + of_few.stdout
    run(strict, photos, "--out", tmp_path / "taught")
    result = CliRunner().invoke(root, ["predict", str(photos), "--model", str(tmp_path / "taught"), "--csv"])
    assert "strange" not in result.stderr
