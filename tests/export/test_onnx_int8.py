"""Quantised ONNX files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from tests.export.tiny_network import noise

from binsight.bundle import load_bundle
from binsight.bundle.session import open_session
from binsight.errors import ExportError
from binsight.export.engines import open_engine
from binsight.export.formats import FORMATS, add_to_bundle
from binsight.export.onnx_int8 import to_onnx_int8

if TYPE_CHECKING:
    from pathlib import Path

    from binsight.bundle import Bundle


def test_it_is_near_float(network: bytes, onnx_int8: bytes) -> None:
    """The logits differ by a few percent of their spread."""
    photos = noise(40)
    expected, given = (open_engine("onnx", data, threads=1)(photos) for data in (network, onnx_int8))
    for name in ("logits", "biodegradable_logit"):
        assert np.abs(given[name] - expected[name]).max() < 0.1 * expected[name].std()


def test_it_fits_the_bundle(conv: Bundle, onnx_int8: bytes, tmp_path: Path) -> None:
    """Inputs and outputs are those the manifest asks for, with a free batch."""
    path = add_to_bundle(conv, FORMATS["onnx-int8"], onnx_int8, tmp_path / "copy", facts={})
    open_session(load_bundle(path), threads=1, model="model.int8.onnx")


def test_weights_are_integers_per_channel(onnx_int8: bytes) -> None:
    """Every kernel is int8 with a scale for each of its outputs."""
    model = onnx.load_from_string(onnx_int8)
    constants = {c.name: c for c in model.graph.initializer}
    makers = {node.output[0]: node for node in model.graph.node}
    kernels = [makers[node.input[1]] for node in model.graph.node if node.op_type == "Conv"]
    assert len(kernels) == 3
    for kernel in kernels:
        assert constants[kernel.input[0]].data_type == TensorProto.INT8
        assert list(constants[kernel.input[1]].dims) == [8]


def test_logits_are_not_rounded(onnx_int8: bytes) -> None:
    """The heads stay in float: their products are those of float weights."""
    model = onnx.load_from_string(onnx_int8)
    floats = {c.name for c in model.graph.initializer if c.data_type == TensorProto.FLOAT}
    ends = [node for node in model.graph.node if node.op_type in {"MatMul", "Gemm"} and node.input[1] in floats]
    assert len(ends) == 3  # logits, biodegradable_logit, attention; the inner layer is quantised


def test_first_convolutions_stay_float_in_deep_networks() -> None:
    """Of twelve convolutions one behind the other, the first three keep their float weights."""
    kernel = np.eye(3, dtype=np.float32)[:, :, None, None]
    nodes = [
        helper.make_node("Transpose", ["images"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Cast", ["planes"], ["0"], to=TensorProto.FLOAT),
        *(helper.make_node("Conv", [str(i), f"kernel{i}"], [str(i + 1)]) for i in range(12)),
        helper.make_node("ReduceMean", ["12"], ["logits"], axes=[2, 3], keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        "deep",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["n", 4, 4, 3])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 3])],
        [numpy_helper.from_array(kernel, f"kernel{i}") for i in range(12)],
    )
    deep = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    model = onnx.load_from_string(to_onnx_int8(deep.SerializeToString(), list(noise(2, size=4))))
    floats = [
        node.input[1].startswith("kernel") and "DequantizeLinear" not in node.input[1]
        for node in model.graph.node
        if node.op_type == "Conv"
    ]
    assert floats == [True] * 3 + [False] * 9


def test_no_photos_to_calibrate(network: bytes) -> None:
    """Without photos there is nothing to take the ranges from."""
    with pytest.raises(ExportError, match="expected photos to calibrate with, got none"):
        to_onnx_int8(network, [])


def test_photos_of_another_size_are_one_line(network: bytes) -> None:
    """What goes wrong inside the quantiser is told in one line."""
    with pytest.raises(ExportError, match=r"^ONNX Runtime cannot quantise the network \(.*\)$"):
        to_onnx_int8(network, list(noise(2, size=8)))


def test_nothing_is_said(network: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    """The quantiser's advice does not reach the user."""
    to_onnx_int8(network, list(noise(2)))
    assert capfd.readouterr() == ("", "")
