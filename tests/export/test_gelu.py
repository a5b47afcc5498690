"""GELU, found where it is spelled out."""

from __future__ import annotations

import math

import numpy as np
import pytest
from onnx import NodeProto, helper

from binsight.export.gelu import join_gelu


def _spelled_out(*, flipped: bool = False) -> list[NodeProto]:
    def pair(operator: str, left: str, right: str, output: str) -> NodeProto:
        names = [right, left] if flipped and operator != "Div" else [left, right]
        return helper.make_node(operator, names, [output])

    return [
        pair("Mul", "x", "inverse", "inner") if flipped else pair("Div", "x", "root", "inner"),
        helper.make_node("Erf", ["inner"], ["erf"]),
        pair("Add", "erf", "one", "outer"),
        pair("Mul", "x", "outer", "product"),
        pair("Mul", "product", "half", "y"),
    ]


def _constants(**changes: float) -> dict[str, np.ndarray]:
    values = {"root": math.sqrt(2), "inverse": math.sqrt(0.5), "one": 1.0, "half": 0.5} | changes
    return {name: np.array(value, np.float32) for name, value in values.items()}


@pytest.mark.parametrize("flipped", [False, True])
def test_it_is_found(flipped: bool) -> None:
    """The last of its nodes becomes `Gelu` of x, in whichever order the inputs are."""
    *rest, last = join_gelu(_spelled_out(flipped=flipped), _constants())
    assert (last.op_type, list(last.input), list(last.output)) == ("Gelu", ["x"], ["y"])
    assert [node.op_type for node in rest] == ["Mul" if flipped else "Div", "Erf", "Add", "Mul"]


@pytest.mark.parametrize("changes", [{"root": 2.0}, {"one": 2.0}, {"half": 1.0}])
def test_other_constants_are_no_gelu(changes: dict[str, float]) -> None:
    """The same operators with another constant stay as they are."""
    nodes = _spelled_out()
    assert join_gelu(nodes, _constants(**changes)) == nodes


def test_two_different_inputs_are_no_gelu() -> None:
    """What is multiplied must be what went into erf."""
    nodes = _spelled_out()
    nodes[3].input[0] = "z"
    assert join_gelu(nodes, _constants()) == nodes
