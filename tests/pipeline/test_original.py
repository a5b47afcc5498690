"""The course project's steps, from photos to a bundle."""

from __future__ import annotations

import pytest
from tests.pipeline.tiny import COLOURS, FAST, SIZE

from binsight.bundle import verify_bundle
from binsight.dataset import scan
from binsight.pipeline import original
from binsight.pipeline.presets import resolve_config
from binsight.pipeline.train import places_beside, train
from binsight.predictor import Predictor

FLAGS = {
    **FAST,
    "preset": "original",
    "backbone": "efficientnet_lite0",
    "original-small-size": str(2 * SIZE),
    "original-learning-rates": "0.001,0.05",
    "original-inner-sizes": "4,16",
    "original-dropouts": "0,0.2",
    "original-rate-epochs": "4",
    "original-size-epochs": "6",
    "original-dropout-epochs": "6",
    "original-augmentations": "flip,brightness",
    "original-augmentation-epochs": "6",
    "original-final-epochs": "25",
}


@pytest.fixture
def run(tiny, photos, tmp_path, reporter):
    """Trains on the tiny photos."""

    def go(*, flags=None, **options):
        config = resolve_config(flags={**FLAGS, **(flags or {})})
        found = scan(photos, taxonomy=COLOURS)
        return train(found, config, places_beside(tmp_path / "mine"), workers=2, reporter=reporter, **options)

    return go


def test_every_step_is_done_recorded_and_resumed(run, photos, reporter, monkeypatch):
    """Rates, sizes, dropouts, augmentations one by one, then the final network, which predicts."""
    result = run()
    assert verify_bundle(result.bundle) == []
    selection = result.manifest.training["selection"]
    tried = [(entry["step"], entry["value"]) for entry in selection["experiments"]]
    assert tried == [
        ("learning_rate", 0.001), ("learning_rate", 0.05), ("inner_size", 4), ("inner_size", 16), ("dropout", 0.0),
        ("dropout", 0.2), ("augmentation", "none"), ("augmentation", "flip"), ("augmentation", "brightness"),
        ("final", SIZE),
    ]  # fmt: skip
    best = {e["value"]: e["accuracy"] for e in selection["experiments"] if e["step"] == "augmentation"}
    assert selection["augmentations"] == [kind for kind in ("flip", "brightness") if best[kind] > best["none"]]
    assert result.manifest.training["chosen_on_val"].startswith("Every setting")
    assert any(line.startswith("learning rate 0.05: val accuracy") for line in reporter.lines)
    predictor = Predictor.load(result.bundle, threads=1)
    right = [predictor.predict_file(path).category == path.parent.name for path in photos.rglob("*.png")]
    assert sum(right) > 40
    monkeypatch.setattr(original, "_run_steps", lambda *_args: pytest.fail("done again"))
    assert run(resume=True).manifest.training["selection"] == selection


def test_augmentation_can_be_left_out(run):
    """Then none is tried."""
    selection = run(flags={"original-augmentations": "none"}).manifest.training["selection"]
    assert not [e for e in selection["experiments"] if e["step"] == "augmentation"]
    assert selection["augmentations"] == []
