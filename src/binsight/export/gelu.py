"""Find the activation GELU in a graph that spells it out: LiteRT has an operator for it, but none for its parts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, helper

__all__ = ["join_gelu"]

_TOLERANCE: Final = 1e-4  # relative; of constants that may have been rounded


def join_gelu(nodes: Sequence[NodeProto], constants: Mapping[str, NDArray[Any]]) -> list[NodeProto]:
    """Replace `x * (erf(x / √2) + 1) * 0.5` by one node `Gelu`, as ONNX has it from opset 20 on.

    Args:
        nodes: of a graph, in order.
        constants: the values of its constants.

    Returns:
        As many nodes in the same order; those that nothing uses any more are still there.

    References:
        Hendrycks and Gimpel 2016, Gaussian Error Linear Units, arXiv 1606.08415.
    """
    makers = {node.output[0]: node for node in nodes}
    return [_gelu(node, makers, constants) or node for node in nodes]


def _gelu(half: NodeProto, makers: Mapping[str, NodeProto], constants: Mapping[str, NDArray[Any]]) -> NodeProto | None:
    """The node that stands for all that ends in `half`, if that is what it is."""
    product = makers.get(_other(half, "Mul", 0.5, constants))
    if product is None or product.op_type != "Mul":
        return None
    for x, factor in (product.input, product.input[::-1]):
        erf = makers.get(_other(makers.get(factor), "Add", 1.0, constants))
        inner = makers.get(erf.input[0]) if erf is not None and erf.op_type == "Erf" else None
        scaled = _other(inner, "Mul", math.sqrt(0.5), constants) or _other(inner, "Div", math.sqrt(2), constants)
        if scaled == x:
            return helper.make_node("Gelu", [x], [half.output[0]], name=half.name)
    return None


def _other(node: NodeProto | None, operator: str, constant: float, constants: Mapping[str, NDArray[Any]]) -> str:
    """The input of a node beside the given constant; empty where it is another operator or has another constant."""
    if node is None or node.op_type != operator:
        return ""
    left, right = node.input
    pairs = [(left, right)] if operator == "Div" else [(left, right), (right, left)]
    for variable, name in pairs:
        value = constants.get(name)
        if value is not None and value.size == 1 and np.isclose(value.item(), constant, rtol=_TOLERANCE):
            return str(variable)
    return ""
