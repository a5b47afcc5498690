"""The table of degraded photos."""

from __future__ import annotations

from tests.evaluation.photos import labelled

from binsight.evaluation.corruption import CORRUPTIONS
from binsight.evaluation.robustness import measure_robustness
from binsight.predictor import Predictor


def test_table(shared_bundle, tmp_path):
    """Every corruption at three strengths; colours survive blurring, and a wrong label stays wrong."""
    photos = labelled(tmp_path, [("red", "red"), ("green", "green"), ("blue", "red"), ("blue", "blue")])
    told = []
    found = measure_robustness(
        Predictor.load(shared_bundle, threads=1),
        photos.paths,
        photos.labels,
        of=9,
        progress=lambda done, total: told.append((done, total)),
    )
    assert (found.photos, found.of) == (4, 9)
    assert found.clean.accuracy.value == 0.75
    assert [r.name for r in found.rows] == [c.name for c in CORRUPTIONS]
    blur = found.rows[0]
    assert [cell.accuracy.value for cell in blur.cells] == [0.75] * 3
    assert [cell.strength for cell in blur.cells] == [f"radius {s} % of the side" for s in ("0.5", "1", "2")]
    assert (blur.cells[0].accepted_share, blur.cells[0].accepted_accuracy) == (1, 0.75)
    assert 0 < found.mean_accuracy <= 0.75
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_the_same_seed_gives_the_same_table_with_any_number_of_workers(shared_bundle, tmp_path):
    """What is random depends on the seed and the photo alone."""
    photos = labelled(tmp_path, [("red", "red"), ("green", "grey"), ("blue", "grey")])
    predictor = Predictor.load(shared_bundle, threads=1)
    tables = [
        measure_robustness(predictor, photos.paths, photos.labels, of=3, seed=7, workers=workers) for workers in (1, 3)
    ]
    assert tables[0] == tables[1]
