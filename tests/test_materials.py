"""The second model in the package: ten materials, on the network of the first."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from binsight.bundle import builtin_bundles, load_bundle, pack_bundle, resolve_bundle, verify_bundle
from binsight.predictor import Predictor
from binsight.taxonomy import builtin_taxonomy

PHOTOS = Path(__file__).parent.parent / "examples" / "photos"
MOST_BYTES = 700_000


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    """`materials`, from the package."""
    return Predictor.load("materials", threads=1)


def test_it_is_sound_and_small() -> None:
    """Its network is that of `waste8` but for half a megabyte."""
    folder = resolve_bundle("materials")
    assert "materials" in builtin_bundles()
    assert verify_bundle(folder) == []
    assert sum(file.stat().st_size for file in folder.iterdir()) < MOST_BYTES
    base = load_bundle(folder).manifest.base
    assert base is not None
    assert base.sha256 == load_bundle(resolve_bundle("waste8")).manifest.files["model.onnx"].sha256


def test_its_classes_are_those_of_its_taxonomy() -> None:
    """Ten, of which five rot, in five streams."""
    manifest = load_bundle(resolve_bundle("materials")).manifest
    assert manifest.taxonomy == builtin_taxonomy("materials")
    rots = {c.id for c in manifest.taxonomy.classes if c.biodegradable}
    assert rots == {"cardboard", "food", "leaves", "paper", "wood"}
    assert {c.stream for c in manifest.taxonomy.classes} == {"compost", "e-waste", "glass", "recycling", "textiles"}
    assert {"test", "val", "held out: clothes", "trash"} <= set(manifest.metrics)


@pytest.mark.parametrize(("photo", "category"), [("autumn_leaves", "leaves"), ("motherboard", "ewaste")])
def test_it_tells_photos_that_nobody_trained_on(predictor: Predictor, photo: str, category: str) -> None:
    """And accepts them."""
    found = predictor.predict_file(PHOTOS / f"{photo}.jpg")
    assert (found.category, found.decision, found.model_name) == (category, "accept", "materials")


def test_what_is_no_waste_is_reviewed(predictor: Predictor) -> None:
    """An animal is of no material."""
    assert predictor.predict_file(PHOTOS / "dogs.jpg").decision == "review"


def test_as_a_zip_it_is_whole(tmp_path: Path, predictor: Predictor) -> None:
    """For other machines, and for programs that know neither binsight nor the other bundle."""
    whole = pack_bundle(resolve_bundle("materials"), tmp_path / "materials.zip")
    with zipfile.ZipFile(whole) as archive:
        assert "model.onnx" in archive.namelist()
        assert "model.onnx.delta" not in archive.namelist()
    photo = PHOTOS / "citrus_slices.jpg"
    assert Predictor.load(whole, threads=1).predict_file(photo).scores == predictor.predict_file(photo).scores
