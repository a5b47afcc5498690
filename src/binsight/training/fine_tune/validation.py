"""How good a network is on validation photos while it is trained; `binsight.evaluation` measures a finished one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import islice

import keras
import numpy as np
from numpy.typing import NDArray

from binsight.training.photos import LabelledPhotos

__all__ = ["Validation", "predict_outputs"]

_BATCH = 64


@dataclass(frozen=True, slots=True)
class Validation:
    """Loss and metrics on validation photos.

    Attributes:
        loss: cross-entropy of the categories plus the weighted one of the second head.
        accuracy: of the categories.
        macro_f1: mean of F1 over the classes that occur or are predicted.
        biodegradable_accuracy: of the second head; None where there is none.
    """

    loss: float
    accuracy: float
    macro_f1: float
    biodegradable_accuracy: float | None

    @classmethod
    def of(
        cls, logits: Mapping[str, NDArray[np.float32]], photos: LabelledPhotos, *, biodegradable_weight: float
    ) -> Validation:
        """From the logits of each output, `(n, C)` and `(n, 1)`, and the labels."""
        scores = logits["logits"].astype(np.float64)
        labels, predicted = photos.labels, scores.argmax(axis=1)
        shifted = scores - scores.max(axis=1, keepdims=True)
        loss = np.mean(np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(len(labels)), labels])
        right = None
        if photos.biodegradable is not None and "biodegradable_logit" in logits:
            answer, logit = photos.biodegradable, logits["biodegradable_logit"][:, 0].astype(np.float64)
            loss += biodegradable_weight * np.mean(np.logaddexp(0, np.where(answer, -logit, logit)))
            right = float(np.mean((logit > 0) == answer))
        return cls(float(loss), float(np.mean(labels == predicted)), _macro_f1(labels, predicted), right)


def predict_outputs(
    network: keras.Model, rows: Iterable[NDArray[np.floating] | NDArray[np.uint8]], count: int
) -> dict[str, NDArray[np.float32]]:
    """Each output of a network for so many pictures or activations, `(h, w, d)` each, float32, `(count, k)`."""
    rest, size = iter(rows), min(_BATCH, count)
    found: list[dict[str, NDArray[np.float32]]] = []
    for first in range(0, count, size):
        some = np.stack(list(islice(rest, min(size, count - first)))).astype(np.float32)
        # The last batch is filled up: another size would have the network compiled again.
        outputs = network.predict_on_batch(np.pad(some, ((0, size - len(some)), (0, 0), (0, 0), (0, 0)), "edge"))
        found.append({name: np.asarray(value, np.float32)[: len(some)] for name, value in outputs.items()})
    return {name: np.concatenate([outputs[name] for outputs in found]) for name in found[0]}


def _macro_f1(labels: NDArray[np.intp], predicted: NDArray[np.intp]) -> float:
    classes = int(max(labels.max(), predicted.max())) + 1
    count = partial(np.bincount, minlength=classes)
    total = count(labels) + count(predicted)
    right = count(labels[labels == predicted])
    return float(np.mean(2 * right[total > 0] / total[total > 0]))
