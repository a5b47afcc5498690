"""Complete a backbone's ONNX graph with the heads, so that it has the outputs of the bundle format."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, checker, helper, numpy_helper

from binsight.bundle.container import MODEL_NAME
from binsight.errors import BundleError
from binsight.probability.scores import LinearHead
from binsight.probability.unfamiliarity import MEASURES, Familiarity, UnfamiliarityScale

__all__ = ["attach_heads", "detach_heads"]


def attach_heads(
    backbone: ModelProto,
    categories: LinearHead,
    *,
    biodegradable: LinearHead | None = None,
    inner: LinearHead | None = None,
    known: tuple[Familiarity, UnfamiliarityScale] | None = None,
) -> ModelProto:
    """The backbone with heads on it, as `docs/bundle-format.md` describes `model.onnx`.

    With an inner layer the heads see `h = max(features @ inner.weight + inner.bias, 0)`. For the heat map the same is
    done at every place of the feature map; the mean over the places is then no longer exactly the logits.

    Args:
        backbone: outputs `feature_map` `(n, d, gh, gw)` and `features` `(n, d)`, both float32.
        categories: `(d, C)`; `(i, C)` with an inner layer.
        biodegradable: `(d, 1)`, likewise, or None where the taxonomy leaves it open.
        inner: `(d, i)`, a layer with ReLU between features and heads, or None for none.
        known: what tells the features of known photos from others, and the scale of the unfamiliarity.

    Returns:
        A new model; `backbone` is left as it is. Its `unfamiliarity` is the largest of the scaled measures: the energy
        of the category logits, `-log(sum_c exp(logit_c))`, high where no class claims the photo, and those of
        `Familiarity.measures`. Without `known` it is the energy itself.

    References:
        Liu et al. 2020, Energy-based Out-of-distribution Detection, arXiv 2010.03759, equation 4 with T = 1.
    """
    model = ModelProto()
    model.CopyFrom(backbone)
    graph = model.graph
    grid = _shape(backbone, "feature_map")
    classes = categories.weight.shape[1]
    del graph.output[:]

    seen = "features"
    if inner is not None:
        _constants(graph, "inner", inner)
        seen = _inner_layer(graph, "features", "hidden")
    _linear(graph, seen, "logits", categories)
    _output(graph, "logits", ["n", classes])
    if biodegradable is not None:
        _linear(graph, seen, "biodegradable_logit", biodegradable)
        _output(graph, "biodegradable_logit", ["n", 1])
    _node(graph, "Transpose", ["feature_map"], "places", perm=[0, 2, 3, 1])
    places = "places" if inner is None else _inner_layer(graph, "places", "hidden_places")
    _linear(graph, places, "attention", categories)
    _output(graph, "attention", ["n", grid[2], grid[3], classes])
    _output(graph, "features", ["n", grid[1]])
    if known is None:
        _energy(graph, "unfamiliarity")
    else:
        _largest(graph, *known)
    _output(graph, "unfamiliarity", ["n", 1])
    checker.check_model(model, full_check=True)
    return model


def detach_heads(model: ModelProto) -> ModelProto:
    """The backbone of a network that `attach_heads` completed, as `attach_heads` takes it.

    Raises:
        BundleError: the network has no feature map and features of these names.
    """
    graph, wanted, kept = model.graph, {"feature_map", "features"}, []
    _, height, width, _ = _shape(model, "attention")
    _, channels = _shape(model, "features")
    for node in reversed(graph.node):
        if not wanted.isdisjoint(node.output):
            kept.append(node)
            wanted.update(node.input)
    if not {"feature_map", "features"} <= {name for node in kept for name in node.output}:
        raise BundleError("expected a network that binsight train made: it has no feature map", file=MODEL_NAME)
    backbone = ModelProto()
    backbone.CopyFrom(model)
    for field in ("node", "initializer", "output"):
        backbone.graph.ClearField(field)
    backbone.graph.node.extend(reversed(kept))
    backbone.graph.initializer.extend(constant for constant in graph.initializer if constant.name in wanted)
    _output(backbone.graph, "feature_map", ["n", channels, height, width])
    _output(backbone.graph, "features", ["n", channels])
    return backbone


def _linear(graph: Any, source: str, target: str, head: LinearHead) -> None:
    _constants(graph, target, head)
    _affine(graph, source, target, constants=target)


def _inner_layer(graph: Any, source: str, target: str) -> str:
    # Pooled features and places share the constants, which are by far the largest of the heads.
    _affine(graph, source, f"{target}.sum", constants="inner")
    _node(graph, "Relu", [f"{target}.sum"], target)
    return target


def _affine(graph: Any, source: str, target: str, *, constants: str) -> None:
    _node(graph, "MatMul", [source, f"{constants}.weight"], f"{target}.product")
    _node(graph, "Add", [f"{target}.product", f"{constants}.bias"], target)


def _constants(graph: Any, name: str, head: LinearHead) -> None:
    _constant(graph, f"{name}.weight", head.weight)
    _constant(graph, f"{name}.bias", head.bias)


def _energy(graph: Any, target: str) -> None:
    _node(graph, "ReduceLogSumExp", ["logits"], "free_energy", axes=[1], keepdims=1)
    _node(graph, "Neg", ["free_energy"], target)


def _largest(graph: Any, known: Familiarity, scale: UnfamiliarityScale) -> None:
    """The largest of the measures, each on its scale."""
    names = [f"known.{measure}" for measure in MEASURES]  # backbones have names of their own, none begins like this
    _energy(graph, names[0])
    _residual(graph, known, names[1])
    if known.outlier is not None:
        _linear(graph, "features", f"{names[2]}_logit", LinearHead(*known.outlier))
        _node(graph, "Sigmoid", [f"{names[2]}_logit"], names[2])
    largest, last = "", names[len(scale.centres) - 1]
    for name, centre, spread in zip(names, scale.centres, scale.spreads, strict=False):
        _scaled(graph, name, f"{name}.scaled", centre, spread)
        larger = "unfamiliarity" if name == last else f"{name}.largest"
        if largest:  # two at a time, as LiteRT has it
            _node(graph, "Max", [largest, f"{name}.scaled"], larger)
        largest = larger if largest else f"{name}.scaled"


def _residual(graph: Any, known: Familiarity, target: str) -> None:
    """`sqrt(|x|² - |Pᵀ x|²)`: where the difference loses digits, nothing is unfamiliar."""
    _constant(graph, "known.mean", known.mean)
    _constant(graph, "known.directions", known.directions)
    _node(graph, "Sub", ["features", "known.mean"], "known.centred")
    _node(graph, "MatMul", ["known.centred", "known.directions"], "known.inside")
    for value in ("known.centred", "known.inside"):
        _node(graph, "ReduceSumSquare", [value], f"{value}.square", axes=[1], keepdims=1)
    _node(graph, "Sub", ["known.centred.square", "known.inside.square"], f"{target}.difference")
    _node(graph, "Relu", [f"{target}.difference"], f"{target}.square")
    _node(graph, "Sqrt", [f"{target}.square"], target)


def _scaled(graph: Any, source: str, target: str, centre: float, spread: float) -> None:
    _constant(graph, f"{target}.centre", np.array(centre))
    _constant(graph, f"{target}.factor", np.array(1 / spread))
    _node(graph, "Sub", [source, f"{target}.centre"], f"{target}.shifted")
    _node(graph, "Mul", [f"{target}.shifted", f"{target}.factor"], target)


def _node(graph: Any, operator: str, inputs: list[str], output: str, **attributes: Any) -> None:
    graph.node.append(helper.make_node(operator, inputs, [output], name=output, **attributes))


def _constant(graph: Any, name: str, values: NDArray[np.floating]) -> None:
    graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(values, dtype=np.float32), name))


def _output(graph: Any, name: str, shape: list[Any]) -> None:
    graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))


def _shape(model: ModelProto, output: str) -> list[int]:
    (value,) = (value for value in model.graph.output if value.name == output)
    return [dimension.dim_value for dimension in value.type.tensor_type.shape.dim]
