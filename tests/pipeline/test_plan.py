"""What a training would do, and the model card it would write."""

from __future__ import annotations

import pytest
from tests.pipeline.tiny import COLOURS

from binsight.dataset import scan
from binsight.pipeline.plan import make_plan
from binsight.pipeline.presets import resolve_config


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"preset": "fast"}, ["C of 0.003, 0.01, 0.03 by 3-fold", "imagenet", "mirror images"]),
        (
            {"preset": "best", "epochs": "7"},
            ["behind blocks_10_add, on 8 altered views: 7 epochs at 0.0005", "50%, 75%, 100% of the trained weights"],
        ),
        ({"preset": "original"}, ["learning rates 0.0001, 0.001, 0.01, 0.1: 10 epochs", "xception, 150 px and 299 px"]),
        ({"preset": "fast", "head": "inner", "allow-leakage": "yes"}, ["best of 30 small networks", "leakage allowed"]),
    ],
)
def test_the_plan_names_every_step(photos, tiny, flags, words):
    """With the numbers that were chosen."""
    plan = make_plan(scan(photos, taxonomy=COLOURS), resolve_config(flags={"backbone-size": "299", **flags}))
    text = "\n".join(plan.steps).casefold()
    for word in words:
        assert word.casefold() in text.replace("weights from the package efficientnet_lite0", "imagenet")
    assert plan.photos == "60 photos (60 without split) of 3 classes"
    assert "logits" in plan.summary
    assert "biodegradable_logit" in plan.summary
    assert plan.to_dict()["config"]["preset"] == flags["preset"]


def test_the_card_says_what_the_manifest_says(trained):
    """Classes, photos, metrics and the digest; and what is not known to binsight."""
    card = (trained.result.bundle / "card.md").read_text()
    manifest = trained.result.manifest
    for text in ("colours", "`red`, `green`, `blue`", manifest.training["data_sha256"], "36 photos in `train`"):
        assert text in card
    accuracy = manifest.metrics["test"].values["accuracy"]
    assert f"| test | 9 | accuracy | {accuracy.value:.4f} | {accuracy.low:.4f} to {accuracy.high:.4f} |" in card
    assert "$" not in card
    assert "not known to binsight" in card
