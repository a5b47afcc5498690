"""The search by itself."""

from __future__ import annotations

import csv

import pytest
from PIL import Image
from tests.pipeline.tiny import COLOURS, FAST

from binsight.dataset import scan
from binsight.pipeline.presets import read_config_file, resolve_config
from binsight.pipeline.tune import tune
from binsight.pipeline.tuning_plots import draw_choice, draw_curve, draw_importance
from binsight.training.heads.search import TrialRecord

FLAGS = {**FAST, "trials": "6", "tuning-epochs": "3", "tuning-inner-sizes": "0,6"}


@pytest.fixture
def run(tiny, photos, tmp_path, reporter):
    """Searches on the tiny photos."""

    def go(**flags):
        config = resolve_config(flags={**FLAGS, **flags})
        return tune(
            scan(photos, taxonomy=COLOURS), config, tmp_path / "out", work=tmp_path / "work", resume=True, workers=2,
            reporter=reporter,
        )  # fmt: skip

    return go


def test_a_table_pictures_and_settings_are_written(run, tmp_path):
    """The settings are a configuration for one trial with the best values."""
    result = run()
    rows = list(csv.DictReader((tmp_path / "out" / "trials.csv").read_text().splitlines()))
    assert len(rows) == len(result.trials) == 6
    for name in ("learning_rate", "inner_size", "dropout"):
        with Image.open(tmp_path / "out" / f"{name}.png") as picture:
            assert picture.width > 500
    config = resolve_config(file=read_config_file(tmp_path / "out" / "best.toml"))
    assert (config.heads.kind, config.tuning.trials) == ("inner", 1)
    assert config.tuning.learning_rate == (result.best.params["learning_rate"],) * 2
    assert all(path.is_file() for path in result.files)
    assert result.to_dict()["best"]["accuracy"] == result.best.value


def test_it_goes_on_where_it_was(run):
    """More trials of the same study."""
    first = run(trials="2")
    second = run(trials="4")
    assert second.study == first.study
    assert second.trials[:2] == first.trials


def test_another_space_is_another_study(run):
    """Old trials do not count for it."""
    first = run(trials="2")
    assert run(**{"trials": "2", "tuning-inner-sizes": "9"}).study != first.study


def _trial(number, value, **params):
    return TrialRecord(number, value, params, pruned=number % 3 == 1, epoch=1)


def test_pictures_of_few_and_many_trials():
    """One trial, all equal, all pruned: something is drawn."""
    some = [_trial(i, 0.5 + 0.04 * i, rate=10.0**-i, size=i % 2 * 10) for i in range(9)]
    for trials in (some, some[:1], some[1:2], [_trial(0, 0.5, rate=0.1, size=0)] * 3):
        assert draw_curve(trials, "rate", by="size", log=True).axes
        assert draw_choice(trials, "size").axes
    assert draw_importance({"rate": 0.9, "size": 0.1}).axes[0].get_xlabel().startswith("share")
