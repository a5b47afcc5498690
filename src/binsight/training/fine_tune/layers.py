"""Which layers of a network learn, and how fast."""

from __future__ import annotations

from collections.abc import Iterator

import keras

from binsight.errors import SettingsError
from binsight.training.fine_tune.settings import FineTuneSettings

__all__ = ["find_layers", "layer_depths", "rate_factors"]


def find_layers(model: keras.Model) -> Iterator[keras.layers.Layer]:
    """The layers of a model and of the models inside it, in the order in which they were added."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from find_layers(layer)
        else:
            yield layer


def layer_depths(network: keras.Model) -> dict[str, float]:
    """How deep each of the backbone's layers with weights is: the first 0, the last 1, in equal steps, by its path.

    Raises:
        SettingsError: the network has no layer called `backbone`.
    """
    try:
        backbone = network.get_layer("backbone")
    except ValueError:
        raise SettingsError("expected a network with a layer called 'backbone', as build_network makes it") from None
    layers = [layer for layer in find_layers(backbone) if layer.weights]
    return {layer.path: i / max(1, len(layers) - 1) for i, layer in enumerate(layers)}


def rate_factors(network: keras.Model, settings: FineTuneSettings) -> dict[str, float]:
    """The factor on the learning rate of each layer with weights, by its path; 0 is frozen.

    A backbone's layer of depth `t` has `backbone_rate * first_rate ** (1 - t)`, and 0 where `t < frozen_share` or where
    it is a batch normalisation and these are frozen; heads have 1.
    """
    depths = layer_depths(network)
    factors = {}
    for layer in find_layers(network):
        if not layer.weights:
            continue
        depth = depths.get(layer.path)
        frozen_norm = settings.freeze_norm and isinstance(layer, keras.layers.BatchNormalization)
        if frozen_norm or (depth is not None and (depth < settings.frozen_share or settings.frozen_share == 1)):
            factors[layer.path] = 0.0
        elif depth is None:
            factors[layer.path] = 1.0
        else:
            factors[layer.path] = settings.backbone_rate * settings.first_rate ** (1 - depth)
    return factors
