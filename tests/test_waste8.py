"""The model that comes with the package."""

import csv
import io
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from binsight.adapt.heads import read_heads
from binsight.bundle import (
    builtin_bundles,
    load_bundle,
    read_calibration,
    read_replay,
    resolve_bundle,
    verify_bundle,
)
from binsight.imaging import decode_image, prepare_photo, read_photo
from binsight.predictor import Prediction, Predictor, predict_files
from binsight.taxonomy import builtin_taxonomy

ROOT = Path(__file__).parent.parent
VAL = ROOT.parent / "shared" / "data" / "waste8" / "val"
EXAMPLES = ROOT / "examples" / "photos"
SAMPLE = 200
needs_photos = pytest.mark.skipif(not VAL.is_dir(), reason="the photos in ../shared are not here")


@pytest.fixture(scope="module")
def predictor():
    """The shipped model, one thread per call."""
    return Predictor.load("waste8", threads=1)


def test_the_package_brings_it_and_it_is_sound():
    """`waste8` is found by name, and every file of it is as it was written."""
    assert "waste8" in builtin_bundles()
    assert verify_bundle(resolve_bundle("waste8")) == []


def test_its_taxonomy_is_the_built_in_one():
    """The classes inlined in the bundle are those of the package."""
    assert load_bundle(resolve_bundle("waste8")).manifest.taxonomy == builtin_taxonomy("waste8")


def test_its_card_states_the_accuracy_of_its_manifest():
    """The figure a person reads is the one a program reads."""
    bundle = load_bundle(resolve_bundle("waste8"))
    stated = bundle.manifest.metrics["test"].values["accuracy"].value
    assert f"| test | 1236 | accuracy | {stated:.4f} |" in bundle.read("card.md").decode()


def test_its_thresholds_are_those_that_were_measured(predictor):
    """One for all classes; on the photos it was chosen on the manifest states what it accepts, and another figure."""
    manifest = predictor.bundle.manifest
    assert len(set(manifest.review.confidence)) == 1
    stated = manifest.metrics["val"].values
    assert stated["accepted_accuracy"].value > stated["accepted_accuracy_cross_fitted"].value


def test_it_records_the_photos_it_has_seen(predictor):
    """Those of train and val, files of the same bytes once; and that val chose it."""
    record = read_calibration(predictor.bundle)
    assert [len(record.photos[role]) for role in ("trained", "calibrated", "chosen")] == [8706, 746, 746]


def test_its_card_says_what_could_be_shown_and_how_surely(predictor):
    """With mistakes among the surest photos of val, 99.3 % is shown with 80 % certainty; with 95 % it was not."""
    record = read_calibration(predictor.bundle)
    assert (record.targets.precision, record.targets.certainty, record.shown_precision) == (0.993, 0.8, 0.993)
    assert (
        "with 80% confidence, at least 99.3% of what is accepted is right" in predictor.bundle.read("card.md").decode()
    )


def test_glass_textiles_and_clothes_are_sent_to_review(predictor):
    """What it has no class for: the shares that the manifest states, of photos that were not trained on."""
    stated = predictor.bundle.manifest.metrics
    least = {"glass of TrashNet": 0.9, "glass of Garbage Dataset": 0.9, "textiles of Garbage Dataset": 0.95}
    kept_back = {name: stated[f"held out: {name}, kept back"].values["reviewed_share"].value for name in least}
    assert all(kept_back[name] > share for name, share in least.items())
    assert stated["not-waste"].values["reviewed_share"].value > 0.95


@needs_photos
def test_the_share_it_accepts_is_the_one_it_states(predictor):
    """README once stated a share that other thresholds accept: all photos of val, by the thresholds in the bundle."""
    photos = sorted(VAL.glob("*/*.jpg"))
    outcomes = list(predict_files(predictor, photos, workers=os.cpu_count() or 1))
    accepted = np.mean([isinstance(outcome, Prediction) and outcome.decision == "accept" for outcome in outcomes])
    stated = predictor.bundle.manifest.metrics["val"].values["accepted_share"].value
    assert accepted == pytest.approx(stated, abs=0.004)


def test_it_is_small_enough_to_ship():
    """The network stays below 25 MB."""
    assert load_bundle(resolve_bundle("waste8")).manifest.files["model.onnx"].size < 25_000_000


