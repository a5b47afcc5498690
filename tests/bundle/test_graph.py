"""ONNX files that look into other files, however well they hide it."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from tests.tiny_bundle import tiny_model

from binsight.bundle.graph import refuse_external_data
from binsight.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Callable

# Field numbers of onnx.proto3: Model.graph, Graph.initializer, Tensor.external_data and Tensor.data_location.
GRAPH, INITIALIZER, EXTERNAL_DATA, DATA_LOCATION = 7, 5, 13, 14
VARINT, BYTES = 0, 2


def varint(number: int) -> bytes:
    """Return a number as Protocol Buffers writes it: seven bits a byte, the lowest first."""
    head = []
    while number > 0x7F:
        head.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*head, number])


def field(number: int, content: bytes | int, *, tag_excess: int = 0) -> bytes:
    """Return one field; `tag_excess` is added to its tag, above the 32 bits that other parsers look at."""
    if isinstance(content, int):
        return varint((number << 3 | VARINT) + tag_excess) + varint(content)
    return varint((number << 3 | BYTES) + tag_excess) + varint(len(content)) + content


LOCATION = onnx.StringStringEntryProto(key="location", value="/etc/passwd").SerializeToString()


def external(name: str = "weights") -> TensorProto:
    """Return a tensor whose data are in another file."""
    tensor = numpy_helper.from_array(np.zeros((3, 3), np.float32), name)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")
    return tensor


def in_initializer(model: onnx.ModelProto) -> None:
    """Put the tensor where weights usually are."""
    model.graph.initializer.append(external())


def in_constant(model: onnx.ModelProto) -> None:
    """Put the tensor into the attribute of a node."""
    model.graph.node.append(helper.make_node("Constant", [], ["w"], value=external()))


def in_tensor_list(model: onnx.ModelProto) -> None:
    """Put the tensor into an attribute that is a list of tensors."""
    node = helper.make_node("Custom", [], ["w"])
    node.attribute.append(helper.make_attribute("values", [external()]))
    model.graph.node.append(node)


def in_branch(model: onnx.ModelProto) -> None:
    """Put the tensor into a branch of an If."""
    branch = helper.make_graph([helper.make_node("Identity", ["weights"], ["w"])], "branch", [], [], [external()])
    model.graph.node.append(helper.make_node("If", ["c"], ["w"], then_branch=branch, else_branch=branch))


def in_branch_of_branch(model: onnx.ModelProto) -> None:
    """Put the tensor into a constant of an If of an If."""
    constant = helper.make_node("Constant", [], ["w"], value=external())
    inner = helper.make_graph([constant], "inner", [], [])
    outer = helper.make_graph([helper.make_node("If", ["c"], ["w"], then_branch=inner, else_branch=inner)], "o", [], [])
    model.graph.node.append(helper.make_node("If", ["c"], ["w"], then_branch=outer, else_branch=outer))


def in_graph_list(model: onnx.ModelProto) -> None:
    """Put the tensor into an attribute that is a list of graphs."""
    node = helper.make_node("Custom", [], ["w"])
    node.attribute.append(helper.make_attribute("graphs", [helper.make_graph([], "g", [], [], [external()])]))
    model.graph.node.append(node)


def in_sparse_values(model: onnx.ModelProto) -> None:
    """Put the tensor into a sparse initializer as its values."""
    indices = numpy_helper.from_array(np.array([0], np.int64), "i")
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(external(), indices, [9]))


def in_sparse_indices(model: onnx.ModelProto) -> None:
    """Put the tensor into a sparse initializer as its indices."""
    values = numpy_helper.from_array(np.array([1], np.float32), "v")
    sparse = onnx.SparseTensorProto(values=values, indices=external(), dims=[9])
    model.graph.sparse_initializer.append(sparse)


def in_sparse_attribute(model: onnx.ModelProto) -> None:
    """Put the tensor into a sparse attribute."""
    node = helper.make_node("Constant", [], ["w"])
    node.attribute.add(name="sparse_value", type=onnx.AttributeProto.SPARSE_TENSOR).sparse_tensor.values.CopyFrom(
        external()
    )
    model.graph.node.append(node)


def in_function(model: onnx.ModelProto) -> None:
    """Put the tensor into the body of a local function."""
    node = helper.make_node("Constant", [], ["w"], value=external())
    model.functions.append(helper.make_function("local", "f", [], ["w"], [node], [helper.make_opsetid("", 17)]))


def in_function_default(model: onnx.ModelProto) -> None:
    """Put the tensor into the default of a local function's attribute."""
    attribute = helper.make_attribute("value", external())
    function = onnx.FunctionProto(name="f", domain="local", attribute_proto=[attribute])
    model.functions.append(function)


