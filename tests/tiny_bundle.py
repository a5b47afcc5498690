"""A model bundle small enough to compute by hand.

The network sees 16 x 16 pixels as 2 x 2 cells of one average colour each, every channel in [0, 1]:

    attention             4 x colour of the cell, for the classes red, green, blue; any further class has 0
    features              average colour (r, g, b)
    logits                4 x (r, g, b)
    biodegradable_logit   8 g - 4
    unfamiliarity         r² + g² + b²

So a red photo has the logits (4, 0, 0), and the classes' probabilities are e⁴ / (e⁴ + 2) and 1 / (e⁴ + 2).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from binsight.bundle import Manifest, Metric, SplitMetrics, write_bundle
from binsight.imaging import PreprocessSpec
from binsight.probability import ReviewThresholds
from binsight.taxonomy import Taxonomy, WasteClass

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["CARD", "OUTPUTS", "SIZE", "tiny_bundle", "tiny_files", "tiny_manifest", "tiny_model", "tiny_taxonomy"]

SIZE = 16
CARD = b"# tiny\n\nRed, green or blue: the colour of a photo decides.\n"
OUTPUTS = ("logits", "biodegradable_logit", "attention", "features", "unfamiliarity")

_CELLS = 2
_OPSET, _IR_VERSION = 17, 8  # old enough for every supported ONNX Runtime
_COLOURS = (
    WasteClass("red", "Red things", biodegradable=False, stream="recycling", advice="Rinse it."),
    WasteClass("green", "Green things", biodegradable=True, stream="compost", advice="Let it rot."),
    WasteClass("blue", "Blue things", biodegradable=False, stream="landfill"),
)


def tiny_taxonomy(classes: int = 3, *, is_open: bool = False) -> Taxonomy:
    """Red, green, blue, and as many further classes as are asked for; with `is_open` none is known to rot."""
    more = (WasteClass(f"more{i}", f"More {i}", biodegradable=False, stream="landfill") for i in range(3, classes))
    found = [*_COLOURS, *more][:classes]
    if is_open:
        found = [WasteClass(c.id, c.title, None, c.stream, c.advice) for c in found]
    return Taxonomy("colours", tuple(found))


def tiny_model(
    classes: int = 3, *, outputs: Sequence[str] = OUTPUTS, batch: int | str = "n", images: int = TensorProto.UINT8
) -> onnx.ModelProto:
    """The network of the module's docstring, with the `outputs` asked for."""
    side = SIZE // _CELLS
    shapes: dict[str, list[int | str]] = {
        "logits": [batch, classes],
        "biodegradable_logit": [batch, 1],
        "attention": [batch, _CELLS, _CELLS, classes],
        "features": [batch, 3],
        "unfamiliarity": [batch, 1],
    }
    constants = {
        "cell_shape": np.array([-1, _CELLS, side, _CELLS, side, 3], np.int64),
        "full": np.array(255, np.float32),
        "head": 4 * np.eye(3, classes, dtype=np.float32),
        "rot": np.array([[0], [8], [0]], np.float32),
        "minus_four": np.array([-4], np.float32),
        "ones": np.ones((3, 1), np.float32),
    }
    nodes = [
        helper.make_node("Cast", ["images"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["float", "full"], ["scaled"]),
        helper.make_node("Reshape", ["scaled", "cell_shape"], ["pixels_by_cell"]),
        helper.make_node("ReduceMean", ["pixels_by_cell"], ["cells"], axes=[2, 4], keepdims=0),
        helper.make_node("ReduceMean", ["cells"], ["features"], axes=[1, 2], keepdims=0),
        helper.make_node("MatMul", ["cells", "head"], ["attention"]),
        helper.make_node("MatMul", ["features", "head"], ["logits"]),
        helper.make_node("MatMul", ["features", "rot"], ["rotting"]),
        helper.make_node("Add", ["rotting", "minus_four"], ["biodegradable_logit"]),
        helper.make_node("Mul", ["features", "features"], ["squares"]),
        helper.make_node("MatMul", ["squares", "ones"], ["unfamiliarity"]),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("images", images, [batch, SIZE, SIZE, 3])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shapes[name]) for name in outputs],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION)


def tiny_manifest(taxonomy: Taxonomy | None = None, **changes: Any) -> Manifest:
    """A manifest that fits `tiny_model`: nothing goes to review. `changes` replace its values."""
    taxonomy = taxonomy or tiny_taxonomy()
    values: dict[str, Any] = {
        "name": "tiny",
        "version": "1.0.0",
        "created": "2026-01-31T12:00:00Z",
        "taxonomy": taxonomy,
        "preprocess": PreprocessSpec(size=(SIZE, SIZE), mean=(0.0, 0.0, 0.0), scale=(1 / 255, 1 / 255, 1 / 255)),
        "temperature": 1.0,
        "biodegradable_temperature": 1.0 if taxonomy.has_biodegradability else None,
        "review": ReviewThresholds(confidence=(0.0,) * len(taxonomy)),
        "metrics": {"val": SplitMetrics(photos=3, values={"accuracy": Metric(1.0, 0.29, 1.0)})},
        "training": {"recipe": "by hand", "seed": 0},
    }
    return Manifest(**values | changes)


def tiny_files(model: onnx.ModelProto | bytes | None = None, **more: bytes) -> dict[str, bytes]:
    """The files of a bundle but its manifest: `model` or the tiny one, the card, and `more` (`__` stands for `.`)."""
    model = tiny_model() if model is None else model
    data = model if isinstance(model, bytes) else model.SerializeToString()
    return {"model.onnx": data, "card.md": CARD, **{name.replace("__", "."): value for name, value in more.items()}}


def tiny_bundle(
    path: Path, model: onnx.ModelProto | bytes | None = None, manifest: Manifest | None = None, **more: bytes
) -> Path:
    """Write the tiny bundle, or one with the parts given, to `path`: a zip when that ends in `.zip`."""
    return write_bundle(path, manifest or tiny_manifest(), tiny_files(model, **more))
