"""Logits become probabilities, and probabilities a decision."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from binsight.probability import Decision, ReviewThresholds, decide, sigmoid, softmax, top_k

PROFILE = settings(derandomize=True, database=None, deadline=None, max_examples=100)
temperatures = st.floats(0.01, 100)


def logits(limit=1e4):
    """Arrays of one or more rows of logits."""
    shapes = npst.array_shapes(min_dims=1, max_dims=3, max_side=6)
    return npst.arrays(np.float64, shapes, elements=st.floats(-limit, limit))


class TestSoftmax:
    def test_by_hand(self):
        """exp(0) to exp(ln 3) is 1 to 3."""
        np.testing.assert_allclose(softmax([0, math.log(3)]), [0.25, 0.75])

    def test_equal(self):
        """Equal logits share the probability."""
        np.testing.assert_allclose(softmax([7.0, 7.0, 7.0, 7.0]), [0.25] * 4)

    def test_one_class(self):
        """A single class is certain."""
        assert softmax([-5.0]).tolist() == [1.0]

    def test_temperature(self):
        """At temperature 2, a logit of 2 ln 3 counts as ln 3; at 1/2, a logit of ln 3 as 2 ln 3."""
        np.testing.assert_allclose(softmax([0, 2 * math.log(3)], temperature=2), [0.25, 0.75])
        np.testing.assert_allclose(softmax([0, math.log(3)], temperature=0.5), [0.1, 0.9])

    def test_rows(self):
        """The last axis is that of the classes."""
        np.testing.assert_allclose(softmax([[[0, math.log(3)]], [[math.log(4), 0]]]), [[[0.25, 0.75]], [[0.8, 0.2]]])

    def test_float32(self):
        """The network's float32 is computed in float64, so that the sum is 1 for many classes."""
        result = softmax(np.random.default_rng(0).normal(size=1000).astype(np.float32))
        assert result.dtype == np.float64
        assert abs(result.sum() - 1) < 1e-12

    @pytest.mark.parametrize("temperature", [1.0, 0.01, 1e-300])
    def test_no_overflow(self, temperature):
        """Logits as large as float32 allows, and low temperatures, give 0 and 1 and no warning."""
        largest = float(np.finfo(np.float32).max) if temperature > 1e-9 else 1e6
        np.testing.assert_array_equal(softmax([largest, -largest, 0.0], temperature=temperature), [1, 0, 0])

    @given(logits(), temperatures)
    @PROFILE
    def test_sum(self, z, temperature):
        """Probabilities are in [0, 1] and sum to 1."""
        p = softmax(z, temperature=temperature)
        assert p.shape == z.shape
        assert ((p >= 0) & (p <= 1)).all()
        np.testing.assert_allclose(p.sum(axis=-1), 1, atol=1e-12)

    @given(logits(100), st.floats(-100, 100))
    @PROFILE
    def test_shift(self, z, shift):
        """Adding the same to all logits changes nothing."""
        np.testing.assert_allclose(softmax(z + shift), softmax(z), atol=1e-9)

    @given(logits(), st.randoms(use_true_random=False))
    @PROFILE
    def test_permutation(self, z, chance):
        """Reordering the classes reorders their probabilities."""
        order = list(range(z.shape[-1]))
        chance.shuffle(order)
        np.testing.assert_allclose(softmax(z[..., order]), softmax(z)[..., order], rtol=1e-12)

    @given(logits(), temperatures)
    @PROFILE
    def test_order(self, z, temperature):
        """A larger logit never has a smaller probability, whatever the temperature."""
        order = np.argsort(z, axis=-1, kind="stable")
        assert (np.diff(np.take_along_axis(softmax(z, temperature=temperature), order, axis=-1), axis=-1) >= 0).all()

    @given(logits())
    @PROFILE
    def test_batch(self, z):
        """A batch is its rows one by one."""
        rows = z.reshape(-1, z.shape[-1])
        np.testing.assert_array_equal(softmax(z).reshape(rows.shape), np.stack([softmax(row) for row in rows]))


