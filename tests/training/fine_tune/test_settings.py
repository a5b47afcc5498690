"""Settings of fine-tuning."""

import json

import pytest

from binsight.errors import SettingsError
from binsight.training.augment.settings import STRENGTHS, AugmentSettings
from binsight.training.fine_tune.settings import FineTuneSettings


def test_all_faults_are_reported_together():
    """Five wrong values, five clauses."""
    with pytest.raises(SettingsError) as caught:
        FineTuneSettings(epochs=0, batch_size=2.5, freeze_norm=1, label_smoothing=float("inf"), augment="strong")
    for name in ("epochs", "batch_size", "freeze_norm", "label_smoothing", "augment"):
        assert f"{name} must be" in str(caught.value)


def test_settings_survive_a_round_trip_through_json():
    """Ranges become lists and ranges again."""
    settings = FineTuneSettings(epochs=3, mixup_alpha=0.2, augment=STRENGTHS["strong"])
    assert FineTuneSettings.from_dict(json.loads(json.dumps(settings.to_dict()))) == settings


def test_what_is_missing_keeps_its_default():
    """Also inside augmentation, whose defaults alter nothing."""
    settings = FineTuneSettings.from_dict({"epochs": 2, "augment": {"crop_scale": [0.5, 1]}})
    assert settings.batch_size == FineTuneSettings().batch_size
    assert settings.augment == AugmentSettings(crop_scale=(0.5, 1))
    assert FineTuneSettings.from_dict({}) == FineTuneSettings()


def test_unknown_keys_are_refused():
    """The message lists what there is."""
    with pytest.raises(SettingsError, match="fine-tuning has no epoch; there are epochs,"):
        FineTuneSettings.from_dict({"epoch": 2})
    with pytest.raises(SettingsError, match="augmentation has no flip; there are crop_scale"):
        FineTuneSettings.from_dict({"augment": {"flip": 1}})
