"""The micro network in integers: as a file for the micro interpreter, and the same arithmetic as an ONNX graph.

The ONNX graph has the scales and integers of the file between every two convolutions, so that what is predicted on a
computer is what the microcontroller says. Only rounding differs: by one step, here and there.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import tensorflow as tf
from micro_network import SCALE, Layer, compute
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, checker, helper, numpy_helper
from tensorflow.lite.python import schema_py_generated as schema

from binsight.errors import ExportError
from binsight.export.micro import LUMA
from binsight.export.quiet import quiet
from binsight.training.backbones.efficientnet_lite import same_padding

_OPSET, _IR_VERSION = 17, 8
_CODES: Final = schema.BuiltinOperator
_CONVOLUTIONS: Final = (_CODES.CONV_2D, _CODES.DEPTHWISE_CONV_2D)
_TAIL: Final = [_CODES.AVERAGE_POOL_2D, _CODES.CONV_2D, _CODES.RESHAPE]


def to_micro(layers: Sequence[Layer], pictures: NDArray[np.float32]) -> bytes:
    """The network in 8-bit integers, for the micro interpreter.

    Args:
        layers: from `fold_layers`.
        pictures: normalised photos of all kinds, `(n, size, size, channels)`; they set the range of every activation.

    Returns:
        The file: input int8 `(1, size, size, channels)`, pixels less 128; output int8 logits `(1, classes)`.
    """
    shown = pictures.copy()
    shown[0, 0, 0], shown[0, -1, -1] = -127 * SCALE, 128 * SCALE  # the whole range: then an integer is a pixel less 128

    def network(value: Any) -> dict[str, Any]:
        return {"logits": tf.identity(compute(layers, value), name="logits")}

    signature = [tf.TensorSpec((1, *pictures.shape[1:]), tf.float32, name="pictures")]
    traced = tf.function(network, input_signature=signature, autograph=False).get_concrete_function()
    with tempfile.TemporaryDirectory(prefix="binsight-") as folder, quiet():
        tf.saved_model.save(tf.Module(), folder, signatures={"serving_default": traced})
        converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=["serving_default"])
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([picture[None]] for picture in shown)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
        data: bytes = converter.convert()
    return data


@dataclass(frozen=True)
class Integers:
    """A tensor of the file.

    Attributes:
        scale: of a step, one or one per channel.
        zero: the integer that stands for 0.
        shape: its own.
        values: its integers; none for an activation, `(0,)`.
    """

    scale: NDArray[np.float32]
    zero: int
    shape: tuple[int, ...]
    values: NDArray[Any]


@dataclass(frozen=True)
class Operation:
    """An operator of the file: its code and options, and its tensors."""

    code: int
    options: Any
    inputs: list[Integers]
    output: Integers


def read_operations(network: bytes) -> list[Operation]:
    """The operators of a file in their order."""
    model = schema.ModelT.InitFromPackedBuf(network, 0)
    graph = model.subgraphs[0]
    tensors = [_read_tensor(model, tensor) for tensor in graph.tensors]
    return [
        Operation(
            model.operatorCodes[o.opcodeIndex].builtinCode,
            o.builtinOptions,
            [tensors[i] for i in o.inputs],
            tensors[o.outputs[0]],
        )
        for o in graph.operators
    ]


def _read_tensor(model: Any, tensor: Any) -> Integers:
    buffer = model.buffers[tensor.buffer].data
    kinds = {schema.TensorType.INT8: np.int8, schema.TensorType.INT32: np.int32}
    values: NDArray[Any] = np.empty(0, np.int8)
    if buffer is not None:
        values = np.asarray(buffer, np.uint8).view(kinds[tensor.type]).reshape(tensor.shape)
    stated = tensor.quantization
    has_scale = stated is not None and stated.scale is not None
    scale = np.asarray(stated.scale if has_scale else [1.0], np.float32)
    zero = int(stated.zeroPoint[0]) if has_scale else 0
    return Integers(scale, zero, tuple(int(side) for side in tensor.shape), values)


def to_onnx(network: bytes, *, mask: NDArray[np.bool_], temperature: float) -> bytes:
    """The arithmetic of a file from `to_micro` as a bundle's `model.onnx`.

    Args:
        network: the file.
        mask: `(classes,)`, which classes are biodegradable.
        temperature: of the categories. `biodegradable_logit` is the logit of the sum of the confidences that the
            biodegradable classes have with it.
    """
    graph = _Graph()
    *chain, pool, last, _ = operations = read_operations(network)
    codes = [operation.code for operation in operations]
    if not set(codes[:-3]) <= set(_CONVOLUTIONS) or codes[-3:] != _TAIL:
        raise ExportError(f"expected convolutions, pooling, a convolution and reshaping, got operators {codes}")
    value = graph.read_images(chain[0].inputs[0])
    for number, operation in enumerate(chain):
        value = graph.convolve(value, operation, f"layer{number}")
    graph.attend(value, last)
    graph.flatten(graph.convolve(graph.pool(value, pool), last, "last"))
    graph.judge(mask, temperature)
    model = graph.finish(chain[0].inputs[0].shape[1], classes=len(mask), grid=pool.inputs[0].shape[1:3])
    checker.check_model(model, full_check=True)
    data: bytes = model.SerializeToString()
    return data


class _Graph:
    """The ONNX graph while it is written; activations are `(n, channels, h, w)`."""

    def __init__(self) -> None:
        self._nodes: list[Any] = []
        self._constants: list[Any] = []

    def _add(self, operator: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        self._nodes.append(helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output

    def _constant(self, name: str, values: Any) -> str:
        self._constants.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def read_images(self, first: Integers) -> str:
        """Bytes `(n, h, w, 3)` to the values of the file's input; a byte less 128 is its integer."""
        planes = self._add("Transpose", ["images"], "planes", perm=[0, 3, 1, 2])
        if first.shape[3] == 1:
            colour = self._add("Cast", [planes], "colour", to=TensorProto.FLOAT)
            weights = self._constant("luma", np.array(LUMA, np.float32).reshape(1, 3, 1, 1))
            sums = self._add("Conv", [colour, weights], "luma.sum", kernel_shape=[1, 1])
            grey = self._add("Div", [sums, self._constant("luma.whole", np.float32(1000))], "grey")
            planes = self._add("Cast", [self._add("Round", [grey], "whole")], "grey_bytes", to=TensorProto.UINT8)
        scale = self._constant("input.scale", np.float32(first.scale[0]))
        zero = self._constant("input.zero", np.uint8(first.zero + 128))
        return self._add("DequantizeLinear", [planes, scale, zero], "input")

    def convolve(self, value: str, operation: Operation, name: str) -> str:
        """A convolution, rounded to the integers of its output."""
        given, kernel, bias = operation.inputs
        depthwise = operation.code == _CODES.DEPTHWISE_CONV_2D
        weights = kernel.values.transpose((3, 0, 1, 2) if depthwise else (0, 3, 1, 2))
        side, stride = weights.shape[2], operation.options.strideH
        before, after = same_padding(given.shape[1], side, stride)
        result = self._add(
            "Conv",
            [value, *self._parameters(name, weights, kernel, given, bias)],
            f"{name}.sum",
            group=given.shape[3] if depthwise else 1,
            kernel_shape=[side, side],
            strides=[stride, stride],
            pads=[before, before, after, after],
        )
        return self._round(result, operation.output, name)

    def _parameters(
        self, name: str, weights: NDArray[np.int8], kernel: Integers, given: Integers, bias: Integers
    ) -> list[str]:
        scale = self._constant(f"{name}.kernel.scale", kernel.scale)
        zero = self._constant(f"{name}.kernel.zero", np.zeros(len(kernel.scale), np.int8))
        stored = self._constant(f"{name}.kernel.integers", np.ascontiguousarray(weights))
        kernels = self._add("DequantizeLinear", [stored, scale, zero], f"{name}.kernel", axis=0)
        bias_scale = self._constant(f"{name}.bias.scale", kernel.scale * given.scale[0])
        bias_zero = self._constant(f"{name}.bias.zero", np.zeros(len(kernel.scale), np.int32))
        bias_stored = self._constant(f"{name}.bias.integers", bias.values)
        biases = self._add("DequantizeLinear", [bias_stored, bias_scale, bias_zero], f"{name}.bias", axis=0)
        return [kernels, biases]

    def _round(self, value: str, output: Integers, name: str) -> str:
        scale = self._constant(f"{name}.scale", np.float32(output.scale[0]))
        zero = self._constant(f"{name}.zero", np.int8(output.zero))
        integers = self._add("QuantizeLinear", [value, scale, zero], f"{name}.integers")
        return self._add("DequantizeLinear", [integers, scale, zero], name)

    def pool(self, value: str, operation: Operation) -> str:
        """The mean over all places, rounded."""
        side = operation.options.filterHeight
        mean = self._add("AveragePool", [value], "pool.mean", kernel_shape=[side, side])
        return self._round(mean, operation.output, "pool")

    def attend(self, feature_map: str, operation: Operation) -> None:
        """The last convolution at every place of the feature map: `attention`."""
        given, kernel, bias = operation.inputs
        weights = kernel.values.transpose(0, 3, 1, 2)
        parameters = self._parameters("places", weights, kernel, given, bias)
        places = self._add("Conv", [feature_map, *parameters], "places.sum", kernel_shape=[1, 1])
        self._add("Transpose", [places], "attention", perm=[0, 2, 3, 1])

    def flatten(self, value: str) -> None:
        """Write `logits`."""
        self._add("Flatten", [value], "logits", axis=1)

    def judge(self, mask: NDArray[np.bool_], temperature: float) -> None:
        """Write `biodegradable_logit`: `log(sum of p over biodegradable / sum over the others)`."""
        scaled = self._add("Div", ["logits", self._constant("temperature", np.float32(temperature))], "scaled")
        sums = []
        for name, chosen in (("biodegradable", mask), ("other", ~mask)):
            positions = self._constant(f"{name}.classes", np.flatnonzero(chosen))
            part = self._add("Gather", [scaled, positions], f"{name}.logits", axis=1)
            sums.append(self._add("ReduceLogSumExp", [part], f"{name}.sum", axes=[1], keepdims=1))
        self._add("Sub", sums, "biodegradable_logit")

    def finish(self, size: int, *, classes: int, grid: tuple[int, ...]) -> ModelProto:
        """The graph as a model."""
        images = helper.make_tensor_value_info("images", TensorProto.UINT8, ["n", size, size, 3])
        shapes = {"logits": [classes], "biodegradable_logit": [1], "attention": [*grid, classes]}
        outputs = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["n", *s]) for n, s in shapes.items()]
        graph = helper.make_graph(self._nodes, "micro", [images], outputs, self._constants)
        opset = helper.make_opsetid("", _OPSET)
        return helper.make_model(graph, producer_name="binsight", opset_imports=[opset], ir_version=_IR_VERSION)