class TestSigmoid:
    def test_by_hand(self):
        """1 / (1 + exp(-z)): 0 gives 1/2, ln 3 gives 3/4, -ln 3 gives 1/4."""
        np.testing.assert_allclose(sigmoid([0, math.log(3), -math.log(3)]), [0.5, 0.75, 0.25])

    def test_temperature(self):
        """At temperature 2, a logit of 2 ln 3 counts as ln 3."""
        np.testing.assert_allclose(sigmoid(2 * math.log(3), temperature=2), 0.75)

    def test_no_overflow(self):
        """The largest numbers there are give 0 and 1 and no warning."""
        largest = np.finfo(np.float64).max
        assert sigmoid([largest, -largest, 1000, -1000]).tolist() == [1, 0, 1, 0]

    @given(logits(), temperatures)
    @PROFILE
    def test_symmetric(self, z, temperature):
        """The probabilities of z and -z sum to 1, and each is in [0, 1]."""
        p = sigmoid(z, temperature=temperature)
        assert p.shape == z.shape
        assert ((p >= 0) & (p <= 1)).all()
        np.testing.assert_allclose(p + sigmoid(-z, temperature=temperature), 1, atol=1e-12)

    @given(st.floats(-30, 30), temperatures)
    @PROFILE
    def test_is_a_softmax(self, z, temperature):
        """It is the softmax of the logits 0 and z."""
        np.testing.assert_allclose(
            sigmoid(z, temperature=temperature), softmax([0, z], temperature=temperature)[1], atol=1e-12
        )


class TestTopK:
    def test_order(self):
        """The largest comes first."""
        assert top_k([0.1, 0.6, 0.0, 0.3], 3).tolist() == [1, 3, 0]

    def test_ties(self):
        """Equal probabilities keep the order of the labels."""
        assert top_k([0.2, 0.3, 0.2, 0.3], 4).tolist() == [1, 3, 0, 2]

    def test_more_than_there_are(self):
        """A k above the number of classes gives all of them."""
        assert top_k([0.4, 0.6], 10).tolist() == [1, 0]

    def test_rows(self):
        """Every row has its own."""
        assert top_k([[0.1, 0.9], [0.8, 0.2]], 1).tolist() == [[1], [0]]

    @pytest.mark.parametrize("k", [0, -1])
    def test_too_few(self, k):
        """A k below 1 is refused, with what came."""
        with pytest.raises(ValueError, match=f"at least 1, got {k}"):
            top_k([0.5, 0.5], k)

    @given(logits(), st.integers(1, 8))
    @PROFILE
    def test_largest(self, p, k):
        """The chosen are no smaller than the others, all different, and begin with the first maximum."""
        chosen = top_k(p, k)
        assert chosen.shape == (*p.shape[:-1], min(k, p.shape[-1]))
        np.testing.assert_array_equal(chosen[..., 0], p.argmax(axis=-1))
        values = np.take_along_axis(p, chosen, axis=-1)
        np.testing.assert_array_equal(values, -np.sort(-p, axis=-1)[..., :k])
        assert all(len(set(row)) == len(row) for row in chosen.reshape(-1, chosen.shape[-1]).tolist())


