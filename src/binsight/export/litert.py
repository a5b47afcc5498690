"""A bundle's network as a LiteRT (TensorFlow Lite) file, in float or in 8-bit integers.

The ONNX graph is rebuilt operator by operator in TensorFlow, whose converter then writes the file. So any bundle can be
exported, whatever it was trained with; a graph with an operator that `operators` does not know is refused by name.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, numpy_helper

from binsight.bundle.session import INPUT_NAME
from binsight.errors import ExportError
from binsight.export.gelu import join_gelu
from binsight.export.operators import OPERATORS, Node, Value
from binsight.export.quiet import quiet
from binsight.export.simplify import simplify

__all__ = ["INT8_OUTPUTS", "to_litert", "to_litert_int8"]

INT8_OUTPUTS = ("logits", "biodegradable_logit")
"""What an integer network gives; 8 bits are too few for the others, of which the energy can be had from the logits."""

_SIGNATURE = "serving_default"


def to_litert(network: bytes) -> bytes:
    """A network as a LiteRT file that computes in float32.

    Args:
        network: the content of a bundle's `model.onnx`.

    Returns:
        The file. Its one signature has the input `images` uint8 `(1, h, w, 3)` and the outputs of the bundle, float32,
        under their names.

    Raises:
        ExportError: the network has an operator or a setting of one that is not supported.
    """
    model = simplify(network, batch=1)
    with _saved(model, [output.name for output in model.graph.output], np.uint8) as folder:
        converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=[_SIGNATURE])
        # Stored as float32: the converter's float16 rounds the small constants too, and changes labels.
        return _convert(converter)


def to_litert_int8(network: bytes, calibration: Sequence[NDArray[np.uint8]]) -> bytes:
    """A network as a LiteRT file that computes in 8-bit integers, for processors that are faster with them.

    Weights are quantised per channel, activations by the range they take on `calibration`.

    Args:
        network: the content of a bundle's `model.onnx`.
        calibration: photos `(h, w, 3)` uint8 of the network's input size, some 100 of all kinds.

    Returns:
        The file. Its one signature has the input `images` uint8 `(1, h, w, 3)`, the pixels as they are, and the outputs
        `INT8_OUTPUTS` as far as the bundle has them, float32.

    Raises:
        ExportError: there are no photos, or the network has an operator that is not supported or has no integer form.
    """
    if not calibration:
        raise ExportError("expected photos to calibrate with, got none")
    model = simplify(network, batch=1)
    outputs = [output.name for output in model.graph.output if output.name in INT8_OUTPUTS]
    with _saved(model, outputs, np.float32) as folder:
        converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=[_SIGNATURE])
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: _representative(calibration)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = tf.uint8
        return _convert(converter)


def _representative(photos: Sequence[NDArray[np.uint8]]) -> Iterator[dict[str, NDArray[np.float32]]]:
    for position, photo in enumerate(photos):
        values = photo[None].astype(np.float32)
        if position == 0:
            # The range of the input must be 0 to 255 exactly: then a pixel's value is its integer.
            values[0, 0, 0], values[0, -1, -1] = 0, 255
        yield {INPUT_NAME: values}


@contextmanager
def _saved(model: ModelProto, outputs: Sequence[str], input_dtype: type[np.generic]) -> Iterator[str]:
    """The network as a SavedModel in a folder that exists for the time being."""
    shape = [dimension.dim_value for dimension in model.graph.input[0].type.tensor_type.shape.dim]
    arrays = {c.name: np.array(numpy_helper.to_array(c)) for c in model.graph.initializer}
    constants = {name: Value(array) for name, array in arrays.items()}
    nodes = _needed(join_gelu(model.graph.node, arrays), outputs)

    def network(images: Any) -> dict[str, Any]:
        values = _run(nodes, constants | {INPUT_NAME: Value(images)})
        # Renamed, or an output that is another's input would lose its name.
        return {name: tf.identity(values[name].as_stated(), name=name) for name in outputs}

    signature = [tf.TensorSpec(shape, input_dtype, name=INPUT_NAME)]
    traced = tf.function(network, input_signature=signature, autograph=False).get_concrete_function()
    with tempfile.TemporaryDirectory(prefix="binsight-") as folder:
        tf.saved_model.save(tf.Module(), folder, signatures={_SIGNATURE: traced})
        yield folder


def _needed(given: Sequence[NodeProto], outputs: Sequence[str]) -> list[NodeProto]:
    """Those nodes that `outputs` depend on, in their order; all of them known."""
    wanted, nodes = set(outputs), []
    for node in reversed(given):
        if wanted.intersection(node.output):
            wanted.update(node.input)
            nodes.append(node)
    unknown = sorted({f"{node.domain}.{node.op_type}".lstrip(".") for node in nodes if not _is_known(node)})
    if unknown:
        raise ExportError(f"the network has operators that cannot be exported to LiteRT: {', '.join(unknown)}")
    return nodes[::-1]


def _is_known(node: NodeProto) -> bool:
    return not node.domain and node.op_type in OPERATORS and len(node.output) == 1


def _run(nodes: Sequence[NodeProto], values: dict[str, Value]) -> dict[str, Value]:
    """The value of every tensor of the graph."""
    for proto in nodes:
        node = Node(proto)
        values[proto.output[0]] = OPERATORS[node.operator](node, [values.get(name) for name in proto.input])
    return values


def _convert(converter: Any) -> bytes:
    with quiet():
        try:
            data: bytes = converter.convert()
        except Exception as error:
            # The converter raises what its compiler says, over many lines.
            raise ExportError(
                f"TensorFlow cannot convert the network ({' '.join(str(error).split())[:300]})"
            ) from error
    return data
