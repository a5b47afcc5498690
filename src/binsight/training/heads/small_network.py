"""A small network on cached features, trained by Adam: the head of the original course project, without its wait.

    features → [Dense `inner_size`, ReLU] → Dropout → Dense C logits and Dense 1 logit

It computes what Keras' `Dense`, `Dropout`, `CategoricalCrossentropy(from_logits=True)` and `Adam` compute (a test
compares them), in NumPy: one step of such a network is a few matrix products of a millisecond, and the overhead of a
general framework for each step would be several times that.

`n` is the number of photos, `d` of features, `C` of classes, `B` of photos in a batch.

References:
    Glorot and Bengio 2010, equation 16: the initial weights.
    Srivastava et al. 2014, Dropout; scaled while training, so that nothing changes afterwards.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from binsight.probability.scores import LinearHead
from binsight.settings import check_section, setting
from binsight.training.heads.adam import Adam
from binsight.training.heads.linear import Heads

__all__ = ["SmallNetwork", "SmallNetworkSettings"]


@dataclass(frozen=True, slots=True)
class SmallNetworkSettings:
    """How a small network is built and trained.

    Raises:
        SettingsError: listing every fault.
    """

    learning_rate: float = setting(1e-3, "Adam's step size.", low=1e-12)
    inner_size: int = setting(100, "Units of the inner layer; 0 for none.", low=0)
    dropout: float = setting(0.0, "Share of the inputs of the heads that is dropped while training.", low=0, high=0.999)
    epochs: int = setting(10, "How often every photo is seen.", low=1)
    batch_size: int = setting(32, "Photos per step.", low=1)
    biodegradable_weight: float = setting(0.5, "What the second head's loss counts against the first's.", low=0)
    balanced: bool = setting(False, "Give every class the same weight, however many photos it has.")
    seed: int = setting(0, "Of the initial weights, the order of the photos, the dropout and the choice of views.")

    def __post_init__(self) -> None:
        check_section(self, "head")


class SmallNetwork:
    """The parameters of a small network, and one training step.

    Args:
        features: d.
        classes: C.
        biodegradable: whether there is a second head.
        settings: the shape and how to train it.
    """

    def __init__(self, features: int, classes: int, *, biodegradable: bool, settings: SmallNetworkSettings) -> None:
        self._settings = settings
        self._classes = classes
        inner = settings.inner_size
        outputs = classes + int(biodegradable)
        seen = inner or features
        shapes = ([(features, inner), (inner,)] if inner else []) + [(seen, outputs), (outputs,)]
        total = sum(math.prod(shape) for shape in shapes)
        self._parameters = np.zeros(total, np.float32)
        self._gradient = np.zeros(total, np.float32)
        self._values, self._gradients = _carve(self._parameters, shapes), _carve(self._gradient, shapes)
        self._adam = Adam(self._parameters, rate=settings.learning_rate)
        generator = np.random.default_rng([settings.seed, 0])
        for kernel in self._kernels():
            limit = math.sqrt(6 / sum(kernel.shape))
            kernel[...] = generator.uniform(-limit, limit, kernel.shape)

    def heads(self) -> Heads:
        """A copy of the weights as they are now."""
        kernel, bias = (array.astype(np.float64) for array in self._values[-2:])
        second = LinearHead(kernel[:, self._classes :], bias[self._classes :]) if self._is_double else None
        inner = LinearHead(*(a.astype(np.float64) for a in self._values[:2])) if self._settings.inner_size else None
        return Heads(LinearHead(kernel[:, : self._classes], bias[: self._classes]), second, inner)

    def train_batch(
        self,
        rows: NDArray[np.float32],
        labels: NDArray[np.intp],
        biodegradable: NDArray[np.bool_] | None,
        weights: NDArray[np.float32] | None,
        generator: np.random.Generator,
    ) -> float:
        """One step of Adam on a batch.

        Args:
            rows: `(B, d)` features.
            labels: `(B,)`.
            biodegradable: `(B,)`; needed with a second head.
            weights: `(B,)`, what each photo counts; None for one each.
            generator: of the dropout.

        Returns:
            The batch's loss before the step.
        """
        inner = self._settings.inner_size
        hidden = self._hidden(rows) if inner else rows
        mask = self._dropout_mask(hidden.shape, generator)
        seen: NDArray[np.float32] = hidden if mask is None else hidden * mask
        kernel, bias = self._values[-2:]
        loss, slope = self._loss(seen @ kernel + bias, labels, biodegradable, weights)
        np.matmul(seen.T, slope, out=self._gradients[-2])
        np.sum(slope, axis=0, out=self._gradients[-1])
        if inner:
            back = slope @ kernel.T
            if mask is not None:
                back *= mask
            back *= hidden > 0
            np.matmul(rows.T, back, out=self._gradients[0])
            np.sum(back, axis=0, out=self._gradients[1])
        self._adam.update(self._gradient)
        return loss

    def evaluate(
        self, rows: NDArray[np.float32], labels: NDArray[np.intp], biodegradable: NDArray[np.bool_] | None
    ) -> tuple[float, float]:
        """Loss and accuracy on `(n, d)` features with `(n,)` truths, without dropout and weights."""
        seen = self._hidden(rows) if self._settings.inner_size else rows
        scores = seen @ self._values[-2] + self._values[-1]
        loss, _ = self._loss(scores, labels, biodegradable, None)
        return loss, float(np.mean(scores[:, : self._classes].argmax(axis=1) == labels))

    @property
    def _is_double(self) -> bool:
        return len(self._values[-1]) > self._classes

    def _kernels(self) -> Iterator[NDArray[np.float32]]:
        if self._settings.inner_size:
            yield self._values[0]
        # The two heads are two layers: each has the initial range of its own number of outputs.
        yield self._values[-2][:, : self._classes]
        if self._is_double:
            yield self._values[-2][:, self._classes :]

    def _hidden(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        hidden: NDArray[np.float32] = rows @ self._values[0]
        hidden += self._values[1]
        return np.maximum(hidden, 0, out=hidden)

    def _dropout_mask(self, shape: tuple[int, ...], generator: np.random.Generator) -> NDArray[np.float32] | None:
        share = self._settings.dropout
        if not share:
            return None
        kept = generator.random(shape, dtype=np.float32) >= share
        return kept * np.float32(1 / (1 - share))

    def _loss(
        self,
        scores: NDArray[np.float32],
        labels: NDArray[np.intp],
        biodegradable: NDArray[np.bool_] | None,
        weights: NDArray[np.float32] | None,
    ) -> tuple[float, NDArray[np.float32]]:
        """The mean loss over the batch, and its slope by the `(B, C + 1)` scores."""
        count, classes = len(labels), self._classes
        rows = np.arange(count)
        slope = np.empty_like(scores)
        z = scores[:, :classes]
        log_probabilities = z - z.max(axis=1, keepdims=True)
        log_probabilities -= np.log(np.exp(log_probabilities).sum(axis=1, keepdims=True))
        terms = -log_probabilities[rows, labels]
        slope[:, :classes] = np.exp(log_probabilities)
        slope[rows, labels] -= 1
        if self._is_double:
            if biodegradable is None:
                raise ValueError("expected what is biodegradable: the network has a second head")
            second, truth = scores[:, classes], biodegradable.astype(np.float32)
            weight = np.float32(self._settings.biodegradable_weight)
            terms = terms + weight * (np.logaddexp(0, second) - truth * second)
            slope[:, classes] = weight * (0.5 + 0.5 * np.tanh(0.5 * second) - truth)
        if weights is not None:
            terms = terms * weights
            slope *= weights[:, None]
        slope /= np.float32(count)
        return float(terms.mean()), slope


def _carve(vector: NDArray[np.float32], shapes: Sequence[tuple[int, ...]]) -> list[NDArray[np.float32]]:
    """Views into one vector, one after another."""
    arrays, start = [], 0
    for shape in shapes:
        size = math.prod(shape)
        arrays.append(vector[start : start + size].reshape(shape))
        start += size
    return arrays
