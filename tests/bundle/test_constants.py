"""Constants of ONNX graphs, read and replaced without the onnx package: what onnx itself makes of the result."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from tests.tiny_bundle import tiny_model

from binsight.bundle.constants import read_constants, replace_constants
from binsight.errors import BundleError

MODEL = tiny_model().SerializeToString()


def constants(model: bytes) -> dict[str, np.ndarray]:
    """As onnx reads them."""
    return {c.name: numpy_helper.to_array(c) for c in onnx.load_from_string(model).graph.initializer}


def test_shapes_and_values_are_those_that_onnx_reads() -> None:
    """Also of a float16 constant, and of one whose numbers lie in a list."""
    model = onnx.load_from_string(MODEL)
    half = np.arange(6, dtype=np.float16).reshape(2, 3)
    model.graph.initializer.append(numpy_helper.from_array(half, "half"))
    model.graph.initializer.append(onnx.helper.make_tensor("listed", onnx.TensorProto.FLOAT, [2], [1.5, -2.0]))
    data = model.SerializeToString()
    found = read_constants(data, {"head", "half", "listed", "not there"})
    assert set(found) == {"head", "half", "listed"}
    for name, value in found.items():
        np.testing.assert_array_equal(value, constants(data)[name])
        assert value.shape == constants(data)[name].shape


def test_only_what_is_named_changes() -> None:
    """The rest stays byte for byte what it was."""
    new = replace_constants(MODEL, {"minus_four": np.array([2.5])})
    before, after = constants(MODEL), constants(new)
    assert after.pop("minus_four").tolist() == [2.5]
    assert all(np.array_equal(value, before[name]) for name, value in after.items())
    assert replace_constants(new, {"minus_four": np.array([-4.0])}) == replace_constants(
        MODEL, {"minus_four": np.array([-4.0])}
    )


def test_there_may_be_more_classes() -> None:
    """The outputs state the new number, and the model is still sound."""
    new = replace_constants(MODEL, {"head": np.ones((3, 5))}, last_axis={"logits": 5, "attention": 5})
    model = onnx.load_from_string(new)
    onnx.checker.check_model(model, full_check=True)
    shapes = {o.name: [d.dim_value for d in o.type.tensor_type.shape.dim] for o in model.graph.output}
    assert shapes["logits"][-1] == shapes["attention"][-1] == 5


def test_what_is_not_there_cannot_be_replaced() -> None:
    """Nor read from what is no model, or of another type than float."""
    with pytest.raises(BundleError, match="no other"):
        replace_constants(MODEL, {"other": np.ones(1)})
    with pytest.raises(BundleError, match="type"):
        read_constants(MODEL, {"cell_shape"})
    with pytest.raises(BundleError):
        read_constants(b"\x3a\xff\xff", {"head"})
