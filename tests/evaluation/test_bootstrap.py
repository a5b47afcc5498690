"""Many figures resampled at once."""

import numpy as np
import pytest

from binsight.evaluation.bootstrap import bootstrap_intervals, draw_weights


def _mean_of(values):
    return lambda w: {"mean": w @ values / w.sum(axis=1)}


def _alone(n):
    return np.arange(n)


def test_interval_is_as_wide_as_theory_says():
    """For a share of 0.8 among 400, 1.96 standard errors are 0.0392."""
    found = bootstrap_intervals(_mean_of(np.arange(400) < 320), [_alone(400)])["mean"]
    assert found.value == 0.8
    assert (found.low, found.high) == pytest.approx((0.8 - 0.0392, 0.8 + 0.0392), abs=0.006)


def test_copies_widen_the_interval_as_if_they_were_one():
    """A hundred photos, each there four times, say no more than a hundred photos: 1.96 standard errors are 0.0784."""
    right = np.repeat(np.arange(100) < 80, 4)
    found = bootstrap_intervals(_mean_of(right), [np.repeat(np.arange(100), 4)])["mean"]
    assert (found.low, found.high) == pytest.approx((0.8 - 0.0784, 0.8 + 0.0784), abs=0.012)


def test_the_seed_decides():
    """Two calls with one seed agree; another seed differs."""
    values = np.random.default_rng(1).random(50)
    first, same, other = (bootstrap_intervals(_mean_of(values), [_alone(50)], seed=s)["mean"] for s in (3, 3, 4))
    assert first == same != other


def test_each_resample_counts_as_many_photos_as_there_are():
    """Drawn with replacement: whole numbers that sum to n in every row."""
    weights = draw_weights(_alone(11), 200, np.random.default_rng(0))
    assert weights.shape == (200, 11)
    assert (weights.sum(axis=1) == 11).all()
    assert (weights.max(), weights.min()) != (1, 1)


def test_copies_are_drawn_together():
    """Two photos of one group are in a resample equally often."""
    weights = draw_weights(np.array([7, 2, 7, 5]), 100, np.random.default_rng(0))
    assert (weights[:, 0] == weights[:, 2]).all()
    assert (weights[:, [0, 1, 3]].sum(axis=1) == 3).all()


def test_many_photos_are_drawn_in_parts(monkeypatch):
    """How many resamples are held at a time does not change the result."""
    values = np.random.default_rng(1).random(50)
    whole = bootstrap_intervals(_mean_of(values), [_alone(50)], resamples=300)
    monkeypatch.setattr("binsight.evaluation.bootstrap._WEIGHTS_AT_ONCE", 70)
    assert bootstrap_intervals(_mean_of(values), [_alone(50)], resamples=300) == whole


def test_groups_are_drawn_from_separately():
    """Each group keeps its number of photos in every resample."""

    def figures(w):
        assert (w[:, :3].sum(axis=1) == 3).all()
        return {"second": w[:, 3:].sum(axis=1)}

    found = bootstrap_intervals(figures, [_alone(3), _alone(8)], resamples=50)["second"]
    assert (found.value, found.low, found.high) == (8, 8, 8)


def test_resamples_without_a_value_are_left_out():
    """A figure that some resamples cannot have keeps an interval of the others; without any it has none."""

    def figures(w):
        rare = np.where(w[:, 0] > 0, w[:, 0], np.nan)
        return {"rare": rare, "never": np.full(len(w), np.nan)}

    found = bootstrap_intervals(figures, [_alone(4)], resamples=200)
    assert found["rare"].low >= 1
    assert np.isnan(found["never"].value)
    assert np.isnan(found["never"].high)


def test_biased_figures_are_moved_back_and_stay_above_zero():
    """Where every resample is larger than the sample, the interval still surrounds the value."""

    def figures(w):
        return {"spread": np.abs(w - 1).mean(axis=1)}

    plain = bootstrap_intervals(figures, [_alone(30)], resamples=400)["spread"]
    moved = bootstrap_intervals(figures, [_alone(30)], resamples=400, biased=("spread",))["spread"]
    assert plain.low > plain.value == 0
    assert moved.low == 0 < moved.high < plain.high