@needs_photos
def test_it_reaches_its_stated_accuracy_on_a_fixed_sample(predictor):
    """On 200 photos of val, evenly spaced, no less than the lower bound of the stated interval."""
    photos = sorted(VAL.glob("*/*.jpg"))
    sample = [photos[i] for i in np.linspace(0, len(photos) - 1, SAMPLE).astype(int)]
    outcomes = list(predict_files(predictor, sample, workers=os.cpu_count() or 1))
    right = [
        isinstance(outcome, Prediction) and outcome.category == photo.parent.name
        for outcome, photo in zip(outcomes, sample, strict=True)
    ]
    stated = predictor.bundle.manifest.metrics["val"].values["accuracy"]
    assert stated.low is not None
    assert np.mean(right) >= stated.low


@needs_photos
def test_single_and_batch_results_agree_on_real_photos(predictor):
    """Scores differ by less than 1e-4, whatever the batch."""
    photos = sorted(VAL.glob("*/*.jpg"))[::40]

    inputs = np.stack([prepare_photo(read_photo(photo), predictor.spec) for photo in photos])
    together = predictor.predict_prepared(inputs)
    for row, batched in zip(inputs, together, strict=True):
        single = predictor.predict_prepared(row[None])[0]
        assert max(abs(single.scores[c] - batched.scores[c]) for c in single.scores) < 1e-4


def test_example_photos_are_classified_or_sent_to_review(predictor):
    """Each is told rightly; what is none of the classes is sent to review; half of the others are accepted."""
    with (EXAMPLES / "expected.csv").open(newline="") as file:
        expected = {row["file"]: row["expected"] for row in csv.DictReader(file)}
    predictions = {name: predictor.predict_file(EXAMPLES / name) for name in expected}
    known = {name: category for name, category in expected.items() if category != "none"}
    assert {name: predictions[name].category for name in known} == known
    assert all(predictions[name].decision == "review" for name in expected if name not in known)
    assert sum(predictions[name].decision == "accept" for name in known) >= len(known) / 2


def test_leaves_off_a_plain_sheet_are_leaves_or_sent_to_review(predictor):
    """Nearly all training leaves lie on a grey sheet; autumn leaves on the ground are the fair test."""
    prediction = predictor.predict_file(EXAMPLES / "autumn_leaves.jpg")
    assert prediction.category == "leaf_waste" or prediction.decision == "review"


def test_a_large_photo_gives_the_probabilities_of_the_full_decode(predictor):
    """Decoding at reduced scale changes no score by more than 0.05 and no category."""
    with Image.open(EXAMPLES / "citrus_slices.jpg") as photo:
        large = photo.convert("RGB").resize((4000, 3000), Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    large.save(buffer, "JPEG", quality=90)
    reduced = predictor.predict_bytes(buffer.getvalue())
    (full,) = predictor.predict_images([decode_image(buffer.getvalue())])
    assert reduced.category == full.category
    assert max(abs(reduced.scores[c] - full.scores[c]) for c in full.scores) < 0.05


def test_nothing_to_see_is_sent_to_review(predictor):
    """Black, grey and white pictures are no waste."""
    plain = [np.full((300, 300, 3), value, np.uint8) for value in (0, 127, 255)]
    assert [p.decision for p in predictor.predict_images(plain)] == ["review"] * 3


def test_noise_is_sent_to_review(predictor):
    """Random pixels look like wood to it, but their features like those of no photo: at least 15 of 20."""
    generator = np.random.default_rng(1)
    pictures = [generator.integers(0, 256, (*predictor.spec.size, 3), np.uint8) for _ in range(10)]
    pictures += [picture[..., :1].repeat(3, axis=2) for picture in pictures]
    decisions = Counter(p.decision for p in predictor.predict_images(pictures))
    assert decisions["review"] >= 15


def test_it_can_be_taught():
    """It carries what it takes, and old photos look to the heads as they did, but for one in a hundred."""
    bundle = load_bundle(resolve_bundle("waste8"))
    replay = read_replay(bundle)
    assert replay is not None
    assert int(replay.held.sum()) == 751
    old = replay.calibration_photos()
    logits = read_heads(bundle.read_model()).categories.logits(old.features)
    measured = bundle.manifest.metrics["val"].values["accuracy"].value
    assert abs(np.mean(logits.argmax(axis=1) == old.labels) - measured) < 0.01
    assert 0 < bundle.manifest.training["unfamiliarity_median"] < bundle.manifest.review.unfamiliarity