def in_training(model: onnx.ModelProto) -> None:
    """Put the tensor into the graph for training."""
    model.training_info.add().initialization.CopyFrom(helper.make_graph([], "t", [], [], [external()]))


PLACES = [
    *(in_initializer, in_constant, in_tensor_list, in_branch, in_branch_of_branch, in_graph_list),
    *(in_sparse_values, in_sparse_indices, in_sparse_attribute, in_function, in_function_default, in_training),
]


def test_self_contained_model_passes() -> None:
    """A model with all its weights inside is accepted."""
    refuse_external_data(tiny_model().SerializeToString())


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
def test_external_data_are_refused(place: Callable[[onnx.ModelProto], None]) -> None:
    """A tensor with data in another file is refused wherever in the model it is, and the way out given."""
    model = tiny_model()
    place(model)
    with pytest.raises(BundleError, match="in another file; export the model with its weights inside"):
        refuse_external_data(model.SerializeToString())


def with_tensor_fields(extra: bytes) -> bytes:
    """Return a model whose last initializer ends in hand-written fields."""
    tensor = numpy_helper.from_array(np.zeros(1, np.float32), "extra").SerializeToString() + extra
    model = tiny_model()
    graph = model.graph.SerializeToString() + field(INITIALIZER, tensor)
    model.ClearField("graph")
    return model.SerializeToString() + field(GRAPH, graph)


@pytest.mark.parametrize(
    "extra",
    [
        field(EXTERNAL_DATA, LOCATION),
        field(DATA_LOCATION, 1),
        field(DATA_LOCATION, 1 << 32 | 1),  # an enum keeps its lower 32 bits
        varint(DATA_LOCATION << 3) + b"\x81\x80\x00",  # 1, with zeros before it
    ],
)
def test_half_of_the_fields_is_enough(extra: bytes) -> None:
    """A tensor is refused for its location alone, and for being called external alone, however that is spelt."""
    with pytest.raises(BundleError, match="another file"):
        refuse_external_data(with_tensor_fields(extra))


@pytest.mark.parametrize("excess", [1 << 32, 1 << 34, 7 << 32, 1 << 62])
def test_field_number_beyond_32_bits_is_refused(excess: int) -> None:
    """A field number that other parsers would cut down to that of external data does not slip through."""
    hidden = field(EXTERNAL_DATA, LOCATION, tag_excess=excess) + field(DATA_LOCATION, 1, tag_excess=excess)
    with pytest.raises(BundleError, match="a field number is too large"):
        refuse_external_data(with_tensor_fields(hidden))


def test_graph_in_two_parts_is_looked_through() -> None:
    """A second graph field, which other parsers merge into the first, is looked into as well."""
    more = helper.make_graph([], "more", [], [], [external()]).SerializeToString()
    with pytest.raises(BundleError, match="another file"):
        refuse_external_data(tiny_model().SerializeToString() + field(GRAPH, more))


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"\x00", b"PK\x03\x04", b"hello", b"\x80" * 20, b"\xff" * 64, b"\x89HDF\r\n\x1a\n", b"TFL3" * 9),
        field(1, 8),  # a version, and no graph
        field(GRAPH, b"")[:-1] + b"\x05",  # a graph longer than the file
        varint(GRAPH << 3 | 3) + varint(GRAPH << 3 | 4),  # a group, the old way to nest
    ],
)
def test_what_is_no_onnx_is_refused(data: bytes) -> None:
    """Bytes that are no ONNX model are refused as such."""
    with pytest.raises(BundleError, match="not an ONNX model"):
        refuse_external_data(data)


def test_nesting_without_end_is_refused() -> None:
    """Graphs nested in graphs are refused before they exhaust the stack."""
    graph = b""
    for _ in range(50):
        graph = field(1, field(5, field(6, graph)))  # a node with an attribute that is a graph
    with pytest.raises(BundleError, match="nested deeper than"):
        refuse_external_data(field(GRAPH, graph))


def test_cut_and_mutated_models_raise_nothing_else() -> None:
    """Whatever is cut off a model or changed in it, it is accepted or refused, never a crash."""
    model = tiny_model()
    in_branch(model)
    data, chance = model.SerializeToString(), random.Random(0)  # noqa: S311
    cut = [data[:length] for length in range(len(data))]
    mutated = [data[:position] + bytes([chance.randrange(256)]) + data[position + 1 :] for position in range(len(data))]
    for candidate in cut + mutated:
        try:
            refuse_external_data(candidate)
        except BundleError as error:
            assert "\n" not in str(error)  # noqa: PT017
