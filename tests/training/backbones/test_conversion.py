"""Keras layers as ONNX operators: each kind computes what Keras does."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import keras
import numpy as np
import onnx
import pytest
from keras import layers
from onnx import TensorProto, numpy_helper
from tests.training.backbones.test_efficientnet_lite import run

from binsight.errors import WeightsError
from binsight.training.backbones.conversion import convert_to_onnx

if TYPE_CHECKING:
    from collections.abc import Callable

SIZE = 12


def randomise(model: keras.Model) -> None:
    """Give every weight of a model values that matter; what is divided by stays away from zero."""
    rng = np.random.default_rng(0)
    for weight in model.weights:
        is_positive = weight.name in {"gamma", "moving_variance"}
        values = rng.uniform(0.5, 1.5, weight.shape) if is_positive else rng.normal(0, 0.3, weight.shape)
        weight.assign(values)


def network(*added: layers.Layer, start: int = 4) -> keras.Model:
    """Return pictures → convolution to `start` channels → the layers added, one after the other."""
    images = keras.Input((SIZE, SIZE, 3), name="images")
    value = layers.Rescaling(1 / 127.5, offset=-1.0)(images)
    value = layers.Conv2D(start, 3, padding="same", name="first")(value)
    for layer in added:
        value = layer(value)
    model = keras.Model(images, value)
    randomise(model)
    return model


def check(model: keras.Model) -> onnx.ModelProto:
    """Compare what ONNX Runtime computes with what Keras does, and return the graph."""
    images = np.random.default_rng(1).integers(0, 256, (2, SIZE, SIZE, 3), np.uint8)
    graph = convert_to_onnx(model, "test", half=False)
    onnx.checker.check_model(graph, full_check=True)
    feature_map, features = run(graph, images)
    expected = keras.ops.convert_to_numpy(model(images, training=False))
    np.testing.assert_allclose(feature_map.transpose(0, 2, 3, 1), expected, atol=2e-5, rtol=1e-4)
    np.testing.assert_allclose(features, expected.mean((1, 2)), atol=2e-5, rtol=1e-4)
    return graph


def count_operators(graph: onnx.ModelProto) -> Counter[str]:
    """Return how often each operator is in a graph."""
    return Counter(node.op_type for node in graph.graph.node)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("kind", [layers.Conv2D, layers.SeparableConv2D, layers.DepthwiseConv2D])
def test_convolutions(kind: type[layers.Layer], padding: str, stride: int) -> None:
    """All three kinds of convolution, padded like TensorFlow or not at all, with and without stride."""
    options = {"strides": stride, "padding": padding}
    check(network(kind(5, **options) if kind is layers.DepthwiseConv2D else kind(6, 5, **options)))


def test_grouped_convolution_and_depth_multiplier() -> None:
    """Convolutions in groups, and depthwise ones with several outputs for each channel."""
    check(network(layers.Conv2D(6, 3, groups=2, padding="same"), layers.DepthwiseConv2D(3, depth_multiplier=2)))


@pytest.mark.parametrize("has_bias", [False, True])
@pytest.mark.parametrize("kind", [layers.Conv2D, layers.SeparableConv2D, layers.DepthwiseConv2D])
def test_batch_norm_is_folded(kind: type[layers.Layer], has_bias: bool) -> None:
    """Batch normalisation behind a convolution costs no operator."""
    arguments = (3,) if kind is layers.DepthwiseConv2D else (6, 3)
    graph = check(network(kind(*arguments, use_bias=has_bias), layers.BatchNormalization()))
    assert set(count_operators(graph)) <= {
        "Transpose",
        "Cast",
        "Mul",
        "Add",
        "Conv",
        "Identity",
        "GlobalAveragePool",
        "Flatten",
    }
    assert count_operators(graph)["Mul"] == 1  # that of the Rescaling


def test_batch_norm_alone_and_behind_activation() -> None:
    """Batch normalisation that cannot be folded is computed, also without factor or offset."""
    check(network(layers.ReLU(), layers.BatchNormalization(scale=False)))
    check(network(layers.Conv2D(4, 1, activation="relu"), layers.BatchNormalization(center=False)))


def test_batch_norm_of_a_shared_convolution_is_not_folded() -> None:
    """Where something else uses the convolution too, it stays as it is."""
    images = keras.Input((SIZE, SIZE, 3))
    value = layers.Conv2D(4, 3)(images)
    model = keras.Model(images, layers.Add()([value, layers.BatchNormalization()(value)]))
    randomise(model)
    check(model)


@pytest.mark.parametrize("kind", ["linear", "relu", "sigmoid", "silu", "hard_silu", "gelu"])
def test_activations(kind: str) -> None:
    """Activations as layers of their own, and inside a convolution and a dense layer."""
    check(network(layers.Activation(kind), layers.Conv2D(4, 1, activation=kind), layers.Dense(3, activation=kind)))


@pytest.mark.parametrize(
    "build",
    [
        layers.ReLU,
        lambda: layers.ReLU(6.0),
        lambda: layers.MaxPooling2D(3, strides=2, padding="same"),
        lambda: layers.MaxPooling2D(2),
        lambda: layers.ZeroPadding2D(((0, 1), (2, 3))),
        lambda: layers.LayerNormalization(epsilon=1e-6),
        lambda: layers.Dense(5),
        lambda: layers.Dropout(0.5),
        lambda: layers.Rescaling(1.0, offset=3.0),
        lambda: layers.Normalization(mean=[1.0, 2.0, 3.0, 4.0], variance=[4.0, 1.0, 0.25, 0.0]),
    ],
)
def test_layers(build: Callable[[], layers.Layer]) -> None:
    """Every other layer that takes one feature map."""
    check(network(build()))


@pytest.mark.parametrize("keepdims", [True, False])
def test_squeeze_and_excitation(keepdims: bool) -> None:
    """Both ways in which Keras Applications write the gate, and a residual addition."""
    images = keras.Input((SIZE, SIZE, 3))
    value = layers.Conv2D(4, 3)(images)
    gate = layers.GlobalAveragePooling2D(keepdims=keepdims)(value)
    gate = gate if keepdims else layers.Reshape((1, 1, 4))(gate)
    gate = layers.Conv2D(4, 1, activation="sigmoid")(gate)
    model = keras.Model(images, layers.Add()([value, layers.Multiply()([value, gate])]))
    randomise(model)
    check(model)


def test_large_constants_are_stored_as_float16() -> None:
    """By default kernels of a thousand elements and more are float16, and all else float32."""
    graph = convert_to_onnx(network(layers.Conv2D(64, 3), layers.BatchNormalization()), "test")
    kinds = {tensor.name: (tensor.data_type, numpy_helper.to_array(tensor).size) for tensor in graph.graph.initializer}
    assert {kind == TensorProto.FLOAT16 for kind, size in kinds.values() if size >= 1000} == {True}
    assert {kind == TensorProto.FLOAT for kind, size in kinds.values() if size < 1000} == {True}


@pytest.mark.parametrize(
    ("build", "fault"),
    [
        (lambda: layers.AveragePooling2D(2, name="mean"), "mean, a AveragePooling2D"),
        (lambda: layers.Activation("tanh", name="bent"), "bent, the activation tanh"),
        (lambda: layers.Conv2D(4, 3, dilation_rate=2, name="wide"), "wide, a Conv2D, with its options"),
        (lambda: layers.ReLU(negative_slope=0.1, name="leaky"), "leaky, a ReLU, with its options"),
    ],
)
def test_unknown_layers_are_refused(build: Callable[[], layers.Layer], fault: str) -> None:
    """A layer that would not be computed as Keras does is refused by name."""
    with pytest.raises(WeightsError, match=f"no ONNX operator is known here for {fault}"):
        convert_to_onnx(network(build()), "test")


@pytest.mark.parametrize("value", [np.nan, 1e6])
def test_impossible_weights_are_refused(value: float) -> None:
    """A kernel that is not finite, or beyond float16's 65,504, is refused by name."""
    model = network(layers.Conv2D(64, 3, name="bad"))
    kernel = model.get_layer("bad").kernel
    kernel.assign(np.full(kernel.shape, value))
    with pytest.raises(WeightsError, match=r"bad.sum.kernel has values that are not finite or too large for float16"):
        convert_to_onnx(model, "test")
