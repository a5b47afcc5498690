"""From logits to probabilities, and from probabilities to accept or review.

Pure functions of NumPy arrays; `C` is the number of classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Decision", "Reason", "ReviewThresholds", "decide", "decide_each", "sigmoid", "softmax", "top_k"]

Reason = Literal["unfamiliar", "low_confidence", "heads_disagree", "new_camera", "strange_camera"]


def softmax(logits: ArrayLike, *, temperature: float = 1.0) -> NDArray[np.float64]:
    """Probabilities `exp(z_c / T) / sum_k exp(z_k / T)` over the last axis.

    Args:
        logits: `(..., C)`, finite.
        temperature: T > 0. Above 1 softens an over-confident model, below 1 sharpens a timid one.

    Returns:
        `(..., C)` in [0, 1], summing to 1 over the last axis.

    References:
        Guo et al. 2017, On Calibration of Modern Neural Networks, arXiv 1706.04599, equation 9.
    """
    z = np.asarray(logits, dtype=np.float64)
    # The largest logit is subtracted before dividing: a low temperature must not overflow.
    exponentials = np.exp((z - z.max(axis=-1, keepdims=True)) / temperature)
    result: NDArray[np.float64] = exponentials / exponentials.sum(axis=-1, keepdims=True)
    return result


def sigmoid(logits: ArrayLike, *, temperature: float = 1.0) -> NDArray[np.float64]:
    """Probabilities `1 / (1 + exp(-z / T))`, without overflow for any finite `z`.

    Args:
        logits: any shape.
        temperature: T > 0.

    Returns:
        The shape of `logits`, in [0, 1].
    """
    scaled = np.asarray(logits, dtype=np.float64) / temperature
    # tanh saturates where exp would overflow: sigmoid(z) = (1 + tanh(z / 2)) / 2.
    return 0.5 * (1.0 + np.tanh(0.5 * scaled))


def top_k(probabilities: ArrayLike, k: int) -> NDArray[np.intp]:
    """The positions of the `k` largest probabilities, largest first; ties keep label order.

    Args:
        probabilities: `(..., C)`.
        k: at least 1; more than C gives all C.

    Returns:
        `(..., min(k, C))`.
    """
    if k < 1:
        raise ValueError(f"expected k of at least 1, got {k}")
    return np.argsort(-np.asarray(probabilities), axis=-1, kind="stable")[..., :k]


@dataclass(frozen=True, slots=True)
class ReviewThresholds:
    """When an item goes to review instead of being accepted.

    Attributes:
        confidence: for every class, in label order: the least confidence in [0, 1] at which it is accepted.
        disagreement: the largest accepted difference in [0, 1] between the two estimates that the item is
            biodegradable; None: not used.
        unfamiliarity: the largest accepted unfamiliarity, in the model's own scale; None: not used.
    """

    confidence: tuple[float, ...]
    disagreement: float | None = None
    unfamiliarity: float | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """`accept`, or `review` with the reason for it.

    `new_camera` and `strange_camera` are those of a stream, which `decide` never gives.
    """

    decision: Literal["accept", "review"]
    reason: Reason | None = None


def decide(
    probabilities: Sequence[float] | NDArray[np.float64],
    thresholds: ReviewThresholds,
    *,
    biodegradable_mask: Sequence[bool] = (),
    biodegradable_probability: float | None = None,
    unfamiliarity: float | None = None,
) -> Decision:
    """Accept the most probable class of one item, or send the item to review.

    Of several reasons the most fundamental is given: a picture unlike all training data makes its confidence
    meaningless, and a low confidence explains heads that disagree.

    Args:
        probabilities: `(C,)`.
        thresholds: when to review.
        biodegradable_mask: `(C,)`, which classes are biodegradable; needed with `biodegradable_probability`.
        biodegradable_probability: the second head's estimate in [0, 1], or None without that head.
        unfamiliarity: how unlike the training data the picture looks, or None where the model does not say.
    """
    p = np.asarray(probabilities)
    best = int(p.argmax())
    if exceeds(unfamiliarity, thresholds.unfamiliarity):
        return Decision("review", "unfamiliar")
    if not p[best] >= thresholds.confidence[best]:  # not-a-number is no confidence
        return Decision("review", "low_confidence")
    if biodegradable_probability is not None:
        total = float(p[np.asarray(biodegradable_mask, dtype=bool)].sum())
        if exceeds(abs(biodegradable_probability - total), thresholds.disagreement):
            return Decision("review", "heads_disagree")
    return Decision("accept")


def decide_each(
    probabilities: NDArray[np.float64],
    thresholds: ReviewThresholds,
    *,
    biodegradable_mask: Sequence[bool] = (),
    biodegradable: NDArray[np.float64] | None = None,
    unfamiliarity: NDArray[np.float64] | None = None,
) -> tuple[Decision, ...]:
    """`decide` for each of n items: probabilities `(n, C)`, and of each of the other two `(n,)`, where it is known."""
    return tuple(
        decide(
            row,
            thresholds,
            biodegradable_mask=biodegradable_mask,
            biodegradable_probability=None if biodegradable is None else float(biodegradable[i]),
            unfamiliarity=None if unfamiliarity is None else float(unfamiliarity[i]),
        )
        for i, row in enumerate(probabilities)
    )


def exceeds(value: float | None, limit: float | None) -> bool:
    """Whether both are known and `value` is above `limit`; not-a-number counts as above."""
    return value is not None and limit is not None and not value <= limit
