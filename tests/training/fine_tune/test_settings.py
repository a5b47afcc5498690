"""Settings of fine-tuning."""

import json

import pytest

from binsight.errors import SettingsError
from binsight.training.augment.settings import STRENGTHS
from binsight.training.fine_tune.settings import FineTuneSettings


def test_all_faults_are_reported_together():
    """Five wrong values, five clauses."""
    with pytest.raises(SettingsError) as caught:
        FineTuneSettings(epochs=0, batch_size=2.5, freeze_norm=1, label_smoothing=float("inf"), keep="first")
    for name in ("epochs", "batch_size", "freeze_norm", "label_smoothing", "keep"):
        assert f"fine_tune.{name}: expected" in str(caught.value)
    with pytest.raises(SettingsError, match="expected AugmentSettings, got 'strong'"):
        FineTuneSettings(augment="strong")


def test_settings_can_be_kept_as_json():
    """A checkpoint has them; ranges are lists there."""
    kept = json.loads(json.dumps(FineTuneSettings(epochs=3, augment=STRENGTHS["strong"]).to_dict()))
    assert (kept["epochs"], kept["augment"]["crop_scale"]) == (3, [0.3, 1.0])
