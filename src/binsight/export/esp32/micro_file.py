"""What a micro model's file holds: its operators one after another, as plain numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from binsight.errors import ExportError
from binsight.extras import needs_extra

__all__ = ["Layer", "MicroFile", "read_micro_file"]

_AVERAGE_POOL, _CONV, _DEPTHWISE, _RESHAPE = 1, 3, 4, 22
_KINDS: Final = {_CONV: "CONVOLUTION", _DEPTHWISE: "DEPTHWISE_CONVOLUTION", _AVERAGE_POOL: "AVERAGE_POOLING"}
_INT8, _INT32 = 9, 2
_SAME = 0
_BOUNDS: Final = {0: (-math.inf, math.inf), 1: (0.0, math.inf), 3: (0.0, 6.0)}  # none, ReLU, ReLU6


@dataclass(frozen=True, slots=True)
class Layer:
    """One operator on int8 numbers.

    Attributes:
        kind: `CONVOLUTION`, `DEPTHWISE_CONVOLUTION` or `AVERAGE_POOLING`.
        inputs, outputs: `(height, width, channels)`.
        kernel, stride, padding: `(vertical, horizontal)`; padding above and at the left.
        in_zero, out_zero: the integers that stand for 0.
        least, most: of the output.
        filter, bias: where they begin in the file, in bytes; 0 where there is none.
        multipliers, shifts: of each channel: an int32 with 31 bits after the point, and a power of two.
    """

    kind: str
    inputs: tuple[int, int, int]
    outputs: tuple[int, int, int]
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    in_zero: int
    out_zero: int
    least: int
    most: int
    filter: int = 0
    bias: int = 0
    multipliers: tuple[int, ...] = ()
    shifts: tuple[int, ...] = ()

    @property
    def products(self) -> int:
        """Multiplications of one picture."""
        height, width, channels = self.outputs
        inputs = self.inputs[2] if self.kind == "CONVOLUTION" else 1
        return 0 if self.kind == "AVERAGE_POOLING" else height * width * channels * math.prod(self.kernel) * inputs


@dataclass(frozen=True, slots=True)
class MicroFile:
    """The network of a micro model.

    Attributes:
        data: the `.tflite` file.
        size: `(height, width)` of its input, int8: each value minus 128.
        channels: of its input: 3 for RGB, 1 for grey.
        layers: in order; each takes what the one before gives.
        logit_scale: of one step of the output.
        classes: how many logits.
    """

    data: bytes
    size: tuple[int, int]
    channels: int
    layers: tuple[Layer, ...]
    logit_scale: float
    classes: int


def read_micro_file(data: bytes) -> MicroFile:
    """Read the network of a micro model.

    Args:
        data: a `.tflite` file: int8 RGB `(1, h, w, 3)` or grey `(1, h, w, 1)` in, int8 logits `(1, C)` out; a chain of
            convolutions, average pooling and reshaping.

    Raises:
        ExportError: it is no such file.
        MissingExtraError: LiteRT is not installed.
    """
    with needs_extra("exporting to esp32", "train"):
        from ai_edge_litert import schema_py_generated as schema  # noqa: PLC0415 - an extra
    try:
        model = schema.ModelT.InitFromPackedBuf(data)
        return _Reader(data, model).read()
    except ExportError:
        raise
    except Exception as error:
        # What is read from a damaged file raises whatever follows from its numbers.
        raise ExportError(f"the micro network cannot be read ({type(error).__name__}: {error})"[:300]) from error


class _Reader:
    def __init__(self, data: bytes, model: Any) -> None:
        self._data, self._model = data, model
        if len(model.subgraphs) != 1:
            raise ExportError(f"expected a micro network of one graph, got {len(model.subgraphs)}")
        self._graph = model.subgraphs[0]

    def read(self) -> MicroFile:
        graph = self._graph
        if len(graph.inputs) != 1 or len(graph.outputs) != 1:
            raise ExportError("expected a micro network with one input and one output")
        first, last = graph.tensors[graph.inputs[0]], graph.tensors[graph.outputs[0]]
        shape, classes = _shape(first), _shape(last)[-1]
        is_picture = len(shape) == 4 and shape[0] == 1 and shape[3] in {1, 3}
        if first.type != _INT8 or last.type != _INT8 or not is_picture:
            raise ExportError(
                f"expected a micro network with an int8 input (1, h, w, 3 or 1) and int8 logits, got {shape}"
            )
        layers, at = [], graph.inputs[0]
        for operator in graph.operators:
            if operator.inputs[0] != at:
                raise ExportError("expected a micro network of one chain, got one with branches")
            at = operator.outputs[0]
            if (code := self._code(operator)) != _RESHAPE:
                layers.append(self._layer(code, operator))
        if at != graph.outputs[0] or not layers or math.prod(_shape(last)) != math.prod(layers[-1].outputs):
            raise ExportError("expected a micro network whose last operator gives the logits")
        scale = float(last.quantization.scale[0])
        return MicroFile(self._data, (shape[1], shape[2]), shape[3], tuple(layers), scale, classes)

    def _code(self, operator: Any) -> int:
        stated = self._model.operatorCodes[operator.opcodeIndex]
        code = max(int(stated.builtinCode), int(stated.deprecatedBuiltinCode))
        if code not in _KINDS and code != _RESHAPE:
            raise ExportError(
                "expected a micro network of CONV_2D, DEPTHWISE_CONV_2D, AVERAGE_POOL_2D and RESHAPE, "
                f"got the operator {code} of TensorFlow Lite"
            )
        return code

    def _layer(self, code: int, operator: Any) -> Layer:
        tensors, options = self._graph.tensors, operator.builtinOptions
        source, target = tensors[operator.inputs[0]], tensors[operator.outputs[0]]
        (_, *inputs), (_, *outputs) = _shape(source), _shape(target)
        least, most = _bounds(options.fusedActivationFunction, target)
        stride = (int(options.strideH), int(options.strideW))
        if code == _AVERAGE_POOL:
            kernel = (int(options.filterHeight), int(options.filterWidth))
            if _scale(source) != _scale(target) or _zero(source) != _zero(target):
                raise ExportError("expected average pooling that keeps the scale of its input")
        else:
            weights = _shape(tensors[operator.inputs[1]])
            kernel = (weights[1], weights[2])
        layer = Layer(
            kind=_KINDS[code],
            inputs=(inputs[0], inputs[1], inputs[2]),
            outputs=(outputs[0], outputs[1], outputs[2]),
            kernel=kernel,
            stride=stride,
            padding=_padding(options.padding, inputs, outputs, kernel, stride),
            in_zero=_zero(source),
            out_zero=_zero(target),
            least=least,
            most=most,
        )
        return layer if code == _AVERAGE_POOL else self._with_weights(layer, code, operator)

    def _with_weights(self, layer: Layer, code: int, operator: Any) -> Layer:
        source, weights, bias = (self._graph.tensors[i] for i in operator.inputs)
        target, options = self._graph.tensors[operator.outputs[0]], operator.builtinOptions
        multiplier = options.depthMultiplier if code == _DEPTHWISE else 1
        if weights.type != _INT8 or bias.type != _INT32 or multiplier != 1:
            raise ExportError("expected convolutions of int8 weights and int32 biases, one output for each depth")
        if options.dilationHFactor != 1 or options.dilationWFactor != 1:
            raise ExportError("expected convolutions without dilation")
        scales = np.broadcast_to(np.asarray(weights.quantization.scale, np.float64), layer.outputs[2])
        steps = [_fixed_point(_scale(source) * float(scale) / _scale(target)) for scale in scales]
        return replace(
            layer,
            filter=self._place(weights, math.prod(_shape(weights))),
            bias=self._place(bias, 4 * layer.outputs[2]),
            multipliers=tuple(step[0] for step in steps),
            shifts=tuple(step[1] for step in steps),
        )

    def _place(self, tensor: Any, size: int) -> int:
        """Where a tensor's numbers begin in the file."""
        content = bytes(np.asarray(self._model.buffers[tensor.buffer].data, np.uint8))
        at = self._data.find(content)
        if len(content) != size or at < 0:
            raise ExportError(f"expected {size} bytes of weights, got {len(content)}")
        return at


