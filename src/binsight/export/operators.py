"""What ONNX operators are in TensorFlow: those that the networks of our bundles are made of, and no others.

ONNX holds pictures as `(n, c, h, w)`, TensorFlow and LiteRT as `(n, h, w, c)`. Moving the channels at every operator
would cost more than the operators do; so a `Value` remembers how its tensor is held, and the channels are moved
only where an operator needs the order that ONNX states.

References:
    https://onnx.ai/onnx/operators (what each operator means).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import tensorflow as tf
from onnx import NodeProto, helper

from binsight.errors import ExportError

__all__ = ["OPERATORS", "Inputs", "Node", "Operator", "Value"]

_TO_CHANNELS_LAST: Final = (0, 2, 3, 1)
_TO_CHANNELS_FIRST: Final = (0, 3, 1, 2)
_PLACES: Final = {2, 3}  # the axes of height and width in ONNX


@dataclass(frozen=True)
class Value:
    """A tensor of the ONNX graph.

    Attributes:
        data: a NumPy array where it is constant, else a TensorFlow tensor.
        is_channels_last: what ONNX knows as `(n, c, h, w)` is held as `(n, h, w, c)`.
    """

    data: Any
    is_channels_last: bool = False

    @property
    def is_constant(self) -> bool:
        """Whether it is known before any photo is seen."""
        return isinstance(self.data, np.ndarray)

    @property
    def shape(self) -> tuple[int, ...]:
        """As it is held, not as ONNX states it."""
        return tuple(self.data.shape)

    def as_stated(self) -> Any:
        """The tensor with its axes in the order that ONNX states."""
        if not self.is_channels_last:
            return self.data
        n, height, width, channels = self.shape
        if height == width == 1:
            return tf.reshape(self.data, (n, channels, 1, 1))
        return tf.transpose(self.data, _TO_CHANNELS_FIRST)

    def channels_last(self) -> Any:
        """The tensor as `(n, h, w, c)`, of what ONNX states as `(n, c, h, w)` or, to be broadcast, the end of it."""
        if self.is_channels_last:
            return self.data
        missing = (1,) * (4 - len(self.shape))
        if self.is_constant:
            return np.transpose(self.data.reshape(missing + self.shape), _TO_CHANNELS_LAST)
        return tf.transpose(tf.reshape(self.data, missing + self.shape), _TO_CHANNELS_LAST)


class Node:
    """A node of the ONNX graph, its attributes as Python values."""

    def __init__(self, proto: NodeProto) -> None:
        self.operator: str = proto.op_type
        self.name: str = proto.name or proto.output[0]
        self._attributes = {a.name: helper.get_attribute_value(a) for a in proto.attribute}

    def get(self, name: str, default: Any = None) -> Any:
        """An attribute, or `default` where the node does not state it."""
        value = self._attributes.get(name, default)
        return value.decode() if isinstance(value, bytes) else value

    def require(self, fits: bool, what: str) -> None:
        """Refuse the node unless it `fits`."""
        if not fits:
            raise ExportError(f"operator {self.operator} ({self.name}): {what} cannot be exported to LiteRT")


Inputs = Sequence[Value | None]
Operator = Callable[[Node, Inputs], Value]


def _given(inputs: Inputs, position: int) -> Value:
    value = inputs[position]
    assert value is not None  # noqa: S101 - ONNX Runtime has checked that required inputs are there
    return value


def _constant(node: Node, inputs: Inputs, position: int) -> Any:
    """A constant input as an array, or None where it is left out."""
    value = inputs[position] if position < len(inputs) else None
    if value is None:
        return None
    node.require(value.is_constant, "an input that only the photo decides")
    return value.data


def _each(function: Callable[[Any], Any]) -> Operator:
    """An operator that treats every element alike."""
    return lambda _, inputs: Value(function(_given(inputs, 0).data), _given(inputs, 0).is_channels_last)


def _pair(function: Callable[[Any, Any], Any]) -> Operator:
    """An operator on two tensors that are broadcast to each other."""

    def operator(_: Node, inputs: Inputs) -> Value:
        left, right = _given(inputs, 0), _given(inputs, 1)
        if left.is_channels_last or right.is_channels_last:
            return Value(function(left.channels_last(), right.channels_last()), is_channels_last=True)
        return Value(function(left.data, right.data))

    return operator


def _cast(node: Node, inputs: Inputs) -> Value:
    value = _given(inputs, 0)
    return Value(tf.cast(value.data, helper.tensor_dtype_to_np_dtype(node.get("to"))), value.is_channels_last)


def _clip(node: Node, inputs: Inputs) -> Value:
    value = _given(inputs, 0)
    low, high = (_constant(node, inputs, position) for position in (1, 2))
    data = value.data
    if low is not None and high is not None and (low, high) == (0, 6):
        return Value(tf.nn.relu6(data), value.is_channels_last)  # LiteRT makes this one part of the convolution
    data = data if low is None else tf.maximum(data, low)
    return Value(data if high is None else tf.minimum(data, high), value.is_channels_last)


def _gelu(node: Node, inputs: Inputs) -> Value:
    value, approximate = _given(inputs, 0), node.get("approximate", "none") == "tanh"
    return Value(tf.nn.gelu(value.data, approximate), value.is_channels_last)


def _hard_sigmoid(node: Node, inputs: Inputs) -> Value:
    value = _given(inputs, 0)
    line = node.get("alpha", 0.2) * value.data + node.get("beta", 0.5)
    return Value(tf.clip_by_value(line, 0.0, 1.0), value.is_channels_last)


def _convolution(node: Node, inputs: Inputs) -> Value:
    x, kernel, bias = _given(inputs, 0).channels_last(), _constant(node, inputs, 1), _constant(node, inputs, 2)
    groups, channels = node.get("group", 1), x.shape[3]
    node.require(kernel.ndim == 4, "any but two dimensions")
    node.require(set(node.get("dilations", [1])) == {1}, "dilation")
    node.require(groups in {1, channels}, f"{groups} groups of {channels} channels")
    height, width = node.get("strides", [1, 1])
    x, padding = _padded(node, x, kernel.shape[2:], 0.0)
    if groups == 1:
        y = tf.nn.conv2d(x, kernel.transpose(2, 3, 1, 0), (1, height, width, 1), padding)
    else:
        node.require(height == width, "a stride that is not the same in height and width")
        per_channel = kernel.reshape(channels, -1, *kernel.shape[2:])
        y = tf.nn.depthwise_conv2d(x, per_channel.transpose(2, 3, 0, 1), (1, height, width, 1), padding)
    return Value(y if bias is None else tf.nn.bias_add(y, bias), is_channels_last=True)


def _pool(kind: str) -> Operator:
    def operator(node: Node, inputs: Inputs) -> Value:
        x, window = _given(inputs, 0).channels_last(), node.get("kernel_shape")
        node.require(len(window) == 2, "any but two dimensions")
        node.require(not node.get("ceil_mode", 0), "rounding up")
        node.require(set(node.get("dilations", [1])) == {1}, "dilation")
        x, padding = _padded(node, x, window, -np.inf if kind == "MAX" else None)
        node.require(padding == "VALID" or not node.get("count_include_pad", 0), "counting the padding")
        pooled = tf.nn.pool(x, window, kind, strides=node.get("strides", [1, 1]), padding=padding)
        return Value(pooled, is_channels_last=True)

    return operator


def _padded(node: Node, x: Any, window: Sequence[int], value: float | None) -> tuple[Any, str]:
    """What TensorFlow needs for the padding a node states: the tensor, padded by `value` where need be, and a word."""
    rule = node.get("auto_pad", "NOTSET")
    node.require(rule in {"NOTSET", "VALID", "SAME_UPPER"}, f"auto_pad {rule}")
    if rule != "NOTSET":
        return x, "VALID" if rule == "VALID" else "SAME"
    pads, strides = node.get("pads", [0, 0, 0, 0]), node.get("strides", [1, 1])
    stated = [(pads[axis], pads[axis + 2]) for axis in (0, 1)]
    if stated == [(0, 0), (0, 0)]:
        return x, "VALID"
    if stated == [_same(x.shape[axis + 1], window[axis], strides[axis]) for axis in (0, 1)]:
        return x, "SAME"
    node.require(value is not None, "padding other than that of TensorFlow")
    return tf.pad(x, [(0, 0), *stated, (0, 0)], constant_values=value), "VALID"


def _same(size: int, window: int, stride: int) -> tuple[int, int]:
    """TensorFlow's padding before and after an axis, so that the output has ⌈size / stride⌉."""
    total = max((-(-size // stride) - 1) * stride + window - size, 0)
    return total // 2, total - total // 2


def _global_average(_: Node, inputs: Inputs) -> Value:
    return Value(tf.reduce_mean(_given(inputs, 0).channels_last(), (1, 2), keepdims=True), is_channels_last=True)


def _layer_norm(node: Node, inputs: Inputs) -> Value:
    """`(x - mean) / sqrt(variance + epsilon) * scale + bias` over the last axis."""
    x, scale, bias = _given(inputs, 0).as_stated(), _constant(node, inputs, 1), _constant(node, inputs, 2)
    node.require(node.get("axis", -1) in {-1, len(x.shape) - 1}, "any axis but the last")
    centred = x - tf.reduce_mean(x, -1, keepdims=True)
    variance = tf.reduce_mean(tf.square(centred), -1, keepdims=True)
    y = centred * tf.math.rsqrt(variance + node.get("epsilon", 1e-5)) * scale
    return Value(y if bias is None else y + bias)


def _matmul(_: Node, inputs: Inputs) -> Value:
    return Value(tf.matmul(_given(inputs, 0).as_stated(), _given(inputs, 1).as_stated()))


def _gemm(node: Node, inputs: Inputs) -> Value:
    """`alpha * A @ B + beta * C`."""
    left, right = _given(inputs, 0).as_stated(), _constant(node, inputs, 1)
    right = node.get("alpha", 1.0) * (right.T if node.get("transB", 0) else right)
    product = tf.matmul(left, right.astype(np.float32), transpose_a=bool(node.get("transA", 0)))
    addend = _constant(node, inputs, 2)
    return Value(product if addend is None else product + (node.get("beta", 1.0) * addend).astype(np.float32))


def _transpose(node: Node, inputs: Inputs) -> Value:
    value, order = _given(inputs, 0), tuple(node.get("perm", range(len(_given(inputs, 0).shape))[::-1]))
    if order == _TO_CHANNELS_FIRST and not value.is_channels_last:
        return Value(value.data, is_channels_last=True)
    if order == _TO_CHANNELS_LAST and value.is_channels_last:
        return Value(value.data)
    return Value(tf.transpose(value.as_stated(), order))


def _reshape(node: Node, inputs: Inputs) -> Value:
    value, shape = _given(inputs, 0).as_stated(), list(_constant(node, inputs, 1))
    if not node.get("allowzero", 0):
        shape = [value.shape[axis] if size == 0 else size for axis, size in enumerate(shape)]
    return Value(tf.reshape(value, shape))


def _flatten(node: Node, inputs: Inputs) -> Value:
    value, axis = _given(inputs, 0).as_stated(), node.get("axis", 1)
    return Value(tf.reshape(value, (int(np.prod(value.shape[:axis], dtype=int)), -1)))


def _pad(node: Node, inputs: Inputs) -> Value:
    value, pads = _given(inputs, 0), _constant(node, inputs, 1)
    node.require(node.get("mode", "constant") == "constant", f"mode {node.get('mode')}")
    node.require(len(inputs) < 4, "padding of chosen axes")
    fill = _constant(node, inputs, 2)
    pairs = np.stack(np.split(pads, 2), axis=1)
    if value.is_channels_last:
        pairs = pairs[list(_TO_CHANNELS_LAST)]
    filled = tf.pad(value.data, pairs, constant_values=0 if fill is None else fill.item())
    return Value(filled, value.is_channels_last)


def _reduce(function: Callable[..., Any]) -> Operator:
    def operator(node: Node, inputs: Inputs) -> Value:
        value, axes, keep = _given(inputs, 0), _axes(node, inputs), bool(node.get("keepdims", 1))
        if value.is_channels_last and axes is not None and {axis % 4 for axis in axes} == _PLACES:
            return Value(function(value.data, (1, 2), keepdims=keep), is_channels_last=keep)
        return Value(function(value.as_stated(), axes, keepdims=keep))

    return operator


def _axes(node: Node, inputs: Inputs) -> list[int] | None:
    """An attribute before opset 13 or 18, an input from then on."""
    stated = _constant(node, inputs, 1) if len(inputs) > 1 else node.get("axes")
    return None if stated is None else [int(axis) for axis in stated]


OPERATORS: Final[Mapping[str, Operator]] = {
    "Add": _pair(tf.add),
    "AveragePool": _pool("AVG"),
    "Cast": _cast,
    "Clip": _clip,
    "Conv": _convolution,
    "Div": _pair(tf.divide),
    "Flatten": _flatten,
    "Gelu": _gelu,
    "Gemm": _gemm,
    "GlobalAveragePool": _global_average,
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": _each(lambda x: x * tf.nn.relu6(x + 3) / 6),
    "Identity": _each(tf.identity),
    "LayerNormalization": _layer_norm,
    "MatMul": _matmul,
    "Max": _pair(tf.maximum),
    "MaxPool": _pool("MAX"),
    "Mul": _pair(tf.multiply),
    "Neg": _each(tf.negative),
    "Pad": _pad,
    "ReduceLogSumExp": _reduce(tf.reduce_logsumexp),
    "ReduceMean": _reduce(tf.reduce_mean),
    "ReduceSumSquare": _reduce(lambda x, axes, keepdims: tf.reduce_sum(tf.square(x), axes, keepdims=keepdims)),
    "Relu": _each(tf.nn.relu),
    "Reshape": _reshape,
    "Sigmoid": _each(tf.sigmoid),
    "Sqrt": _each(tf.sqrt),
    "Sub": _pair(tf.subtract),
    "Transpose": _transpose,
}
"""ONNX operator → the function that does the same in TensorFlow."""
