"""The learning rate along a run."""

import pytest

from binsight.training.fine_tune.optimizer import rate_share


def test_by_hand():
    """Warm-up over 2 of 7 steps, then half a cosine of 4 intervals to 0.1."""
    shares = [rate_share(step, steps=7, warmup=2, final=0.1) for step in range(7)]
    cosine = [1, 0.1 + 0.9 * 0.853553, 0.55, 0.1 + 0.9 * 0.146447, 0.1]
    assert shares == pytest.approx([1 / 3, 2 / 3, *cosine], abs=1e-5)


def test_without_warmup_the_first_step_has_the_highest_rate():
    """And with a final share of 1 all have it."""
    assert rate_share(0, steps=5, warmup=0, final=0) == 1
    assert [rate_share(s, steps=5, warmup=0, final=1) for s in range(5)] == [1] * 5


@pytest.mark.parametrize(("steps", "warmup"), [(1, 0), (1, 5), (3, 3), (2, 1)])
def test_short_runs_have_a_rate(steps, warmup):
    """Between 0 and 1, also where all is warm-up."""
    assert all(0 < rate_share(s, steps=steps, warmup=warmup, final=0.1) <= 1 for s in range(steps))
