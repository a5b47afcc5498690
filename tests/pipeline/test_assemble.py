"""What a bundle says of itself, against what it does."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from onnx import load_from_string
from onnx.numpy_helper import to_array
from tests.pipeline.tiny import COLOURS, FAST, make_photos

from binsight.bundle import load_bundle, read_calibration
from binsight.dataset import scan
from binsight.evaluation.evaluate import EvaluationSettings, evaluate_bundle
from binsight.evaluation.labelled import LabelledSet
from binsight.evaluation.reliability import calibration_errors, equal_width_bins
from binsight.imaging import prepare_photo
from binsight.pipeline.presets import resolve_config
from binsight.pipeline.train import places_beside, train
from binsight.predictor import Predictor


def _files(result, root, split):
    """The photos of a split, as the work folder has them."""
    kept = json.loads((result.bundle.with_name("mine.work") / "data.json").read_text())
    return [root / path for path, name, _ in kept["value"]["rows"] if name == split]


def test_known_features_are_those_of_the_photos_that_were_learnt_from(trained, photos):
    """Were they those of val, on which the scale is fitted, no photo of val would look strange."""
    bundle = load_bundle(trained.result.bundle)
    constants = {c.name: to_array(c) for c in load_from_string(bundle.read_model()).graph.initializer}
    seen = [
        prepare_photo(path.read_bytes(), bundle.manifest.preprocess) for path in _files(trained.result, photos, "train")
    ]
    features = np.stack(seen).mean(axis=(1, 2)) / 255  # as the tiny backbone has it
    assert len(seen) == 36
    np.testing.assert_allclose(constants["known.mean"], features.mean(axis=0), rtol=1e-4)


@pytest.fixture(scope="module")
def dimmer(tmp_path_factory):
    """Photos whose test split is of other pictures than train and val, and more of them."""
    root = make_photos(tmp_path_factory.mktemp("dimmer"), each=12, split="train")
    make_photos(root, each=8, split="val", start=50)
    return make_photos(root, each=20, split="test", start=100)


def test_test_is_measured_with_what_was_fitted_on_val(tiny, dimmer, tmp_path, reporter):
    """As a user does who has the bundle: with its temperature and its thresholds, whatever would suit test better."""
    config = resolve_config(flags={**FAST, "review-precision": "0.6"})
    places = places_beside(tmp_path / "mine")
    result = train(scan(dimmer, taxonomy=COLOURS), config, places, workers=2, reporter=reporter)
    predictor = Predictor.load(result.bundle, threads=1)
    found = [(path.parent.name, predictor.predict_file(path)) for path in _files(result, dimmer, "test")]
    assert len(found) == 60
    stated = result.manifest.metrics["test"].values
    right = np.array([name == prediction.category for name, prediction in found])
    confidence = np.array([prediction.confidence for _, prediction in found])
    accepted = np.array([prediction.decision == "accept" for _, prediction in found])
    assert accepted.any()
    assert stated["accepted_share"].value == pytest.approx(accepted.mean())
    (error,) = calibration_errors(np.ones((1, 60)), confidence, right, equal_width_bins(confidence, 15))
    assert stated["calibration_error"].value == pytest.approx(error, abs=1e-4)


@pytest.fixture(scope="module")
def mistaken(tmp_path_factory):
    """Photos of which some lie in the wrong folder: no model is always right on them."""
    root = tmp_path_factory.mktemp("mistaken")
    for split, start in (("train", 0), ("val", 50)):
        make_photos(root, each=12, split=split, start=start)
        make_photos(root, each=4, split=split, start=start + 20, names=("green", "blue", "red"))
    return root


def test_evaluating_on_val_gives_the_figures_of_the_manifest(tiny, mistaken, tmp_path, reporter):
    """Whoever measures on the photos that temperatures were fitted on gets the cross-fitted error as well."""
    places = places_beside(tmp_path / "mine")
    config = resolve_config(flags=FAST)
    result = train(scan(mistaken, taxonomy=COLOURS), config, places, workers=2, reporter=reporter)
    files = _files(result, mistaken, "val")
    labels = np.array([COLOURS.index(path.parent.name) for path in files])
    settings = EvaluationSettings(resamples=20)
    found = evaluate_bundle(result.bundle, LabelledSet(tuple(files), labels), robustness=False, settings=settings)
    stated = result.manifest.metrics["val"].values
    for name in ("calibration_error", "calibration_error_cross_fitted"):
        assert found.values[name].value == pytest.approx(stated[name].value, abs=1e-4)
    apart = abs(stated["calibration_error"].value - stated["calibration_error_cross_fitted"].value)
    assert apart > 1e-3


def test_copies_in_val_are_no_further_evidence(tiny, mistaken, tmp_path, reporter):
    """Each photo of val twice over: the same threshold, shown by as many photos, and intervals no narrower."""
    doubled = shutil.copytree(mistaken, tmp_path / "doubled")
    for path in list((doubled / "val").rglob("*.png")):
        shutil.copy(path, path.with_stem(f"{path.stem}-again"))
    flags = {**FAST, "review-precision": "0.6", "review-unfamiliar-share": "0", "review-disagreement-share": "0"}
    found = []
    for root in (mistaken, doubled):
        dataset, places = scan(root, taxonomy=COLOURS), places_beside(tmp_path / f"bundle-{len(found)}")
        result = train(dataset, resolve_config(flags=flags), places, workers=2, reporter=reporter)
        found.append((result.manifest, read_calibration(load_bundle(result.bundle))))
    (once, shown), (twice, shown_twice) = found
    assert twice.metrics["val"].photos == 2 * once.metrics["val"].photos
    assert 0 < shown.shown_precision == pytest.approx(shown_twice.shown_precision)
    assert twice.review.confidence == pytest.approx(once.review.confidence, abs=1e-5)
    for name in ("accuracy", "accepted_share"):
        one, two = once.metrics["val"].values[name], twice.metrics["val"].values[name]
        assert (two.value, two.low, two.high) == pytest.approx((one.value, one.low, one.high))
