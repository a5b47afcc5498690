"""What an ONNX network is made of."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from tests.tiny_bundle import tiny_model

from binsight.export.onnx_graph import attach_heads
from binsight.probability.scores import LinearHead
from binsight.training.architecture.graph import describe_graph
from binsight.training.architecture.layers import LayerSummary
from binsight.training.backbones.graph_writer import GraphWriter


def backbone() -> onnx.ModelProto:
    """Return 8 x 8 pictures → convolution of stride 2 → depthwise with a gate and a shortcut → 1 x 1 convolution."""
    graph = GraphWriter(half=True)
    value = graph.read_images("images")

    def convolve(name: str, source: str, shape: tuple[int, ...], **options: object) -> str:
        kernel = graph.constant(f"{name}.kernel", np.ones(shape))
        bias = graph.constant(f"{name}.bias", np.ones(shape[0]))
        return graph.add("Conv", [source, kernel, bias], name, **options)

    stem = convolve("stem", value, (4, 3, 3, 3), strides=[2, 2], pads=[0, 0, 1, 1])
    wide = convolve("depthwise", stem, (4, 1, 3, 3), group=4, pads=[1, 1, 1, 1])
    mean = graph.add("GlobalAveragePool", [wide], "squeeze")
    gate = graph.add("Sigmoid", [convolve("excite", mean, (4, 4, 1, 1))], "gate")
    value = graph.add("Add", [stem, graph.add("Mul", [wide, gate], "gated")], "sum")
    convolve("feature_map", value, (300, 4, 1, 1))
    return graph.finish("tiny", size=8, feature_map=(300, 4, 4))


def test_layers_by_hand() -> None:
    """Kinds, shapes, parameters and multiplications of each layer; constants in float16 are counted once."""
    found = describe_graph(backbone(), "tiny")
    assert (found.name, found.size) == ("tiny", (8, 8))
    assert found.layers == (
        LayerSummary("stem", "convolution", (4, 4, 4), 108 + 4, 0, 108 * 16),
        LayerSummary("depthwise", "depthwise", (4, 4, 4), 36 + 4, 0, 36 * 16),
        LayerSummary("squeeze", "gate", (1, 1, 4)),
        LayerSummary("excite", "gate", (1, 1, 4), 16 + 4, 0, 16),
        LayerSummary("sum", "addition", (4, 4, 4)),
        LayerSummary("feature_map", "pointwise", (4, 4, 300), 1200 + 300, 0, 1200 * 16),
        LayerSummary("pooled", "pooling", (1, 1, 300)),
    )
    assert found.outputs == (("feature_map", (300, 4, 4)), ("features", (300,)))


@pytest.mark.parametrize("inner_size", [None, 10])
def test_heads_are_counted_once(inner_size: int | None) -> None:
    """The heat map uses the weights of the category head once more; they are counted once."""
    width = inner_size or 300
    categories = LinearHead(np.ones((width, 5)), np.ones(5))
    biodegradable = LinearHead(np.ones((width, 1)), np.ones(1))
    inner = None if inner_size is None else LinearHead(np.ones((300, inner_size)), np.ones(inner_size))
    model = attach_heads(backbone(), categories, biodegradable=biodegradable, inner=inner)
    dense = [layer for layer in describe_graph(model, "tiny").layers if layer.kind == "dense"]
    expected = [(5, 5 * width + 5, 5 * width), (1, width + 1, width)]
    if inner_size is not None:
        expected.insert(0, (inner_size, 300 * inner_size + inner_size, 300 * inner_size))
    assert [(layer.shape[2], layer.parameters, layer.macs) for layer in dense] == expected
    assert sum(layer.parameters for layer in describe_graph(model, "tiny").layers) == (
        112 + 40 + 20 + 1500 + sum(parameters for _, parameters, _ in expected)
    )


def test_constants_may_be_nodes() -> None:
    """A kernel in a `Constant` node is a kernel too."""
    kernel = numpy_helper.from_array(np.ones((2, 3, 1, 1), np.float32))
    nodes = [
        helper.make_node("Transpose", ["images"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Constant", [], ["kernel"], value=kernel),
        helper.make_node("Conv", ["planes", "kernel"], ["feature_map"]),
    ]
    ends = [
        helper.make_tensor_value_info("images", TensorProto.FLOAT, ["n", 4, 4, 3]),
        helper.make_tensor_value_info("feature_map", TensorProto.FLOAT, ["n", 2, 4, 4]),
    ]
    model = helper.make_model(helper.make_graph(nodes, "any", ends[:1], ends[1:]))
    assert describe_graph(model, "any").layers == (LayerSummary("feature_map", "pointwise", (4, 4, 2), 6, 0, 96),)


def test_network_without_convolutions() -> None:
    """A network that is none of ours is described as far as it is known."""
    found = describe_graph(tiny_model(), "tiny")
    assert [layer.kind for layer in found.layers] == ["pooling", "dense", "dense"]
    assert found.size == (16, 16)
