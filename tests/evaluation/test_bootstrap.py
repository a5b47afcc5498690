"""Many figures resampled at once."""

import numpy as np
import pytest

from binsight.evaluation.bootstrap import bootstrap_intervals, draw_weights, wilson_interval
from binsight.evaluation.metrics import bootstrap_interval


def _mean_of(values):
    return lambda w: {"mean": w @ values / w.sum(axis=1)}


def test_weights_are_what_one_by_one_drawing_gives():
    """The same figure drawn photo by photo has the same interval: the resamples are the same."""
    right = (np.arange(37) % 5 > 0).astype(float)
    slow = bootstrap_interval(lambda i: float(right[i].mean()), 37, seed=4, resamples=500)
    fast = bootstrap_intervals(_mean_of(right), 37, seed=4, resamples=500)["mean"]
    assert (fast.value, fast.low, fast.high) == pytest.approx((slow.value, slow.low, slow.high))


def test_each_resample_counts_as_many_photos_as_there_are():
    """Drawn with replacement: whole numbers that sum to n in every row."""
    weights = draw_weights(11, 200, np.random.default_rng(0))
    assert weights.shape == (200, 11)
    assert (weights.sum(axis=1) == 11).all()
    assert (weights.max(), weights.min()) != (1, 1)


def test_many_photos_are_drawn_in_parts(monkeypatch):
    """How many resamples are held at a time does not change the result."""
    values = np.random.default_rng(1).random(50)
    whole = bootstrap_intervals(_mean_of(values), 50, resamples=300)
    monkeypatch.setattr("binsight.evaluation.bootstrap._WEIGHTS_AT_ONCE", 70)
    assert bootstrap_intervals(_mean_of(values), 50, resamples=300) == whole


def test_groups_are_drawn_from_separately():
    """Each group keeps its number of photos in every resample."""

    def figures(w):
        assert (w[:, :3].sum(axis=1) == 3).all()
        return {"second": w[:, 3:].sum(axis=1)}

    found = bootstrap_intervals(figures, (3, 8), resamples=50)["second"]
    assert (found.value, found.low, found.high) == (8, 8, 8)


def test_resamples_without_a_value_are_left_out():
    """A figure that some resamples cannot have keeps an interval of the others; without any it has none."""

    def figures(w):
        rare = np.where(w[:, 0] > 0, w[:, 0], np.nan)
        return {"rare": rare, "never": np.full(len(w), np.nan)}

    found = bootstrap_intervals(figures, 4, resamples=200)
    assert found["rare"].low >= 1
    assert np.isnan(found["never"].value)
    assert np.isnan(found["never"].high)


def test_biased_figures_are_moved_back_and_stay_above_zero():
    """Where every resample is larger than the sample, the interval still surrounds the value."""

    def figures(w):
        return {"spread": np.abs(w - 1).mean(axis=1)}

    plain = bootstrap_intervals(figures, 30, resamples=400)["spread"]
    moved = bootstrap_intervals(figures, 30, resamples=400, biased=("spread",))["spread"]
    assert plain.low > plain.value == 0
    assert moved.low == 0 < moved.high < plain.high


def test_score_interval_has_the_published_values():
    """For 81 of 263, Newcombe 1998 (table I, method 3) gives 0.2553 to 0.3662; for 0 of 20, 0 to 0.1611."""
    found = wilson_interval(81, 263)
    assert (found.low, found.high) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    found = wilson_interval(0, 20)
    assert (found.low, found.high) == pytest.approx((0, 0.1611), abs=5e-5)


def test_score_interval_of_nothing_is_undefined():
    """Without photos there is no share."""
    assert np.isnan(wilson_interval(0, 0).value)
