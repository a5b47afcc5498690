"""Which layers of a network learn."""

from __future__ import annotations

from collections.abc import Iterator

import keras

from binsight.errors import SettingsError
from binsight.training.fine_tune.settings import FineTuneSettings

__all__ = ["find_layers", "frozen_layers"]


def find_layers(model: keras.Model) -> Iterator[keras.layers.Layer]:
    """The layers of a model and of the models inside it, in the order in which they were added."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from find_layers(layer)
        else:
            yield layer


def frozen_layers(network: keras.Model, settings: FineTuneSettings) -> set[str]:
    """The paths of the layers with weights that are not trained.

    Of the backbone's n layers with weights these are the first `floor(frozen_share * n)`; and where they are to be
    frozen, all batch normalisations.

    Raises:
        SettingsError: the network has no layer called `backbone`.
    """
    try:
        backbone = network.get_layer("backbone")
    except ValueError:
        raise SettingsError("expected a network with a layer called 'backbone', as build_network makes it") from None
    paths = [layer.path for layer in find_layers(backbone) if layer.weights]
    frozen = set(paths[: int(settings.frozen_share * len(paths) + 1e-9)])
    norms = {layer.path for layer in find_layers(network) if isinstance(layer, keras.layers.BatchNormalization)}
    return frozen | norms if settings.freeze_norm else frozen
