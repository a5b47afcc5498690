"""Copies of Keras models: layers only, stable names, the same numbers."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from binsight.training.backbones.plain import plain_copy


def build() -> keras.Model:
    """Return a model with a sequence in it, operations on values, and layers that Keras numbers."""
    images = keras.Input((8, 8, 3), name="images")
    value = layers.Conv2D(4, 3, padding="same")(images)
    stem = keras.Sequential([layers.Conv2D(4, 1, name="inner"), layers.BatchNormalization()], name="stem")
    left = stem(value)
    right = layers.ReLU(6.0)(layers.Conv2D(4, 1)(value) + 3.0) * (1.0 / 6.0)
    return keras.Model(images, layers.Conv2D(2, 1, name="last")(left + right))


def test_copy_computes_the_same() -> None:
    """A copy has the weights of the original, and its outputs."""
    model, images = build(), np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), np.uint8)
    copy = plain_copy(model)
    expected = keras.ops.convert_to_numpy(model(images, training=False))
    np.testing.assert_allclose(keras.ops.convert_to_numpy(copy(images, training=False)), expected, atol=1e-5)


def test_names_do_not_depend_on_what_was_built_before() -> None:
    """The second model of a process has the names of the first: layers are numbered in the model."""
    first, second = plain_copy(build()), plain_copy(build())
    names = [layer.name for layer in first.layers]
    assert names == [layer.name for layer in second.layers]
    assert {"images", "conv2d", "conv2d_1", "inner", "batch_normalization", "rescaling", "add", "last"} <= set(names)
    assert len(set(names)) == len(names)
    assert [weight.path for weight in first.weights] == [weight.path for weight in second.weights]
    assert first.name == "backbone"


def test_copy_has_layers_only() -> None:
    """No model is left in the model, and no operation that is no layer."""
    copy = plain_copy(build())
    assert not any(isinstance(layer, keras.Model) for layer in copy.layers)
    assert len(copy.operations) == len(copy.layers)


def test_copy_of_a_copy_is_the_same() -> None:
    """Copying once more changes nothing."""
    copy = plain_copy(build())
    assert [layer.name for layer in plain_copy(copy).layers] == [layer.name for layer in copy.layers]


def test_copy_may_have_another_type() -> None:
    """With `dtype`, all layers compute in it."""
    copy = plain_copy(build(), dtype="mixed_float16")
    assert {layer.compute_dtype for layer in copy.layers[1:]} == {"float16"}
    assert {weight.dtype for weight in copy.weights} == {"float32"}


def test_other_operations_are_refused() -> None:
    """An operation on values that is none of the known ones is named."""
    images = keras.Input((8, 8, 3))
    with pytest.raises(NotImplementedError, match="Subtract of 2 arguments"):
        plain_copy(keras.Model(images, layers.Conv2D(4, 1)(images - 127.0)))
