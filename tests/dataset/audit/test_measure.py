"""Measuring many photos at once."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from tests.dataset.duplicates.pictures import picture

from binsight.dataset import scan
from binsight.dataset.audit.measure import measure_photos
from binsight.predictor import Predictor


@pytest.fixture
def dataset(tmp_path):
    """Seven photos; the third and the last cannot be decoded."""
    (tmp_path / "a").mkdir()
    for i in range(7):
        Image.fromarray(picture(i)).save(tmp_path / "a" / f"{i}.png")
    for i in (2, 6):
        (tmp_path / "a" / f"{i}.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    return scan(tmp_path)


def test_each_photo_has_its_own_features(dataset, shared_bundle):
    """Photos that fail do not shift the features of those that share a batch with them."""
    predictor = Predictor.load(shared_bundle, threads=1)
    found = measure_photos(dataset, predictor=predictor)
    assert sorted(found.faults) == [2, 6]
    assert np.isnan(found.features[[2, 6]]).all()
    for i in (0, 1, 3, 4, 5):
        alone = measure_photos(dataset.take([i]), predictor=predictor)
        assert np.array_equal(found.features[i], alone.features[0])
        assert np.array_equal(found.look[i], alone.look[0])


def test_cache_may_know_some_of_a_batch(dataset, shared_bundle, tmp_path):
    """Photos that are remembered and photos that are new come out in their places."""
    predictor = Predictor.load(shared_bundle, threads=1)
    cache = tmp_path / "c.sqlite"
    measure_photos(dataset.take([1, 4]), predictor=predictor, cache=cache)
    found, again = (measure_photos(dataset, predictor=predictor, cache=c) for c in (None, cache))
    assert np.array_equal(found.features, again.features, equal_nan=True)
    assert np.array_equal(found.look, again.look, equal_nan=True)
    assert found.prints.pixels_sha256 == again.prints.pixels_sha256


def test_every_photo_is_reported(dataset):
    """Progress counts up by one, though photos are handled a few at a time."""
    seen = []
    measure_photos(dataset, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(i, 7) for i in range(1, 8)]
