"""Heads and their settings are chosen on photos that they did not learn from, copies of these included."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from binsight.pipeline.data import PreparedData, Split
from binsight.pipeline.frozen import fit_logistic, search_inner
from binsight.pipeline.presets import resolve_config
from binsight.pipeline.reporting import SilentReporter
from binsight.pipeline.run import Run
from binsight.pipeline.work import Work
from binsight.taxonomy import Taxonomy, WasteClass
from binsight.training.heads.small_fit import FeatureSet

TWO = Taxonomy("two", tuple(WasteClass(name, name, None, "bin") for name in ("a", "b")))
FLAGS = {"heads-inverse-penalties": "1", "heads-mirrored": "no", "trials": "3", "tuning-epochs": "30",
         "tuning-inner-sizes": "0", "tuning-learning-rate": "0.01,0.1", "tuning-dropout": "0,0.1"}  # fmt: skip


class Source:
    """Features that are known already."""

    def __init__(self, features, labels):
        self.key, self._features, self._labels = "features", features, labels

    def of_split(self, _name, _view="upright"):
        return self._features

    def views(self, _name):
        return FeatureSet([self._features], self._labels)


@pytest.fixture
def copied(tmp_path):
    """A run on 50 photos with three copies of each, and features that say which photo it is, but not which class."""
    generator = np.random.default_rng(0)
    groups = np.tile(np.arange(50), 4)
    labels = generator.permutation(np.arange(50) % 2)[groups]
    features = generator.normal(size=(50, 60))[groups] + 0.01 * generator.normal(size=(200, 60))
    split = Split((Path("x.png"),) * 200, labels, groups, ("",) * 200)
    data = PreparedData(TWO, True, tmp_path, {"train": split}, "", {})
    run = Run(resolve_config(flags=FLAGS), data, Work.open(tmp_path / "w"), SilentReporter(), 1)
    return run, Source(features.astype(np.float32), labels)


def test_copies_do_not_judge_the_penalty(copied):
    """Whoever learnt from a photo knows its copy: were it judged by that, every answer would be right."""
    assert fit_logistic(*copied).record["cross_validation"]["1"] < 0.75


def test_copies_do_not_judge_the_trials_of_a_search(copied):
    """Likewise; the best of three trials is no better than chance allows for ten photos."""
    found, _, _ = search_inner(*copied)
    assert found["accuracy"] < 0.9
