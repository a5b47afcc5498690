"""Averages of a network's weights: along a run, between start and end, and over several runs.

Weights are lists of arrays in the order of `network.get_weights()`; all lists must have the same shapes. Averages of
several networks make sense where they were fine-tuned from the same start: then the loss is low all the way between.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from binsight.errors import WeightsError

__all__ = ["Weights", "add_to_mean", "interpolate", "uniform_soup"]

Weights = list[NDArray[np.floating]]


def interpolate(start: Weights, tuned: Weights, share: float) -> Weights:
    """`(1 - share) * start + share * tuned`, array by array.

    Between a pretrained network and what it was fine-tuned to there is often one that is as good on the new photos
    and better on photos of other origin.

    Args:
        start: weights before fine-tuning.
        tuned: weights after.
        share: of `tuned`, in [0, 1].

    Raises:
        WeightsError: the shapes differ, or the share is out of range.

    References:
        Wortsman et al. 2022, Robust fine-tuning of zero-shot models (WiSE-FT), arXiv 2109.01903.
    """
    if not 0 <= share <= 1:
        raise WeightsError(f"the share of the tuned weights must be in [0, 1], got {share}")
    _check_same_shapes([start, tuned])
    return [_mix(a, b, share) for a, b in zip(start, tuned, strict=True)]


def uniform_soup(candidates: Sequence[Weights]) -> Weights:
    """The mean of several networks, array by array.

    Raises:
        WeightsError: there are none, or their shapes differ.

    References:
        Wortsman et al. 2022, Model soups, arXiv 2203.05482.
    """
    _check_same_shapes(candidates)
    mean = candidates[0]
    for count, weights in enumerate(candidates[1:], start=1):
        mean = add_to_mean(mean, count, weights)
    return mean


def add_to_mean(mean: Weights, count: int, weights: Weights) -> Weights:
    """The mean of `count + 1` networks, from that of `count` and one more."""
    return [_mix(a, b, 1 / (count + 1)) for a, b in zip(mean, weights, strict=True)]


def _mix(a: NDArray[np.floating], b: NDArray[np.floating], share: float) -> NDArray[np.floating]:
    """In the arithmetic of `a`; equal values stay exactly as they are."""
    return a + a.dtype.type(share) * (b - a) if share < 1 else b.astype(a.dtype)


def _check_same_shapes(networks: Sequence[Weights]) -> None:
    if not networks:
        raise WeightsError("expected the weights of at least one network, got none")
    first = [array.shape for array in networks[0]]
    for position, weights in enumerate(networks):
        shapes = [array.shape for array in weights]
        if shapes != first:
            at = next((i for i, (a, b) in enumerate(zip(first, shapes, strict=False)) if a != b), len(shapes))
            raise WeightsError(
                f"expected networks of one architecture, but number {position} of {len(networks)} differs "
                f"from the first at array {at} of {len(first)}"
            )
