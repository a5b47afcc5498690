"""Each operator against ONNX Runtime, with the channels first and last."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
import tensorflow as tf
from onnx import NodeProto, TensorProto, helper, numpy_helper

from binsight.errors import ExportError
from binsight.export.operators import OPERATORS, Node, Value

SHAPE = (2, 4, 5, 6)  # n, c, h, w
RANDOM = np.random.default_rng(0)
X = RANDOM.normal(0, 3, SHAPE).astype(np.float32)

_f = lambda *shape: RANDOM.normal(0, 1, shape).astype(np.float32)  # noqa: E731
_i = lambda *values: np.array(values, np.int64)  # noqa: E731
_s = lambda value: np.array(value, np.float32)  # noqa: E731

# Name, operator, constant inputs behind x, attributes.
CASES: list[tuple[str, str, list[Any], dict[str, Any]]] = [
    ("add_channels", "Add", [_f(4, 1, 1)], {}),
    ("add_scalar", "Add", [_s(2)], {}),
    ("average_pool", "AveragePool", [], {"kernel_shape": [2, 3], "strides": [1, 2]}),
    ("average_pool_same", "AveragePool", [], {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}),
    ("cast", "Cast", [], {"to": TensorProto.INT32}),
    ("clip_6", "Clip", [_s(0), _s(6)], {}),
    ("clip_low", "Clip", [_s(-1)], {}),
    ("clip_high", "Clip", [None, _s(1)], {}),
    ("conv", "Conv", [_f(7, 4, 3, 3), _f(7)], {}),
    ("conv_no_bias", "Conv", [_f(7, 4, 1, 1)], {}),
    ("conv_same", "Conv", [_f(7, 4, 3, 3)], {"pads": [1, 1, 1, 1]}),
    ("conv_strided_same", "Conv", [_f(7, 4, 3, 3)], {"pads": [1, 0, 1, 1], "strides": [2, 2]}),
    ("conv_strided_torch", "Conv", [_f(7, 4, 3, 3)], {"pads": [1, 1, 1, 1], "strides": [2, 2]}),
    ("conv_valid_word", "Conv", [_f(7, 4, 3, 3)], {"auto_pad": "VALID"}),
    ("conv_same_word", "Conv", [_f(7, 4, 3, 3)], {"auto_pad": "SAME_UPPER", "strides": [2, 2]}),
    ("depthwise", "Conv", [_f(4, 1, 3, 3), _f(4)], {"group": 4, "pads": [0, 2, 1, 0]}),
    ("depthwise_multiplied", "Conv", [_f(8, 1, 3, 3)], {"group": 4}),
    ("div", "Div", [_s(3)], {}),
    ("flatten", "Flatten", [], {}),
    ("flatten_late", "Flatten", [], {"axis": 2}),
    ("global_average", "GlobalAveragePool", [], {}),
    ("hard_sigmoid", "HardSigmoid", [], {"alpha": 0.25}),
    ("hard_swish", "HardSwish", [], {}),
    ("identity", "Identity", [], {}),
    ("layer_norm", "LayerNormalization", [_f(6), _f(6)], {"axis": -1, "epsilon": 1e-3}),
    ("layer_norm_no_bias", "LayerNormalization", [_f(6)], {"axis": 3}),
    ("matmul", "MatMul", [_f(6, 3)], {}),
    ("max", "Max", [_f(6)], {}),
    ("max_pool", "MaxPool", [], {"kernel_shape": [2, 2], "strides": [2, 2]}),
    ("max_pool_padded", "MaxPool", [], {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 0, 1]}),
    ("mul_channels", "Mul", [_f(1, 4, 1, 1)], {}),
    ("neg", "Neg", [], {}),
    ("pad", "Pad", [_i(0, 0, 1, 2, 0, 0, 3, 0), _s(-1)], {}),
    ("pad_zero", "Pad", [_i(0, 1, 0, 0, 0, 0, 0, 0)], {}),
    ("reduce_mean_places", "ReduceMean", [], {"axes": [2, 3], "keepdims": 0}),
    ("reduce_mean_places_kept", "ReduceMean", [], {"axes": [-1, -2]}),
    ("reduce_mean_channels", "ReduceMean", [], {"axes": [1], "keepdims": 0}),
    ("reduce_mean_all", "ReduceMean", [], {"keepdims": 0}),
    ("sum_square", "ReduceSumSquare", [], {"axes": [1], "keepdims": 1}),
    ("log_sum_exp", "ReduceLogSumExp", [], {"axes": [1], "keepdims": 1}),
    ("relu", "Relu", [], {}),
    ("reshape", "Reshape", [_i(0, -1, 6)], {}),
    ("sigmoid", "Sigmoid", [], {}),
    ("sub", "Sub", [_f(6)], {}),
    ("transpose_last", "Transpose", [], {"perm": [0, 2, 3, 1]}),
    ("transpose_other", "Transpose", [], {"perm": [3, 0, 2, 1]}),
    ("transpose_default", "Transpose", [], {}),
]


def _node(operator: str, constants: list[Any], attributes: dict[str, Any]) -> tuple[NodeProto, dict[str, Any]]:
    names = ["x", *("" if value is None else f"c{i}" for i, value in enumerate(constants))]
    given = {f"c{i}": value for i, value in enumerate(constants) if value is not None}
    return helper.make_node(operator, names, ["y"], **attributes), given


def _expected(node: NodeProto, constants: dict[str, Any], x: np.ndarray) -> Any:
    """What ONNX Runtime gives; opset 17 has all operators that are in use."""
    graph = helper.make_graph(
        [node],
        "one",
        [helper.make_tensor_value_info("x", helper.np_dtype_to_tensor_dtype(x.dtype), x.shape)],
        [helper.make_empty_tensor_value_info("y")],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0]


def _given(node: NodeProto, constants: dict[str, Any], x: Value) -> Any:
    values = {"x": x} | {name: Value(value) for name, value in constants.items()}
    result = OPERATORS[node.op_type](Node(node), [values.get(name) for name in node.input])
    return np.asarray(result.as_stated())


@pytest.mark.parametrize("is_channels_last", [False, True])
@pytest.mark.parametrize("case", CASES, ids=[case[0] for case in CASES])
def test_operator_is_that_of_onnx(case: tuple[str, str, list[Any], dict[str, Any]], is_channels_last: bool) -> None:
    """Whichever way the channels are held."""
    node, constants = _node(*case[1:])
    held = tf.constant(X.transpose(0, 2, 3, 1) if is_channels_last else X)
    given = _given(node, constants, Value(held, is_channels_last))
    np.testing.assert_allclose(given, _expected(node, constants, X), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "attributes", [{}, {"transB": 1}, {"transA": 1, "alpha": 0.5, "beta": 2.0}], ids=["plain", "b", "a_scaled"]
)
def test_gemm(attributes: dict[str, Any]) -> None:
    """`alpha * A' @ B' + beta * C`."""
    b = _f(4, 4)
    node, constants = _node("Gemm", [b, _f(4)], attributes)
    x = X[0, :, 0, :4]
    given = _given(node, constants, Value(tf.constant(x)))
    np.testing.assert_allclose(given, _expected(node, constants, x), rtol=1e-4, atol=1e-4)


def test_gelu() -> None:
    """`x / 2 * (1 + erf(x / √2))`: at 0, 1 and -1, from a table of the normal distribution."""
    node = helper.make_node("Gelu", ["x"], ["y"])
    given = _given(node, {}, Value(tf.constant([0.0, 1.0, -1.0])))
    np.testing.assert_allclose(given, [0, 0.841345, -0.158655], atol=1e-5)


def test_gate_of_another_layout() -> None:
    """A tensor with its channels last can be multiplied by one that has them first."""
    gate = _f(2, 4, 1, 1)
    node = helper.make_node("Mul", ["x", "gate"], ["y"])
    given = OPERATORS["Mul"](Node(node), [Value(tf.constant(X.transpose(0, 2, 3, 1)), True), Value(tf.constant(gate))])
    np.testing.assert_allclose(given.as_stated(), X * gate, rtol=1e-6)


def test_single_place_is_not_transposed() -> None:
    """One place with its channels last is, in ONNX's order, the same numbers."""
    value = Value(tf.constant(_f(2, 1, 1, 4)), is_channels_last=True)
    assert value.as_stated().shape == (2, 4, 1, 1)


