"""Networks with their constants folded."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper
from tests.export.tiny_network import conv_model, noise

from binsight.errors import ExportError
from binsight.export.engines import open_engine
from binsight.export.simplify import simplify


def test_outputs_stay(network: bytes) -> None:
    """The simpler network gives the same."""
    photos = noise(3)
    expected, given = (open_engine("onnx", data, threads=1)(photos) for data in (network, _bytes(simplify(network))))
    for name, values in expected.items():
        np.testing.assert_allclose(given[name], values, rtol=1e-5, atol=1e-5)


def test_weights_are_float32(network: bytes) -> None:
    """Weights behind a `Cast` are constants afterwards; the cast of the photo is the only one left."""
    model = simplify(network)
    assert [node.op_type for node in model.graph.node].count("Cast") == 1
    halves = [c.name for c in model.graph.initializer if c.data_type == TensorProto.FLOAT16]
    assert halves == []
    stem = next(numpy_helper.to_array(c) for c in conv_model().graph.initializer if c.name == "stem.half")
    assert any(np.array_equal(numpy_helper.to_array(c), stem) for c in model.graph.initializer)


def test_batch_is_fixed_where_asked_for(network: bytes) -> None:
    """With a batch given, all shapes have it; without, it stays free."""
    for batch, expected in ((1, 1), (None, 0)):
        (images,) = simplify(network, batch=batch).graph.input
        assert images.type.tensor_type.shape.dim[0].dim_value == expected


def test_only_standard_operators(network: bytes) -> None:
    """No domain but ONNX's own is asked for, so that any ONNX Runtime reads the file."""
    assert [opset.domain for opset in simplify(network).opset_import] == [""]


@pytest.mark.parametrize("batch", [None, 1])
def test_what_is_no_network_is_refused(batch: int | None) -> None:
    """Bytes that are no ONNX give one line."""
    with pytest.raises(ExportError, match=r"^the network cannot be loaded \("):
        simplify(b"no network", batch=batch)


def _bytes(model: onnx.ModelProto) -> bytes:
    data: bytes = model.SerializeToString()
    return data
