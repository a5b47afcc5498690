"""The configuration: presets, files, flags, and the way back to a file."""

from __future__ import annotations

import tomllib
from dataclasses import fields, replace
from pathlib import Path

import pytest

from binsight.errors import InputError, SettingsError
from binsight.imaging import PreprocessSpec
from binsight.pipeline.backbone import choose_backbone
from binsight.pipeline.config import DataConfig, TrainConfig, all_options
from binsight.pipeline.presets import PRESETS, read_config_file, resolve_config
from binsight.pipeline.tail import find_cut
from binsight.training.augment.settings import STRENGTHS, AugmentSettings
from binsight.training.fine_tune.settings import FineTuneSettings


def _file(tmp_path, text):
    path = tmp_path / "train.toml"
    path.write_text(text)
    return read_config_file(path)


def test_every_setting_has_a_flag_of_its_own_and_a_text():
    """No two share one, and none is unexplained."""
    options = all_options()
    assert len({option.flag for option in options}) == len(options)
    assert all(option.text.endswith((".", "]")) or len(option.text) > 10 for option in options)


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_can_be_written_and_read_back(tmp_path, preset):
    """The file gives the same configuration, settings left open included."""
    config = resolve_config(flags={"preset": preset})
    assert resolve_config(file=_file(tmp_path, config.to_toml())) == config
    assert tomllib.loads(config.to_toml())["preset"] == preset


def test_presets_differ_in_what_they_are_for():
    """The first trains the backbone, fast does not, original is Xception with its own steps."""
    best, fast, original = (resolve_config(flags={"preset": name}) for name in ("best", "fast", "original"))
    assert best == resolve_config()
    assert (best.fine_tune.enabled, fast.fine_tune.enabled, original.fine_tune.enabled) == (True, False, False)
    assert (original.backbone.name, original.heads.kind) == ("xception", "original")


def test_flags_go_before_the_file_and_the_file_before_the_preset(tmp_path):
    """Each changes only what it names."""
    file = _file(
        tmp_path, 'preset = "original"\nseed = 5\n[original]\nsmall_size = 96\n[backbone]\nname = "xception"\n'
    )
    config = resolve_config(file=file, flags={"seed": "7", "original-rate-epochs": "2"})
    assert (config.seed, config.original.small_size, config.original.rate_epochs) == (7, 96, 2)
    assert config.heads.kind == "original"


def test_all_faults_are_reported_together(tmp_path):
    """Those of the file and those of the flags, with what was meant."""
    file = _file(tmp_path, "sed = 1\n[dat]\n[data]\nvall = 0.1\nval = 2\n[heads]\nkind = 'linear'\n")
    with pytest.raises(SettingsError) as caught:
        resolve_config(file=file, flags={"trials": "many", "seed": "-1"})
    message = str(caught.value)
    for part in (
        "no setting sed; did you mean seed?",
        "no section [dat]; did you mean data?",
        "no setting data.vall; did you mean val?",
        "data.val: expected a number from 0 to 1, got 2.0",
        "heads.kind: expected one of logistic, inner, original, bundle, got 'linear'",
        "--trials: expected a whole number, got 'many'",
        "--seed: expected a whole number from 0 to 2,147,483,647, got -1",
    ):
        assert part in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"val": "0.6", "test": "0.5"}, "some left for train"),
        ({"val": "0"}, "a share for val"),
        ({"tuning-dropout": "0.5,0.1"}, "two rising numbers"),
        ({"fine-tune-average": "0"}, "a share above 0 among them; --no-fine-tune leaves"),
        ({"fine-tune-head-views": "9"}, "no more than there are views, 8, got 9"),
        ({"licences": "mit,cc-buy", "val": "0"}, "'cc-buy' is known; did you mean cc-by.*a share for val"),
        ({"epochs": "0"}, "--epochs: expected a whole number from 1"),
        ({"augment-crop-scale": "2,1"}, "--augment-crop-scale: expected two rising numbers"),
        ({"epochs": "0", "augment-crop-scale": "2,1"}, "epochs.*crop-scale"),
    ],
)
def test_values_that_do_not_go_together(flags, message):
    """Each would be allowed by itself, or is judged by the layer that uses it."""
    with pytest.raises(SettingsError, match=message):
        resolve_config(flags=flags)


