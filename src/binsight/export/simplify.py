"""An ONNX network with everything that is constant computed beforehand, ready to be rewritten."""

from __future__ import annotations

import tempfile
from pathlib import Path

import onnx
from onnx import ModelProto

from binsight.bundle.runtime import import_onnxruntime
from binsight.errors import ExportError

__all__ = ["simplify"]

_FATAL_ONLY = 4


def simplify(network: bytes, *, batch: int | None = None) -> ModelProto:
    """The same network in fewer nodes: ONNX Runtime folds its constants, as it does whenever it loads one.

    Weights stored as float16 behind a `Cast` become float32, shapes that are known become numbers, batch
    normalisation becomes part of the convolution before it. Only operators of the ONNX standard come out.

    Args:
        network: a `.onnx` file's content.
        batch: the number of photos to fix the network to, or None to leave it free.

    Raises:
        ExportError: ONNX Runtime cannot load the network.
    """
    ort = import_onnxruntime()
    options = ort.SessionOptions()
    options.log_severity_level = _FATAL_ONLY
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    with tempfile.TemporaryDirectory(prefix="binsight-") as folder:
        out = Path(folder, "simple.onnx")
        options.optimized_model_filepath = str(out)
        try:
            given = network if batch is None else _with_batch(network, batch)
            ort.InferenceSession(given, options, providers=["CPUExecutionProvider"])
            model = onnx.load(out)
        except Exception as error:
            # ONNX Runtime raises a dozen unrelated types for malformed models.
            raise ExportError(f"the network cannot be loaded ({' '.join(str(error).split())[:300]})") from error
    _drop_unused_domains(model)
    return model


def _with_batch(network: bytes, batch: int) -> bytes:
    model = onnx.load_from_string(network)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = batch
    # What was inferred for a free batch would contradict the fixed one.
    del model.graph.value_info[:]
    data: bytes = model.SerializeToString()
    return data


def _drop_unused_domains(model: ModelProto) -> None:
    """ONNX Runtime imports all domains it knows; older ones refuse a file that names a domain they do not know."""
    used = {node.domain for node in model.graph.node} | {""}
    kept = [opset for opset in model.opset_import if opset.domain in used]
    del model.opset_import[:]
    model.opset_import.extend(kept)
