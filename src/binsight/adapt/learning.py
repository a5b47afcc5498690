"""Fit linear heads anew on photos of one camera, so that they keep what they knew: logistic regression with replay.

`n` is the number of photos, `d` of features, `C` of classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from binsight.bundle import CameraPhotos, Replay
from binsight.probability import softmax
from binsight.probability.scores import LinearHead

__all__ = ["Memory", "learn"]

# Chosen by what halves of `val` lose and cameras gain that had no part in it: docs/results.md.
_SOFT: Final = 0.25
_PENALTY_SHARE: Final = 0.1  # of what a photo of the camera counts
_STEPS: Final = 40
_BIAS_FEATURE: Final = 0.3  # instead of 1: the bias is held back like a weight
_LEAST_VARIANCE: Final = 1e-6

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Memory:
    """Old photos, as heads see them, to be learned along with new ones.

    Attributes:
        replay: of which the photos that the network learned from are used.
        targets: `(m, C)`, what each of these shows, a quarter of it as the head before saw it.
        start: the head before.
        offsets: `(m, C)`, what it said of them.
    """

    replay: Replay
    targets: Floats
    start: LinearHead
    offsets: Floats

    @classmethod
    def of(cls, replay: Replay, start: LinearHead, class_of: NDArray[np.int64]) -> Memory:
        """The memory of a head whose output of a photo of the replay's class `c` should be `class_of[c]`."""
        learned = ~replay.held
        logits = replay.codes[learned] @ (replay.basis.T @ start.weight) + start.logits(replay.mean)
        shown = np.eye(start.weight.shape[1], dtype=np.float32)[class_of[replay.labels[learned]]]
        return cls(replay, (1 - _SOFT) * shown + _SOFT * _softmax(logits), start, logits.astype(np.float32))

    @cached_property
    def inputs(self) -> Floats:
        """`(m, k + 1)`: the reduced features and the bias's."""
        return _with_bias(self.replay.codes[~self.replay.held])

    @cached_property
    def gram(self) -> Floats:
        """`(k + 1, k + 1)`: the products of the inputs."""
        return self.inputs.T @ self.inputs


def learn(
    memory: Memory, camera: CameraPhotos, weights: NDArray[np.floating], *, camera_weight: float = 300.0
) -> LinearHead:
    """The head that tells the camera's photos and, as well as may be, the old ones.

    It is `start + change`, and the change is that of the least cross-entropy plus `camera_weight / 20` times its
    squared length. Of an old photo a quarter of the target is what the head said before (distillation); a photo of none
    of the classes should give each class the same probability (outlier exposure). The change lies in the span of the
    old photos' directions and the camera's photos. It is found by steps with the fixed bound of the second derivative,
    each begun from where the last two point.

    Args:
        memory: the old photos.
        camera: n new ones; labels are outputs of the head, -1 for none.
        weights: `(n,)`, 1 for a photo that has no copies among them.
        camera_weight: as how many old photos one of the camera counts.

    References:
        Li and Hoiem 2016, Learning without Forgetting, arXiv 1606.09282, section 3 (the distillation);
        Böhning 1992, Multinomial logistic regression algorithm (the bound); Nesterov 1983 (the momentum); Hendrycks,
        Mazeika and Dietterich 2019, Deep Anomaly Detection with Outlier Exposure, arXiv 1812.04606, section 3.
    """
    replay, start = memory.replay, memory.start
    centred = camera.features - replay.mean
    inside = centred @ replay.basis
    beside = _directions(centred - inside @ replay.basis.T)
    inputs = np.concatenate([_with_bias(inside), centred @ beside], axis=1)
    known = memory.inputs.shape[1]
    importance = (camera_weight * np.asarray(weights, np.float64))[:, None].astype(np.float32)
    penalty = _PENALTY_SHARE * camera_weight
    curvature = 0.5 * (inputs * importance).T @ inputs
    curvature[:known, :known] += 0.5 * memory.gram
    curvature[np.diag_indices(len(curvature))] += penalty
    step = np.linalg.inv(curvature.astype(np.float64)).astype(np.float32)
    offsets = start.logits(camera.features).astype(np.float32)
    targets = _targets(camera.labels, start.weight.shape[1])

    def slope(change: Floats) -> Floats:
        new = inputs.T @ (importance * (_softmax(offsets + inputs @ change) - targets)) + penalty * change
        old = _softmax(memory.offsets + memory.inputs @ change[:known]) - memory.targets
        new[:known] += memory.inputs.T @ old
        result: Floats = new.astype(np.float32)
        return result

    change = previous = np.zeros((len(curvature), targets.shape[1]), np.float32)
    momentum = 1.0
    for _ in range(_STEPS):
        following = (1 + (1 + 4 * momentum**2) ** 0.5) / 2
        ahead = change + (momentum - 1) / following * (change - previous)
        previous, change, momentum = change, ahead - step @ slope(ahead), following
    weight = replay.basis @ change[: known - 1] + beside @ change[known:]
    bias = _BIAS_FEATURE * change[known - 1] - replay.mean @ weight
    return LinearHead(start.weight + weight, start.bias + bias)


def _with_bias(features: NDArray[np.floating]) -> Floats:
    bias = np.full((len(features), 1), _BIAS_FEATURE)
    return np.concatenate([features, bias], axis=1).astype(np.float32)


def _directions(rows: NDArray[np.floating]) -> Floats:
    """An orthonormal basis `(d, r)` of what the `(n, d)` rows span, without what is rounding."""
    small = rows @ rows.T if len(rows) <= rows.shape[1] else rows.T @ rows
    values, vectors = np.linalg.eigh(small.astype(np.float64))
    kept = values > _LEAST_VARIANCE * max(float(values[-1]), _LEAST_VARIANCE)
    if len(rows) > rows.shape[1]:
        return vectors[:, kept].astype(np.float32)
    result: Floats = (rows.T @ (vectors[:, kept] / np.sqrt(values[kept]))).astype(np.float32)
    return result


def _targets(labels: NDArray[np.int64], classes: int) -> Floats:
    found = np.eye(classes, dtype=np.float32)[np.maximum(labels, 0)]
    found[labels < 0] = 1 / classes
    return found


def _softmax(logits: NDArray[np.floating]) -> Floats:
    return softmax(logits).astype(np.float32)
