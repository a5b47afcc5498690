"""Photos seen through a network, and flattened to a map."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from tests.tiny_bundle import tiny_bundle, tiny_model

from binsight.dataset import scan
from binsight.dataset.embedding import flatten, look_at
from binsight.errors import DatasetError
from binsight.predictor import Predictor


@pytest.fixture
def dataset(tmp_path):
    """Return three red photos, two blue ones and a broken one."""
    for i, (name, colour) in enumerate([("red", (255, 0, 0))] * 3 + [("blue", (0, 0, 255))] * 2):
        (tmp_path / name).mkdir(exist_ok=True)
        Image.new("RGB", (40 + i, 30), colour).save(tmp_path / name / f"{i}.png")
    (tmp_path / "blue/9.png").write_bytes(b"broken")
    return scan(tmp_path)


def test_look(dataset, shared_bundle):
    """Features are the network's, of length 1; means are of each class; faults are listed."""
    found = look_at(dataset, range(len(dataset)), predictor=Predictor.load(shared_bundle, threads=1))
    assert found.positions.tolist() == [0, 1, 3, 4, 5]
    assert np.allclose(found.features, [[0, 0, 1]] * 2 + [[1, 0, 0]] * 3, atol=1e-6)
    assert np.abs(found.means[0].astype(int) - (0, 0, 255)).max() <= 1
    assert np.abs(found.means[1].astype(int) - (255, 0, 0)).max() <= 1
    ((position, reason),) = found.faults
    assert dataset.samples[position].path == "blue/9.png"
    assert "expected a picture" in reason


def test_without_a_network(dataset):
    """Without a network there are means and no features."""
    found = look_at(dataset, [3])
    assert found.features is None
    assert np.abs(found.means[0].astype(int) - 127).max() == 0
    assert np.abs(found.means[1].astype(int) - (255, 0, 0)).max() <= 1


def test_workers(dataset, shared_bundle):
    """More threads give the same."""
    predictor = Predictor.load(shared_bundle, threads=1)
    one, four = (look_at(dataset, [0, 1, 3] * 20, predictor=predictor, workers=n) for n in (1, 4))
    assert np.array_equal(one.features, four.features)
    assert np.array_equal(one.means, four.means)


def test_network_without_features(dataset, tmp_path):
    """A network that has no features cannot draw a map."""
    model = tiny_model(outputs=("logits", "biodegradable_logit", "attention", "unfamiliarity"))
    bundle = tiny_bundle(tmp_path / "plain", model)
    with pytest.raises(DatasetError, match="no output features"):
        look_at(dataset, [0], predictor=Predictor.load(bundle, threads=1))


def test_map():
    """Two groups far apart in features are far apart on the map, which is the same every time."""
    rng = np.random.default_rng(0)
    centres = np.repeat(np.eye(2, 20, dtype=np.float32), 40, axis=0)
    features = (centres + 0.01 * rng.standard_normal((80, 20))).astype(np.float32)
    places = flatten(features, seed=3)
    assert places.shape == (80, 2)
    assert np.abs(places).max() <= 1 + 1e-6
    between = np.linalg.norm(places[:40].mean(axis=0) - places[40:].mean(axis=0))
    within = max(np.linalg.norm(part - part.mean(axis=0), axis=1).mean() for part in (places[:40], places[40:]))
    assert between > 3 * within
    assert np.array_equal(places, flatten(features, seed=3))


def test_few_photos():
    """A handful of photos makes no map."""
    with pytest.raises(DatasetError, match="at least 10 photos"):
        flatten(np.zeros((9, 4), np.float32))