@pytest.mark.parametrize(
    ("operator", "constants", "attributes", "words"),
    [
        ("Conv", [_f(4, 2, 3, 3)], {"group": 2}, "2 groups of 4 channels"),
        ("Conv", [_f(4, 1, 3, 3)], {"group": 4, "strides": [1, 2]}, "a stride that is not the same"),
        ("Conv", [_f(4, 4, 3, 3)], {"auto_pad": "SAME_LOWER"}, "auto_pad SAME_LOWER"),
        ("MaxPool", [], {"kernel_shape": [2, 2], "ceil_mode": 1}, "rounding up"),
        ("MaxPool", [], {"kernel_shape": [2, 2], "dilations": [2, 2]}, "dilation"),
        ("AveragePool", [], {"kernel_shape": [3, 3], "pads": [2, 0, 0, 0]}, "padding other than that of TensorFlow"),
        ("AveragePool", [], {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "count_include_pad": 1}, "counting the pad"),
        ("Pad", [_i(0, 0, 1, 1, 0, 0, 1, 1)], {"mode": "reflect"}, "mode reflect"),
        ("LayerNormalization", [_f(5, 6)], {"axis": 2}, "any axis but the last"),
    ],
)
def test_options_that_are_not_known(
    operator: str, constants: list[Any], attributes: dict[str, Any], words: str
) -> None:
    """Each is refused by the name of the operator and what it asks for."""
    node, given = _node(operator, constants, attributes)
    with pytest.raises(ExportError, match=rf"operator {operator} \(y\): {words}"):
        _given(node, given, Value(tf.constant(X)))


def test_input_that_must_be_constant() -> None:
    """A kernel that depends on the photo is refused."""
    node, _ = _node("Conv", [_f(4, 4, 1, 1)], {})
    with pytest.raises(ExportError, match="an input that only the photo decides"):
        OPERATORS["Conv"](Node(node), [Value(tf.constant(X)), Value(tf.constant(X))])