class TestDecide:
    # Classes 0 and 2 are biodegradable; together they have 0.8.
    P = (0.7, 0.2, 0.1)
    MASK = (True, False, True)
    THRESHOLDS = ReviewThresholds(confidence=(0.6, 0.9, 0.9), disagreement=0.3, unfamiliarity=10.0)

    def decide(self, thresholds=THRESHOLDS, *, p=P, biodegradable=0.8, unfamiliarity=5.0):
        """A decision that nothing speaks against, but for what is given."""
        return decide(
            p,
            thresholds,
            biodegradable_mask=self.MASK,
            biodegradable_probability=biodegradable,
            unfamiliarity=unfamiliarity,
        )

    def test_accept(self):
        """An item that nothing speaks against is accepted, without a reason."""
        assert self.decide() == Decision("accept", None)

    def test_low_confidence(self):
        """A confidence below the threshold of its own class goes to review; one at the threshold does not."""
        low = Decision("review", "low_confidence")
        assert self.decide(ReviewThresholds((0.71, 0, 0))) == low
        assert self.decide(ReviewThresholds((0.7, 1, 1))) == Decision("accept")
        assert self.decide(p=(0.2, 0.7, 0.1)) == low

    def test_unfamiliar(self):
        """An unfamiliarity above the threshold goes to review; one at the threshold does not."""
        assert self.decide(unfamiliarity=10.001) == Decision("review", "unfamiliar")
        assert self.decide(unfamiliarity=10.0) == Decision("accept")

    @pytest.mark.parametrize("biodegradable", [0.4, 0.0])
    def test_heads_disagree(self, biodegradable):
        """Two estimates further apart than allowed go to review: 0.8 by the classes, at most 0.4 by the other head."""
        assert self.decide(biodegradable=biodegradable) == Decision("review", "heads_disagree")

    def test_heads_agree_enough(self):
        """A difference of exactly what is allowed is accepted: 0.75 and 0.25, computed without rounding."""
        thresholds = ReviewThresholds((0, 0, 0), disagreement=0.5)
        assert self.decide(thresholds, p=(0.5, 0.25, 0.25), biodegradable=0.25) == Decision("accept")
        assert self.decide(thresholds, p=(0.5, 0.25, 0.25), biodegradable=0.24) == Decision("review", "heads_disagree")

    def test_other_direction(self):
        """The head may also be the surer one."""
        assert self.decide(p=(0.05, 0.92, 0.03), biodegradable=0.5) == Decision("review", "heads_disagree")

    def test_priority(self):
        """Unfamiliar comes before low confidence, and that before disagreement."""
        thresholds = ReviewThresholds((1, 1, 1), disagreement=0, unfamiliarity=0)
        assert self.decide(thresholds, biodegradable=0).reason == "unfamiliar"
        assert self.decide(thresholds, biodegradable=0, unfamiliarity=0).reason == "low_confidence"
        assert self.decide(ReviewThresholds((0, 0, 0), disagreement=0), biodegradable=0).reason == "heads_disagree"

    def test_thresholds_not_used(self):
        """A threshold of None is not used."""
        thresholds = ReviewThresholds((0.6, 0.6, 0.6))
        assert self.decide(thresholds, biodegradable=0, unfamiliarity=math.inf) == Decision("accept")

    def test_outputs_not_there(self):
        """A network without the second head or the unfamiliarity is judged by what it has."""
        assert decide(self.P, self.THRESHOLDS) == Decision("accept")
        assert decide((0.5, 0.3, 0.2), self.THRESHOLDS) == Decision("review", "low_confidence")

    def test_nan_unfamiliarity(self):
        """An unfamiliarity that is not a number goes to review."""
        assert self.decide(unfamiliarity=math.nan) == Decision("review", "unfamiliar")

    def test_nan_head(self):
        """A second head that gives no number goes to review."""
        assert self.decide(biodegradable=math.nan) == Decision("review", "heads_disagree")

    def test_nan_confidence(self):
        """Probabilities that are not numbers go to review: a broken network is never trusted."""
        for p in [(math.nan,) * 3, (0.9, math.nan, 0.1)]:
            assert self.decide(ReviewThresholds((0, 0, 0)), p=p) == Decision("review", "low_confidence")

    def test_ties(self):
        """Of equally probable classes the first decides, as in `top_k`."""
        assert decide((0.5, 0.5), ReviewThresholds((0.4, 0.9))) == Decision("accept")
        assert decide((0.5, 0.5), ReviewThresholds((0.9, 0.4))) == Decision("review", "low_confidence")

    def test_array(self):
        """Arrays, of float32 too, are judged like sequences."""
        assert self.decide(p=np.float32(self.P)) == Decision("accept")