def test_files_that_are_none(tmp_path):
    """One line each."""
    with pytest.raises(InputError, match=r"cannot read .*none\.toml"):
        read_config_file(tmp_path / "none.toml")
    with pytest.raises(SettingsError, match="not valid TOML"):
        _file(tmp_path, "seed = ")


def test_a_section_of_the_wrong_kind(tmp_path):
    """A word where a table is expected, a table where a number is."""
    with pytest.raises(SettingsError, match="no setting data; there are preset, seed"):
        resolve_config(file=_file(tmp_path, "data = 1\n"))
    with pytest.raises(SettingsError, match=r"no section \[seed\]"):
        resolve_config(file=_file(tmp_path, "[seed]\n"))


def test_every_setting_of_the_fine_tuning_is_there():
    """With its default, and its description."""
    config, default = TrainConfig(), FineTuneSettings()  # not the preset best
    assert replace(config.fine_tune_settings(), augment=default.augment) == default
    options = {option.name: option for option in all_options() if option.section == "fine_tune"}
    for field in fields(FineTuneSettings):
        if field.name != "augment":
            assert options[field.name].default == getattr(default, field.name)
    assert "augment" not in config.to_dict()["fine_tune"]


def test_every_setting_of_the_augmentation_is_there(tmp_path):
    """Left open they are those of the strength; given, they change it."""
    names = {option.name for option in all_options() if option.section == "augment"}
    assert names == {"strength", *(field.name for field in fields(AugmentSettings))}
    file = _file(tmp_path, '[augment]\nstrength = "light"\ncrop_scale = [0.5, 1]\n')
    config = resolve_config(file=file)
    settings = config.augment
    assert config.fine_tune_settings().augment == settings
    assert settings.crop_scale == (0.5, 1.0)
    assert settings.hue == STRENGTHS["light"].hue


def test_the_preprocessing_is_the_backbones_but_for_what_is_chosen():
    """Mean and scale belong to the backbone."""
    own = PreprocessSpec(size=(224, 224), filter="bilinear", mean=(1.0, 2.0, 3.0))
    assert TrainConfig().spec(own) == own
    changed = resolve_config(flags={"backbone-size": "96", "preprocess-fit": "crop"}).spec(own)
    assert (changed.size, changed.fit, changed.filter, changed.mean) == ((96, 96), "crop", "bilinear", own.mean)


def test_a_configuration_built_in_python_is_checked_too():
    """All faults at once."""
    with pytest.raises(SettingsError, match=r"seed.*data\.val"):
        TrainConfig(seed=-1, data=DataConfig(val=3.0))


def test_its_json_has_no_tuples():
    """So that a bundle can hold it."""
    values = TrainConfig().to_dict()
    assert values["heads"]["inverse_penalties"] == [0.003, 0.01, 0.03]
    assert values["backbone"]["size"] is None


def test_a_setting_that_is_gone_is_refused_with_the_others():
    """Mixup brought nothing; one fault more beside it, both with what was meant."""
    with pytest.raises(SettingsError, match=r"no setting fine_tune\.mixup_alpha; .*no setting fine_tune\.learnig_rate; "
                       r"did you mean learning_rate\?"):  # fmt: skip
        resolve_config(file={"fine_tune": {"mixup_alpha": 0.2, "learnig_rate": 1e-3}})


def test_the_recipe_of_the_model_in_the_package_is_a_configuration():
    """Three seeds, half of the trained weights of each; every line of it is a setting."""
    path = Path(__file__).parents[2] / "recipes" / "waste8" / "waste8.toml"
    config = resolve_config(file=read_config_file(path))
    assert (config.fine_tune.seeds, config.fine_tune.average, config.fine_tune.keep) == ((0, 1, 2), (0.5,), "last")
    assert find_cut(choose_backbone(config), config.fine_tune.frozen_share).layer == "blocks_10_add"
    assert (path.parents[2] / config.bundle.about).is_file()
