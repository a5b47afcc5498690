"""Many photos through the predictor."""

from __future__ import annotations

import numpy as np
import pytest
from tests.evaluation.photos import labelled, save
from tests.tiny_bundle import tiny_bundle, tiny_manifest, tiny_model, tiny_taxonomy

from binsight.errors import DatasetError
from binsight.evaluation.scoring import score_photos
from binsight.predictor import Predictor
from binsight.probability import ReviewThresholds


@pytest.fixture
def photos(tmp_path):
    """Nine photos, more than two batches."""
    colours = ("red", "green", "blue") * 3
    return labelled(tmp_path / "photos", [(colour, colour) for colour in colours])


def test_scores_are_what_the_predictor_says_of_each_photo(tmp_path, photos):
    """Class, confidence, second head and verdict equal those of one photo at a time."""
    review = ReviewThresholds((0.97, 0.9, 0.9), disagreement=0.0, unfamiliarity=1.5)
    predictor = Predictor.load(tiny_bundle(tmp_path / "b", manifest=tiny_manifest(review=review)), threads=1)
    save(photos.paths[2], "grey")
    scores, kept, unreadable = score_photos(predictor, photos.paths, workers=2)
    assert (kept.tolist(), unreadable) == (list(range(9)), ())
    for i, path in enumerate(photos.paths):
        single = predictor.predict_file(path)
        assert predictor.taxonomy.ids[scores.predicted[i]] == single.category
        assert scores.confidence[i] == pytest.approx(single.confidence, abs=1e-6)
        assert scores.biodegradable[i] == pytest.approx(single.biodegradable_probability, abs=1e-6)
        assert scores.verdicts[i] == single.verdict
    assert {v.reason for v in scores.verdicts} >= {"low_confidence", "heads_disagree"}


def test_unreadable_photos_are_named_and_left_out(shared_bundle, photos):
    """A damaged and a missing photo are listed with their reason; the others keep their place."""
    photos.paths[1].write_bytes(b"no photo")
    photos.paths[8].unlink()
    told = []
    scores, kept, unreadable = score_photos(
        Predictor.load(shared_bundle, threads=1),
        photos.paths,
        names=photos.name,
        progress=lambda done, total: told.append((done, total)),
    )
    assert kept.tolist() == [0, 2, 3, 4, 5, 6, 7]
    assert len(scores) == 7
    assert [(u.path, u.code) for u in unreadable] == [("green/01.png", "not_an_image"), ("blue/08.png", "unreadable")]
    assert told == [(4, 9), (8, 9), (9, 9)]


def test_nothing_readable_is_an_error_with_a_reason(shared_bundle, tmp_path):
    """There is nothing to measure."""
    path = tmp_path / "x.png"
    path.write_bytes(b"")
    with pytest.raises(DatasetError, match="none can be read, the first because"):
        score_photos(Predictor.load(shared_bundle, threads=1), [path])


def test_a_model_without_second_head_and_unfamiliarity(tmp_path, photos):
    """What a network does not give is None."""
    model = tiny_model(outputs=("logits", "attention"))
    manifest = tiny_manifest(tiny_taxonomy(is_open=True))
    predictor = Predictor.load(tiny_bundle(tmp_path / "b", model, manifest), threads=1)
    scores, _, _ = score_photos(predictor, photos.paths)
    assert scores.biodegradable is None
    assert scores.network.unfamiliarity is None
    assert np.array_equal(scores.predicted, photos.labels)
