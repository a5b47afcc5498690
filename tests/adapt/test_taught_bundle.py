"""A taught bundle with a new class is a bundle like any other: exported, compared, measured, shown."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from click.testing import CliRunner
from tests.adapt.world import PLANT_LIGHT, camera, factory_bundle, shots

from binsight.adapt import adapt
from binsight.bundle import load_bundle, verify_bundle
from binsight.cli.app import root
from binsight.export.engines import open_engine
from binsight.export.formats import FORMATS, add_to_bundle, export_network
from binsight.predictor import Predictor
from binsight.taxonomy import WasteClass

if TYPE_CHECKING:
    from pathlib import Path

YELLOW = WasteClass("yellow", "Yellow things", biodegradable=False, stream="landfill")
OUTPUTS = ("logits", "biodegradable_logit", "unfamiliarity")


@pytest.fixture(scope="module")
def factory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle before."""
    return factory_bundle(tmp_path_factory.mktemp("factory") / "bundle")


@pytest.fixture(scope="module")
def taught(factory: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle taught twice: another light, then a class that it did not have."""
    folder = tmp_path_factory.mktemp("plant")
    adapt(factory, camera(folder / "first", {"red": 8, "green": 8}), folder / "once", workers=1)
    second = camera(folder / "second", {"yellow": 12, "red": 6}, seed=4)
    adapt(folder / "once", second, folder / "taught.zip", new_classes=[YELLOW], workers=1)
    return folder / "taught.zip"


@pytest.fixture(scope="module")
def photos() -> np.ndarray:
    """Photos of all classes, `(n, 16, 16, 3)`."""
    return np.concatenate([shots(name, 12, light=PLANT_LIGHT, seed=7) for name in ("red", "green", "yellow")])


def run(*arguments: object) -> str:
    """What a command prints."""
    result = CliRunner().invoke(root, list(map(str, arguments)), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return str(result.stdout)


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_has_the_new_heads(taught: Path, photos: np.ndarray, name: str) -> None:
    """Category, second head and unfamiliarity are those of the bundle; integers come close."""
    bundle = load_bundle(taught)
    expected = Predictor(bundle, threads=1).run(photos, OUTPUTS)
    network = export_network(bundle, FORMATS[name], list(photos[::2]))
    said = open_engine(FORMATS[name].runtime, network, threads=1)(photos)
    assert said["logits"].shape == (36, 4)
    same = (said["logits"].argmax(axis=1) == expected.logits.argmax(axis=1)).mean()
    assert same >= (0.9 if FORMATS[name].is_quantised else 1)
    for output in OUTPUTS[: 2 if name == "litert-int8" else 3]:  # it has none other (docs/export.md)
        values = getattr(expected, output)
        loose = 0.15 * np.ptp(values) if FORMATS[name].is_quantised else 1e-3
        np.testing.assert_allclose(said[output], values, atol=loose)


def test_thresholds_travel_into_the_bundle_that_carries_an_export(
    taught: Path, photos: np.ndarray, tmp_path: Path
) -> None:
    """Temperatures, thresholds, taxonomy and card stay; it can be verified, and taught again without the old export."""
    bundle = load_bundle(taught)
    network = export_network(bundle, FORMATS["litert"])
    add_to_bundle(bundle, FORMATS["litert"], network, tmp_path / "edge.zip", facts={"photos": 0})
    edge = load_bundle(tmp_path / "edge.zip")
    assert verify_bundle(tmp_path / "edge.zip") == []
    for part in ("taxonomy", "temperature", "biodegradable_temperature", "review"):
        assert getattr(edge.manifest, part) == getattr(bundle.manifest, part)
    again = adapt(edge.path, camera(tmp_path / "more", {"red": 8, "yellow": 8}, seed=16), tmp_path / "again", workers=1)
    assert again.dropped == ("model.tflite",)
    old, new = (Predictor.load(path, threads=1).predict_images(list(photos)) for path in (taught, edge.path))
    assert [(p.category, p.decision) for p in old] == [(p.category, p.decision) for p in new]


def test_provenance_is_shown(factory: Path, taught: Path) -> None:
    """Each lesson a line, in order: from what, and what it showed; and in what it differs from the first."""
    shown = run("model", "show", taught)
    first, second = (line.strip() for line in shown.splitlines() if line.strip().startswith("adapted"))
    assert first.endswith("with photos: 8 green, 8 red")
    assert "from tiny 1.0.0, " in first
    assert "from tiny 1.0.0-adapted1, " in second
    assert second.endswith("with photos: 6 red, 12 yellow")
    differing = CliRunner().invoke(root, ["model", "diff", str(factory), str(taught), "--json"])
    keys = {entry["key"] for entry in json.loads(differing.stdout)}
    assert {"version", "taxonomy.classes.yellow.stream", "training.adapted.0.photos.red"} <= keys
    assert run("model", "verify", taught).strip().endswith("sound")


def test_it_is_measured_and_compared_with_what_it_was(factory: Path, taught: Path, tmp_path: Path) -> None:
    """On the new class as well; the old model, which does not have it, is wrong there, and that is said."""
    photos = camera(tmp_path / "photos", {"red": 8, "yellow": 8}, seed=11)
    measured = json.loads(run("evaluate", taught, photos, "--json", "--no-robustness"))
    assert measured["values"]["accuracy"]["value"] > 0.8
    compared = json.loads(run("compare", factory, taught, "--data", photos, "--json"))
    old, new = compared["entries"]
    assert new["accuracy"]["value"] == pytest.approx(measured["values"]["accuracy"]["value"])
    assert old["accuracy"]["value"] <= 0.5
    assert compared["lacking"] == ["tiny 1.0.0 has no yellow: these photos count as mistakes"]
