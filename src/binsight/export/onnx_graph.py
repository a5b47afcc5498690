"""Complete a backbone's ONNX graph with the heads, so that it has the outputs of the bundle format."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, checker, helper, numpy_helper

__all__ = ["LinearHead", "attach_heads"]


class LinearHead(Protocol):
    """`logits = features @ weight + bias`."""

    @property
    def weight(self) -> NDArray[np.floating]:
        """`(d, k)` float."""
        ...

    @property
    def bias(self) -> NDArray[np.floating]:
        """`(k,)` float."""
        ...


def attach_heads(
    backbone: ModelProto,
    categories: LinearHead,
    *,
    biodegradable: LinearHead | None = None,
) -> ModelProto:
    """The backbone with heads on it, as `docs/bundle-format.md` describes `model.onnx`.

    Args:
        backbone: outputs `feature_map` `(n, d, gh, gw)` and `features` `(n, d)`, both float32.
        categories: `(d, C)`.
        biodegradable: `(d, 1)`, or None where the taxonomy leaves it open.

    Returns:
        A new model; `backbone` is left as it is. Its `unfamiliarity` is the energy of the category logits,
        `-log(sum_c exp(logit_c))`: high where no class claims the photo.

    References:
        Liu et al. 2020, Energy-based Out-of-distribution Detection, arXiv 2010.03759, equation 4 with T = 1.
    """
    model = ModelProto()
    model.CopyFrom(backbone)
    graph = model.graph
    grid = _shape(backbone, "feature_map")
    classes = categories.weight.shape[1]
    del graph.output[:]

    _linear(graph, "features", "logits", categories)
    _output(graph, "logits", ["n", classes])
    if biodegradable is not None:
        _linear(graph, "features", "biodegradable_logit", biodegradable)
        _output(graph, "biodegradable_logit", ["n", 1])
    _node(graph, "Transpose", ["feature_map"], "places", perm=[0, 2, 3, 1])
    _linear(graph, "places", "attention", categories)
    _output(graph, "attention", ["n", grid[2], grid[3], classes])
    _output(graph, "features", ["n", grid[1]])
    _energy(graph)
    _output(graph, "unfamiliarity", ["n", 1])
    checker.check_model(model, full_check=True)
    return model


def _linear(graph: Any, source: str, target: str, head: LinearHead) -> None:
    _constant(graph, f"{target}.weight", head.weight)
    _constant(graph, f"{target}.bias", head.bias)
    _node(graph, "MatMul", [source, f"{target}.weight"], f"{target}.product")
    _node(graph, "Add", [f"{target}.product", f"{target}.bias"], target)


def _energy(graph: Any) -> None:
    _node(graph, "ReduceLogSumExp", ["logits"], "free_energy", axes=[1], keepdims=1)
    _node(graph, "Neg", ["free_energy"], "unfamiliarity")


def _node(graph: Any, operator: str, inputs: list[str], output: str, **attributes: Any) -> None:
    graph.node.append(helper.make_node(operator, inputs, [output], name=output, **attributes))


def _constant(graph: Any, name: str, values: NDArray[np.floating]) -> None:
    graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(values, dtype=np.float32), name))


def _output(graph: Any, name: str, shape: list[Any]) -> None:
    graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))


def _shape(model: ModelProto, output: str) -> list[int]:
    (value,) = (value for value in model.graph.output if value.name == output)
    return [dimension.dim_value for dimension in value.type.tensor_type.shape.dim]
