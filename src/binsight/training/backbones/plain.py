"""Functional Keras models brought into one form: layers only, no models in models, and names that do not change."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any, Final

import keras
from keras import layers

__all__ = ["plain_copy"]

_NUMBER: Final = re.compile(r"_\d+$")


def plain_copy(model: keras.Model, *, dtype: str | None = None) -> keras.Model:
    """Return a copy of a backbone, with its weights, called `backbone`.

    Keras numbers the layers that have no name of their own through the whole process, so the second Xception of a
    process would have other names than the first; here they are numbered in the model. Sequences of layers in the model
    are taken apart, and `value + value`, `value + 3` and `value * 2` become layers.

    Args:
        model: functional, with one input and one output.
        dtype: of the copied layers, such as `"float32"`; None for that which they have.
    """
    copier = _Copier(dtype)
    copy = keras.models.clone_model(model, clone_function=copier.copy, call_function=copier.call)
    for original, layer in copier.pairs:
        layer.set_weights(original.get_weights())
    return keras.Model(copy.inputs[0], copy.outputs[0], name="backbone")


class _Copier:
    """Copies layer after layer; `pairs` are the originals and their copies."""

    def __init__(self, dtype: str | None) -> None:
        self.pairs: list[tuple[keras.Layer, keras.Layer]] = []
        self._dtype = dtype
        self._seen: Counter[str] = Counter()

    def copy(self, layer: Any) -> Any:
        if isinstance(layer, keras.Sequential) or not isinstance(layer, keras.Layer):
            return layer  # is replaced in `call`
        config = layer.get_config()
        config["name"] = self._name(config["name"], type(layer))
        if self._dtype is not None:
            config["dtype"] = self._dtype
        copy = type(layer).from_config(config)
        self.pairs.append((layer, copy))
        return copy

    def call(self, operation: Any, *arguments: Any, **options: Any) -> Any:
        if isinstance(operation, keras.Sequential):
            (value,) = arguments
            for layer in operation.layers:
                value = self.copy(layer)(value)
            return value
        if isinstance(operation, keras.Layer):
            return operation(*arguments, **options)
        tensors = [value for value in arguments if keras.backend.is_keras_tensor(value)]
        numbers = [float(value) for value in arguments if isinstance(value, int | float)]
        match type(operation).__name__, tensors, numbers:
            case "Add", [_, _], []:
                return self._new(layers.Add)(tensors)
            case "Add", [tensor], [offset]:
                return self._new(layers.Rescaling, scale=1.0, offset=offset)(tensor)
            case "Multiply", [tensor], [scale]:
                return self._new(layers.Rescaling, scale=scale)(tensor)
        raise NotImplementedError(f"operation {type(operation).__name__} of {len(arguments)} arguments")

    def _new(self, kind: type[keras.Layer], **config: Any) -> keras.Layer:
        name = self._name(_snake_case(kind.__name__), kind)
        return kind(**config, name=name, dtype=self._dtype)

    def _name(self, name: str, kind: type[keras.Layer]) -> str:
        stem = _NUMBER.sub("", name)
        if stem != _snake_case(kind.__name__):
            return name
        self._seen[stem] += 1
        return f"{stem}_{self._seen[stem] - 1}" if self._seen[stem] > 1 else stem


def _snake_case(name: str) -> str:
    """Return what Keras calls a layer of this class that has no name of its own: `Conv2D` is `conv2d`."""
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()
