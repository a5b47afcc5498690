"""A network, its optimizer and one step of training."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from binsight.training.fine_tune.averaging import Weights
from binsight.training.fine_tune.batches import Batch
from binsight.training.fine_tune.devices import compute_in_bfloat16, find_gpus
from binsight.training.fine_tune.layers import find_layers, frozen_layers
from binsight.training.fine_tune.optimizer import FineTuneOptimizer
from binsight.training.fine_tune.settings import FineTuneSettings

__all__ = ["Trainer", "prepared_for_training"]


class Trainer:
    """Trains a network step by step; its state can be taken out and put back exactly.

    Args:
        network: from `build_network`, with its layers frozen as wanted; it is compiled here.
        settings: decay, running mean, weight of the second head.
    """

    def __init__(self, network: keras.Model, settings: FineTuneSettings) -> None:
        self._network = network
        self._optimizer = FineTuneOptimizer(weight_decay=settings.weight_decay, ema_decay=settings.ema_decay)
        losses: dict[str, Any] = {"logits": keras.losses.CategoricalCrossentropy(from_logits=True)}
        if "biodegradable_logit" in network.output:
            losses["biodegradable_logit"] = keras.losses.BinaryCrossentropy(from_logits=True)
        shares = {"logits": 1.0, "biodegradable_logit": settings.biodegradable_weight}
        network.compile(
            self._optimizer,
            loss=losses,
            loss_weights={name: shares[name] for name in losses},
            jit_compile=_compiles_to_xla(),
        )
        self._optimizer.build(network.trainable_variables)

    def step(self, batch: Batch, *, rate: float) -> float:
        """Train on one batch; gives its loss."""
        self._optimizer.learning_rate = rate
        self._network.reset_metrics()  # else the loss may be the mean since the last reset
        logs = self._network.train_on_batch(batch.images, batch.targets, return_dict=True)
        return float(logs["loss"])

    def weights(self) -> Weights:
        """The network's weights as they are evaluated and kept: running means where there are such."""
        means = {id(v): mean for v, mean in zip(self._network.trainable_variables, self._optimizer.means, strict=False)}
        return [_array(means.get(id(v), v)) for v in self._network.weights]

    @contextlib.contextmanager
    def using(self, weights: Weights) -> Iterator[None]:
        """Put other weights into the network inside the block."""
        own = self._network.get_weights()
        self._network.set_weights(weights)
        try:
            yield
        finally:
            self._network.set_weights(own)

    def state(self) -> dict[str, list[NDArray[Any]]]:
        """All variables: the network's, random states among them, and the optimizer's."""
        return {
            "network": [_array(v) for v in self._network.variables],
            "optimizer": [_array(v) for v in self._optimizer.variables],
        }

    def restore(self, state: Mapping[str, list[NDArray[Any]]]) -> None:
        """Put back what `state` gave."""
        for variable, value in zip(self._network.variables, state["network"], strict=True):
            variable.assign(value)
        for variable, value in zip(self._optimizer.variables, state["optimizer"], strict=True):
            variable.assign(value)

    def only_weights(self, variables: list[NDArray[Any]]) -> Weights:
        """Of the network's part of a state, the weights."""
        weights = {id(v): value for v, value in zip(self._network.variables, variables, strict=True)}
        return [weights[id(v)] for v in self._network.weights]


@contextlib.contextmanager
def prepared_for_training(network: keras.Model, settings: FineTuneSettings, *, seed: int) -> Iterator[None]:
    """Freeze the layers that settings freeze, seed the layers that draw, and choose the precision, inside the block.

    Afterwards the layers can be trained as before; the network is left without optimizer and loss.
    """
    layers = list(find_layers(network))
    trainable = [layer.trainable for layer in layers]
    frozen = frozen_layers(network, settings)
    _seed(network, seed)
    is_mixed = settings.mixed_precision and bool(find_gpus())
    try:
        for layer in layers:
            layer.trainable = layer.trainable and layer.path not in frozen
        with compute_in_bfloat16(network) if is_mixed else contextlib.nullcontext():
            yield
    finally:
        for layer, value in zip(layers, trainable, strict=True):
            layer.trainable = value
        network.compile(jit_compile=_compiles_to_xla())


def _seed(network: keras.Model, seed: int) -> None:
    """Dropout draws from the state of a generator; it is a variable that is no weight."""
    weights = {id(v) for v in network.weights}
    for number, variable in enumerate(v for v in network.variables if id(v) not in weights):
        generated = np.random.SeedSequence([seed, number]).generate_state(2)
        # Not above the largest int32: some backends have no unsigned integers.
        variable.assign((generated >> 1).astype(np.int32).reshape(variable.shape))


def _compiles_to_xla() -> str | bool:
    """Off for TensorFlow on a processor, where XLA's convolutions are slower; JAX knows nothing else."""
    return False if keras.backend.backend() == "tensorflow" and not find_gpus() else "auto"


def _array(variable: Any) -> NDArray[Any]:
    return np.array(variable.numpy())