def _shape(tensor: Any) -> tuple[int, ...]:
    return tuple(int(side) for side in tensor.shape)


def _scale(tensor: Any) -> float:
    return float(tensor.quantization.scale[0])


def _zero(tensor: Any) -> int:
    return int(tensor.quantization.zeroPoint[0])


def _bounds(activation: int, target: Any) -> tuple[int, int]:
    """The least and the largest integer that the activation lets through."""
    if activation not in _BOUNDS:
        raise ExportError(f"expected no activation, ReLU or ReLU6, got activation {activation}")
    low, high = _BOUNDS[activation]
    scale, zero = np.float32(target.quantization.scale[0]), _zero(target)
    least = -128 if math.isinf(low) else zero
    most = 127 if math.isinf(high) else zero + _rounded(float(np.float32(high) / scale))
    return max(-128, least), min(127, most)


def _rounded(value: float) -> int:
    """To the nearest whole number, halves away from zero, as C's `round`."""
    return int(math.copysign(math.floor(abs(value) + 0.5), value))


def _padding(
    kind: int, inputs: Sequence[int], outputs: Sequence[int], kernel: Sequence[int], stride: Sequence[int]
) -> tuple[int, int]:
    if kind != _SAME:
        return 0, 0
    above, left = (max(0, (outputs[i] - 1) * stride[i] + kernel[i] - inputs[i]) // 2 for i in (0, 1))
    return above, left


def _fixed_point(factor: float) -> tuple[int, int]:
    """`factor` as `multiplier * 2 ** (shift - 31)`, the multiplier an int32 of at least 2 ** 30."""
    share, shift = math.frexp(factor)
    multiplier = _rounded(share * (1 << 31))
    if multiplier == 1 << 31:
        multiplier, shift = multiplier // 2, shift + 1
    return (0, 0) if shift < -31 else (multiplier, shift)
