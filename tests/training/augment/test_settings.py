"""Settings of augmentation: what is refused, and the named strengths."""

import pytest

from binsight.errors import SettingsError
from binsight.training.augment.settings import STRENGTHS, AugmentSettings, augment_strength


def test_all_faults_are_reported_together():
    """Three wrong values, three clauses."""
    with pytest.raises(SettingsError) as caught:
        AugmentSettings(flip_horizontal=1.5, crop_scale=(0.9, 0.1), rotation=float("nan"))
    message = str(caught.value)
    assert "augment.flip_horizontal: expected a number from 0 to 1, got 1.5" in message
    assert "augment.crop_scale: expected two rising numbers from 0.01 to 1, got (0.9, 0.1)" in message
    assert "augment.rotation: expected a number from 0 to 180, got nan" in message


@pytest.mark.parametrize(
    "wrong", [{"jpeg_quality": (0, 90)}, {"zoom": (0.1, 1.0)}, {"zoom": 1.2}, {"blur": True}, {"erase_area": (0.1,)}]
)
def test_what_makes_no_sense_is_refused(wrong):
    """Out of range, a number for a range, a truth value for a share."""
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        AugmentSettings(**wrong)


def test_a_strength_can_be_changed_field_by_field():
    """Lists, as TOML and JSON have them, are ranges too."""
    changed = augment_strength("light", crop_scale=[0.5, 0.9], hue=0)
    assert changed.crop_scale == (0.5, 0.9)
    assert changed.hue == 0
    assert changed.brightness == STRENGTHS["light"].brightness


def test_unknown_names_are_refused():
    """The message lists what there is."""
    with pytest.raises(SettingsError, match="none, light, strong"):
        augment_strength("heavy")
    with pytest.raises(SettingsError, match=r"no setting augment\.sharpen; "):
        augment_strength("strong", sharpen=1)
