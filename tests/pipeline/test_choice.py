"""Which backbone the preset `best` trains."""

from __future__ import annotations

import pytest
from tests.pipeline.tiny import COLOURS, FAST

from binsight.dataset import scan
from binsight.pipeline import choice
from binsight.pipeline import train as train_module
from binsight.pipeline.choice import choose_larger
from binsight.pipeline.presets import resolve_config
from binsight.pipeline.train import places_beside, train


def test_best_leaves_it_open_and_a_backbone_that_is_named_stays():
    """Only where nobody chose, something is chosen."""
    assert resolve_config().backbone.name == "auto"
    assert resolve_config(flags={"preset": "fast"}).backbone.name == "efficientnet_lite0"
    assert resolve_config(flags={"backbone": "efficientnet_lite0"}).backbone.name == "efficientnet_lite0"


@pytest.mark.parametrize(
    ("best", "photos", "larger", "says"),
    [
        (0.93, 8581, True, "93.0% of 8,581 photos"),
        (0.95, 8581, False, "is large enough"),
        (0.93, 1500, True, "efficientnet_lite2 is trained for 20 epochs"),
        (0.93, 1499, False, "not known for so few: try --backbone efficientnet_lite2 --epochs 20"),
    ],
)
def test_hard_photos_get_a_larger_backbone(best, photos, larger, says):
    """By the best of the cross-validation, where there are as many photos as in the data sets of the rule."""
    found, why = choose_larger(resolve_config(), {"0.01": best - 0.02, "0.1": best}, photos)
    assert says in why
    assert (found is not None) is larger
    if found is not None:
        assert (found.backbone.name, found.fine_tune.epochs) == ("efficientnet_lite2", 20)
        assert found.backbone.size is None


def test_epochs_that_were_asked_for_stay():
    """The rule's own are for those who did not ask."""
    found, _ = choose_larger(resolve_config(flags={"epochs": "7"}), {"0.01": 0.9}, 5000)
    assert found is not None
    assert found.fine_tune.epochs == 7


def test_what_was_chosen_is_said_before_and_stands_in_the_bundle(tiny, photos, tmp_path, reporter, monkeypatch):
    """With how long it takes; heads, settings and the network are those of the larger one."""
    monkeypatch.setattr(choice, "_EASY", 1.1)
    monkeypatch.setattr(choice, "_FEWEST_PHOTOS", 10)
    seen = []

    def only_heads(run, chosen, fitted):
        seen.append((chosen.backbone.name, chosen.size, run.config.fine_tune.epochs, fitted.source.chosen.size))
        return train_module.TrainedModel(fitted)

    monkeypatch.setattr("binsight.pipeline.tuned.fine_tune_backbone", only_heads)
    flags = {name: value for name, value in FAST.items() if name != "backbone-size"} | {"preset": "best"}
    result = train(
        scan(photos, taxonomy=COLOURS), resolve_config(flags=flags), places_beside(tmp_path / "mine"), workers=2,
        reporter=reporter,
    )  # fmt: skip
    assert seen == [("efficientnet_lite2", 260, 20, 260)]
    assert any("efficientnet_lite2 is trained" in line and "minute" in line for line in reporter.lines)
    config = result.manifest.training["config"]
    assert (config["backbone"]["name"], config["fine_tune"]["epochs"]) == ("efficientnet_lite2", 20)
    assert result.manifest.preprocess.size == (260, 260)


def test_a_size_that_was_chosen_keeps_the_smallest(tiny, photos, tmp_path, reporter, monkeypatch):
    """The rule was measured at the backbones' own sizes."""
    monkeypatch.setattr(choice, "_EASY", 1.1)
    monkeypatch.setattr(choice, "_FEWEST_PHOTOS", 10)
    monkeypatch.setattr(
        "binsight.pipeline.tuned.fine_tune_backbone", lambda _run, _chosen, fitted: train_module.TrainedModel(fitted)
    )
    config = resolve_config(flags={**FAST, "preset": "best"})
    result = train(
        scan(photos, taxonomy=COLOURS), config, places_beside(tmp_path / "mine"), workers=2, reporter=reporter
    )
    assert result.manifest.preprocess.size == (32, 32)
