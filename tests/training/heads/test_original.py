"""The steps of the course project."""

from __future__ import annotations

import numpy as np
import pytest

from binsight.errors import SettingsError
from binsight.training.augment.settings import AugmentSettings
from binsight.training.heads.original import (
    AUGMENTATIONS,
    OriginalGrid,
    best_experiment,
    combine_augmentations,
    run_grid,
)
from binsight.training.heads.small_fit import FeatureSet
from binsight.training.heads.small_network import SmallNetworkSettings

GRID = OriginalGrid((1e-4, 1e-2), (4, 16), (0.0, 0.5), rate_epochs=2, size_epochs=3, dropout_epochs=4)


@pytest.fixture
def photos():
    """Photos of three classes."""
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 3, 96)
    rows = (generator.normal(size=(96, 6)) + 2 * np.eye(3, 6)[labels]).astype(np.float32)
    return FeatureSet([rows], labels, labels == 0)


def _run(photos, **options):
    return run_grid(photos, photos, classes=3, grid=GRID, base=SmallNetworkSettings(), **options)


def test_every_value_of_every_step_is_tried(photos):
    """In order, each for its own number of epochs."""
    told = []
    experiments, _ = _run(photos, on_experiment=told.append)
    assert [(e.step, e.value, len(e.result.history)) for e in experiments] == [
        ("learning_rate", 1e-4, 2),
        ("learning_rate", 1e-2, 2),
        ("inner_size", 4, 3),
        ("inner_size", 16, 3),
        ("dropout", 0.0, 4),
        ("dropout", 0.5, 4),
    ]
    assert told == experiments


def test_each_step_starts_from_the_best_of_the_one_before(photos):
    """Rates are tried without an inner layer; the last step's best has the best of all."""
    experiments, chosen = _run(photos)
    rates, sizes, dropouts = experiments[:2], experiments[2:4], experiments[4:]
    rate, size = best_experiment(rates).value, best_experiment(sizes).value
    assert {e.settings.inner_size for e in rates} == {0}
    assert {e.settings.learning_rate for e in sizes + dropouts} == {rate}
    assert {e.settings.inner_size for e in dropouts} == {size}
    assert chosen == best_experiment(dropouts).settings


def test_several_at_a_time_find_the_same(photos):
    """The number of workers changes nothing."""
    one, two = (_run(photos, workers=workers)[0] for workers in (1, 2))
    assert [e.result.history for e in one] == [e.result.history for e in two]


def test_of_equal_experiments_the_first_is_best(photos):
    """As a checkpoint that waits for an improvement would have it."""
    experiments, _ = _run(photos)
    assert best_experiment([experiments[0], experiments[0]]) is experiments[0]


def test_every_kind_of_augmentation_alters_something():
    """And all of them may be combined."""
    assert all(combine_augmentations([kind]) != AugmentSettings() for kind in AUGMENTATIONS)
    both = combine_augmentations(["flip", "rotate", "zoom"])
    assert (both.flip_horizontal, both.warp, both.rotation, both.zoom) == (0.5, 1.0, 30.0, (0.8, 1.25))


def test_settings_out_of_range_are_refused(photos):
    """Before anything is trained."""
    with pytest.raises(SettingsError, match="learning_rate"):
        run_grid(photos, photos, classes=3, grid=OriginalGrid(learning_rates=(0.0,)), base=SmallNetworkSettings())
