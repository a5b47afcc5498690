"""What an ONNX network is made of: the one in a bundle, or a backbone's."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import Final

from onnx import ModelProto, NodeProto, helper, numpy_helper, shape_inference

from binsight.training.architecture.layers import Architecture, LayerKind, LayerSummary

__all__ = ["describe_graph"]

_SIDE_OUTPUTS: Final = {"attention", "unfamiliarity"}  # of the categories' head, or no layers of the network
_POOLS: Final = {"MaxPool", "AveragePool", "GlobalAveragePool", "ReduceMean"}


def describe_graph(model: ModelProto, name: str) -> Architecture:
    """Return the layers of a network that `Backbone.to_onnx` or `attach_heads` wrote.

    Args:
        model: input `images` `(n, h, w, 3)`; its feature maps have the channels first.
        name: what to call it.
    """
    graph = _Graph(shape_inference.infer_shapes(model, data_prop=True))
    layers: list[LayerSummary] = []
    for node in graph.nodes_behind([name for name in graph.outputs if name not in _SIDE_OUTPUTS]):
        shape, kind = graph.size(node.output[0]), graph.kind(node)
        parameters = graph.take_parameters(node)
        if shape is not None and kind is not None:
            layers.append(
                LayerSummary(node.name or node.output[0], kind, shape, parameters, 0, graph.macs(node, shape))
            )
        elif layers and parameters:
            # A bias, a scale or a normalisation: part of the layer it belongs to.
            last = layers[-1]
            layers[-1] = LayerSummary(last.name, last.kind, last.shape, last.parameters + parameters, 0, last.macs)
    _, height, width, _ = graph.shapes["images"]
    outputs = tuple((output, graph.shapes[output][1:]) for output in graph.outputs)
    return Architecture(name, (height, width), tuple(layers), outputs)


class _Graph:
    """Looks shapes, constants and users of values up."""

    def __init__(self, model: ModelProto) -> None:
        graph = model.graph
        self.outputs = [value.name for value in graph.output]
        self._nodes = graph.node
        values = [*graph.input, *graph.value_info, *graph.output]
        self.shapes = {v.name: tuple(d.dim_value for d in v.type.tensor_type.shape.dim) for v in values}
        self._constants = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
        self._counted: set[str] = set()
        self._users: dict[str, list[NodeProto]] = defaultdict(list)
        for node in graph.node:
            if node.op_type == "Constant":
                self._constants[node.output[0]] = numpy_helper.to_array(node.attribute[0].t).shape
            elif node.op_type == "Cast" and node.input[0] in self._constants:
                self._constants[node.output[0]] = self._constants[node.input[0]]
            for name in node.input:
                self._users[name].append(node)

    def nodes_behind(self, outputs: list[str]) -> list[NodeProto]:
        """The nodes that some outputs depend on, in the graph's order."""
        needed, found = set(outputs), []
        for node in reversed(self._nodes):
            if not needed.isdisjoint(node.output):
                needed.update(node.input)
                found.append(node)
        return found[::-1]

    def size(self, value: str) -> tuple[int, int, int] | None:
        """Height, width and channels of a value; None where it is neither a feature map nor features."""
        match self.shapes.get(value):
            case (_, channels, height, width):
                return height, width, channels
            case (_, channels):
                return 1, 1, channels
        return None

    def kind(self, node: NodeProto) -> LayerKind | None:
        """What a node is; None for what is no layer of its own."""
        weights = [self._constants[name] for name in node.input if name in self._constants]
        if node.op_type == "Conv":
            if self.is_gate(node):
                return "gate"
            group = {a.name: helper.get_attribute_value(a) for a in node.attribute}.get("group", 1)
            return "depthwise" if group > 1 else "pointwise" if math.prod(weights[0][2:]) == 1 else "convolution"
        if node.op_type in _POOLS and len(self.shapes.get(node.input[0], ())) == 4:
            return "gate" if self.is_gate(node) else "pooling"
        if node.op_type in {"Gemm", "MatMul"} and weights and len(self.shapes.get(node.output[0], ())) == 2:
            return "dense"
        return "addition" if node.op_type == "Add" and not weights else None

    def is_gate(self, node: NodeProto) -> bool:
        """Whether a node works on a mean over the places that a later `Mul` spreads over the places again."""
        shape = self.shapes.get(node.output[0], ())
        if len(shape) != 4 or shape[2:] != (1, 1):
            return False
        for user in self._users[node.output[0]]:
            wide = self.shapes.get(user.output[0], ())
            if user.op_type == "Mul" and len(wide) == 4 and wide[2:] != (1, 1):
                return True
            if user.op_type in {"Conv", "Relu", "Sigmoid", "Clip", "Add", "Mul"} and self.is_gate(user):
                return True
        return False

    def take_parameters(self, node: NodeProto) -> int:
        """How many constants a node has that no node before it had; limits and scales, without axes, are none."""
        if node.op_type in {"Cast", "Constant", "Reshape", "Pad"}:
            return 0
        names = {name for name in node.input if name in self._constants} - self._counted
        self._counted |= names
        return sum(math.prod(self._constants[name]) for name in names if self._constants[name])

    def macs(self, node: NodeProto, shape: tuple[int, int, int]) -> int:
        """One for each number of the kernel, at each place."""
        if node.op_type not in {"Conv", "Gemm", "MatMul"}:
            return 0
        kernel: int = math.prod(self._constants[node.input[1]])
        return kernel * shape[0] * shape[1]
