"""A Keras backbone as an ONNX graph for inference: channels first, batch normalisation folded into the convolutions.

tf2onnx 1.17 does for Xception, but leaves 125 transpositions in MobileNetV3 and stops at ConvNeXt's depthwise
convolutions and its GELU. The backbones have about twenty kinds of layers, so each is written here as the operator that
ONNX has for it, and compared with Keras in the tests. What a layer computes is in its Keras documentation.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any, Final

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray
from onnx import ModelProto

from binsight.errors import WeightsError
from binsight.training.backbones.efficientnet_lite import same_padding
from binsight.training.backbones.graph_writer import GraphWriter

__all__ = ["convert_to_onnx"]

_Array = NDArray[np.float64]
_SIMPLE_ACTIVATIONS: Final = {"relu": "Relu", "sigmoid": "Sigmoid", "hard_silu": "HardSwish"}
_CONVOLUTIONS: Final = (layers.Conv2D, layers.DepthwiseConv2D, layers.SeparableConv2D)


def convert_to_onnx(model: keras.Model, name: str, *, half: bool = True) -> ModelProto:
    """Return a backbone as ONNX; see `Backbone.to_onnx`.

    Args:
        model: as `plain_copy` leaves it: pictures `(n, size, size, 3)` in, a feature map `(n, gh, gw, d)` out.
        name: of the graph.
        half: whether to store large constants as float16.

    Raises:
        WeightsError: a layer is of a kind, or has an option, that is not known here; or a weight is not finite or too
            large for float16.
    """
    graph = GraphWriter(half=half)
    values = {id(model.inputs[0]): graph.read_images("images")}
    norms = _foldable_norms(model)
    folded = {norm.name for norm in norms.values()}
    for layer in model.layers[1:]:
        inputs = [values[id(tensor)] for tensor in _inputs(layer)]
        if isinstance(layer, _CONVOLUTIONS):
            value = _write_convolution(graph, layer, inputs[0], norms.get(layer.name))
        else:
            value = inputs[0] if layer.name in folded else _write(graph, layer, inputs)
        values[id(layer.output)] = value
    graph.add("Identity", [values[id(model.outputs[0])]], "feature_map")
    _, height, width, channels = model.output_shape
    return graph.finish(name, size=model.input_shape[1], feature_map=(channels, height, width))


def _inputs(layer: keras.Layer) -> list[Any]:
    return layer.input if isinstance(layer.input, list) else [layer.input]


def _foldable_norms(model: keras.Model) -> dict[str, Any]:
    """Return the batch normalisation behind each convolution, by its name, where nothing else uses the convolution."""
    users = defaultdict(list)
    for layer in model.layers[1:]:
        for tensor in _inputs(layer):
            users[id(tensor)].append(layer)
    return {
        layer.name: users[id(layer.output)][0]
        for layer in model.layers
        if isinstance(layer, _CONVOLUTIONS)
        and len(users[id(layer.output)]) == 1
        and isinstance(users[id(layer.output)][0], layers.BatchNormalization)
        and _activation(layer) == "linear"
    }


def _write_convolution(graph: GraphWriter, layer: Any, value: str, norm: Any) -> str:
    """Write a convolution with the batch normalisation `norm` in it, or without one where that is None.

    Keras has kernels as `(h, w, inputs, outputs)`, or `(h, w, channels, multiplier)` where depthwise; ONNX as
    `(outputs, inputs / groups, h, w)`.
    """
    _require(layer, layer.data_format == "channels_last")
    groups, channels = getattr(layer, "groups", 1), _inputs(layer)[0].shape[-1]
    if isinstance(layer, layers.SeparableConv2D):
        depthwise = _depthwise(_array(layer.depthwise_kernel))
        value = _convolve(graph, f"{layer.name}.depthwise", value, depthwise, None, channels, _window(layer))
        kernel, window = _array(layer.pointwise_kernel).transpose(3, 2, 0, 1), {"kernel_shape": [1, 1]}
    elif isinstance(layer, layers.DepthwiseConv2D):
        kernel, groups, window = _depthwise(_array(layer.kernel)), channels, _window(layer)
    else:
        kernel, window = _array(layer.kernel).transpose(3, 2, 0, 1), _window(layer)
    bias = _array(layer.bias) if layer.use_bias else None
    if norm is not None:
        gain, offset = _gain_and_offset(norm)
        kernel, bias = kernel * gain[:, None, None, None], (0 if bias is None else bias * gain) + offset
    value = _convolve(graph, f"{layer.name}.sum", value, kernel, bias, groups, window)
    return _activate(graph, layer, value)


def _depthwise(kernel: _Array) -> _Array:
    return kernel.reshape(*kernel.shape[:2], -1).transpose(2, 0, 1)[:, None]


def _convolve(
    graph: GraphWriter, name: str, value: str, kernel: _Array, bias: _Array | None, groups: int, window: dict[str, Any]
) -> str:
    inputs = [value, graph.constant(f"{name}.kernel", kernel)]
    if bias is not None:
        inputs.append(graph.constant(f"{name}.bias", bias))
    return graph.add("Conv", inputs, name, group=groups, **window)


def _window(layer: Any) -> dict[str, Any]:
    """Return size, strides and padding of a convolution or pooling as ONNX has them."""
    kernel = [int(side) for side in getattr(layer, "kernel_size", None) or layer.pool_size]
    _require(layer, all(rate == 1 for rate in getattr(layer, "dilation_rate", (1, 1))))
    pads = [(0, 0), (0, 0)]
    if layer.padding == "same":
        sizes = _inputs(layer)[0].shape[1:3]
        pads = [same_padding(*axis) for axis in zip(sizes, kernel, layer.strides, strict=True)]
    (top, bottom), (left, right) = pads
    return {
        "kernel_shape": kernel,
        "strides": [int(step) for step in layer.strides],
        "pads": [top, left, bottom, right],
    }


def _gain_and_offset(norm: Any) -> tuple[_Array, _Array]:
    """Return what a batch normalisation in inference multiplies by and adds, each `(channels,)`."""
    mean, variance = _array(norm.moving_mean), _array(norm.moving_variance)
    gamma = _array(norm.gamma) if norm.scale else np.ones_like(mean)
    beta = _array(norm.beta) if norm.center else np.zeros_like(mean)
    with np.errstate(all="ignore"):  # what is not finite is refused as a constant
        gain = gamma / np.sqrt(variance + norm.epsilon)
        return gain, beta - mean * gain


def _write(graph: GraphWriter, layer: Any, inputs: list[str]) -> str:
    for kind, write in _WRITERS.items():
        if isinstance(layer, kind):
            return write(graph, layer, inputs)
    if type(layer).__name__ == "LayerScale":  # of ConvNeXt; Keras has no public name for it
        return graph.add("Mul", [inputs[0], graph.constant(f"{layer.name}.gamma", _planes(layer.gamma))], layer.name)
    raise WeightsError(f"no ONNX operator is known here for {layer.name}, a {type(layer).__name__}")


def _write_scaled(graph: GraphWriter, name: str, value: str, scale: _Array, offset: _Array) -> str:
    """Write `value * scale + offset`, with one number for all channels or one for each."""
    if (scale != 1).any():
        value = graph.add("Mul", [value, graph.constant(f"{name}.scale", _planes(scale))], f"{name}.scaled")
    return graph.add("Add", [value, graph.constant(f"{name}.offset", _planes(offset))], name)


def _write_rescaling(graph: GraphWriter, layer: Any, inputs: list[str]) -> str:
    return _write_scaled(graph, layer.name, inputs[0], np.asarray(layer.scale, float), np.asarray(layer.offset, float))


def _write_normalization(graph: GraphWriter, layer: Any, inputs: list[str]) -> str:
    mean, variance = (_array(value).ravel() for value in (layer.mean, layer.variance))
    _require(layer, not layer.invert)
    scale = 1 / np.maximum(np.sqrt(variance), keras.config.epsilon())
    return _write_scaled(graph, layer.name, inputs[0], scale, -mean * scale)


def _write_batch_norm(graph: GraphWriter, layer: Any, inputs: list[str]) -> str:
    return _write_scaled(graph, layer.name, inputs[0], *_gain_and_offset(layer))


def _write_layer_norm(graph: GraphWriter, layer: Any, inputs: list[str]) -> str:
    _require(layer, layer.axis in (-1, [-1], (-1,)) and layer.scale and layer.center)
    last = graph.add("Transpose", inputs, f"{layer.name}.last", perm=[0, 2, 3, 1])
    weights = [graph.constant(f"{layer.name}.{part}", _array(getattr(layer, part))) for part in ("gamma", "beta")]
    options = {"axis": -1, "epsilon": float(layer.epsilon)}
    value = graph.add("LayerNormalization", [last, *weights], f"{layer.name}.normed", **options)
    return graph.add("Transpose", [value], layer.name, perm=[0, 3, 1, 2])


def _write_dense(graph: GraphWriter, layer: Any, inputs: list[str]) -> str:
    """A dense layer at every place is a convolution of one place."""
    _require(layer, len(_inputs(layer)[0].shape) == 4 and layer.use_bias)
    kernel, window = _array(layer.kernel).T[:, :, None, None], {"kernel_shape": [1, 1]}
    value = _convolve(graph, f"{layer.name}.sum", inputs[0], kernel, _array(layer.bias), 1, window)
    return _activate(graph, layer, value)


def _write_activation(graph: GraphWriter, layer: Any, inputs: list[str]) -> str:
    return _activate(graph, layer, inputs[0])


def _activate(graph: GraphWriter, layer: Any, value: str) -> str:
    """Write the activation of a layer, which may be one itself, on its sums `value`."""
    kind, name = _activation(layer), layer.name
    if kind == "linear":
        return value
    if kind in _SIMPLE_ACTIVATIONS:
        return graph.add(_SIMPLE_ACTIVATIONS[kind], [value], name)
    if kind == "silu":
        return graph.add("Mul", [value, graph.add("Sigmoid", [value], f"{name}.gate")], name)
    if kind == "gelu":
        return _write_gelu(graph, name, value)
    raise WeightsError(f"no ONNX operator is known here for {name}, the activation {kind}")


def _write_gelu(graph: GraphWriter, name: str, value: str) -> str:
    """Write `x / 2 * (1 + erf(x / √2))`, in the form that ONNX Runtime fuses."""
    inner = graph.add("Div", [value, graph.constant(f"{name}.root", math.sqrt(2))], f"{name}.inner")
    outer = graph.add(
        "Add", [graph.add("Erf", [inner], f"{name}.erf"), graph.constant(f"{name}.one", 1)], f"{name}.outer"
    )
    product = graph.add("Mul", [value, outer], f"{name}.product")
    return graph.add("Mul", [product, graph.constant(f"{name}.half", 0.5)], name)


def _write_relu(graph: GraphWriter, layer: Any, inputs: list[str]) -> str:
    _require(layer, not layer.negative_slope and not layer.threshold)
    if layer.max_value is None:
        return graph.add("Relu", inputs, layer.name)
    limits = [graph.constant(f"{layer.name}.{part}", value) for part, value in (("low", 0), ("high", layer.max_value))]
    return graph.add("Clip", [*inputs, *limits], layer.name)


def _write_global_pool(graph: GraphWriter, layer: Any, inputs: list[str]) -> str:
    """The mean over the places, whose two axes stay: what follows is the gate of a squeeze-and-excitation."""
    return graph.add("GlobalAveragePool", inputs, layer.name)


def _write_max_pool(graph: GraphWriter, layer: Any, inputs: list[str]) -> str:
    return graph.add("MaxPool", inputs, layer.name, **_window(layer))


def _write_zero_padding(graph: GraphWriter, layer: Any, inputs: list[str]) -> str:
    (top, bottom), (left, right) = layer.padding
    pads = graph.shape(f"{layer.name}.pads", [0, 0, top, left, 0, 0, bottom, right])
    return graph.add("Pad", [*inputs, pads], layer.name)


def _write_reshape(_: GraphWriter, layer: Any, inputs: list[str]) -> str:
    """Of channels `(c,)` to `(1, 1, c)` only; here these axes were never dropped."""
    _require(layer, tuple(layer.target_shape) == (1, 1, _inputs(layer)[0].shape[-1]))
    return inputs[0]


def _array(values: Any) -> _Array:
    return np.asarray(values, np.float64)


def _planes(values: Any) -> _Array:
    """Return one value for each channel as `(c, 1, 1)`; a single one as it is."""
    array = _array(values)
    return array[:, None, None] if array.ndim else array


def _activation(layer: Any) -> str:
    return str(getattr(layer.activation, "__name__", layer.activation))


def _require(layer: Any, condition: object) -> None:
    if not condition:
        raise WeightsError(
            f"no ONNX operator is known here for {layer.name}, a {type(layer).__name__}, with its options"
        )


_WRITERS: Final[Mapping[type, Callable[[GraphWriter, Any, list[str]], str]]] = {
    layers.Rescaling: _write_rescaling,
    layers.Normalization: _write_normalization,
    layers.BatchNormalization: _write_batch_norm,
    layers.LayerNormalization: _write_layer_norm,
    layers.Dense: _write_dense,
    layers.Activation: _write_activation,
    layers.ReLU: _write_relu,
    layers.GlobalAveragePooling2D: _write_global_pool,
    layers.MaxPooling2D: _write_max_pool,
    layers.ZeroPadding2D: _write_zero_padding,
    layers.Reshape: _write_reshape,
    layers.Add: lambda graph, layer, inputs: graph.add("Add", inputs, layer.name),
    layers.Multiply: lambda graph, layer, inputs: graph.add("Mul", inputs, layer.name),
    layers.Dropout: lambda _, __, inputs: inputs[0],
}
