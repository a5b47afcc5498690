"""A training small enough for a test: photos of three colours, and a backbone that sees the average colour."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper
from PIL import Image
from tests.dataset.duplicates.pictures import picture

from binsight.evaluation.figures import measure_scores
from binsight.pipeline import measure
from binsight.pipeline.backbone import ChosenBackbone
from binsight.taxonomy import Taxonomy, WasteClass

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import keras
    import pytest

__all__ = [
    "COLOURS",
    "FAST",
    "SIZE",
    "CollectingReporter",
    "convolution_to_onnx",
    "make_convolution",
    "make_photos",
    "make_small",
    "tiny_backbone",
]

SIZE = 32
FAST = {
    "preset": "fast",
    "backbone-size": str(SIZE),
    "val": "0.25",
    "report": "no",
    "heads-folds": "2",
    "heads-inverse-penalties": "0.01,0.1",
}
COLOURS = Taxonomy(
    "colours",
    tuple(WasteClass(name, name.title(), name == "green", "bin", "Look.") for name in ("red", "green", "blue")),
)
_TINTS = {"red": (1.0, 0.45, 0.45), "green": (0.45, 1.0, 0.45), "blue": (0.45, 0.45, 1.0)}


def make_photos(root: Path, *, each: int = 20, split: str = "", start: int = 0, names: tuple[str, ...] = ()) -> Path:
    """Make `each` photos of each colour below `root[/split]`; another `start` makes others."""
    for c, (name, tint) in enumerate(_TINTS.items()):
        folder = root / split / (names[c] if names else name)
        folder.mkdir(parents=True, exist_ok=True)
        for i in range(start, start + each):
            pixels = picture(1000 * c + i, (48, 64)) * np.array(tint)
            Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{i}.png")
    return root


def tiny_backbone(size: int = SIZE) -> ModelProto:
    """A graph with the outputs of a backbone: the colours of 2 x 2 cells in [0, 1], and their mean, 3 features."""
    side = size // 2
    nodes = [
        helper.make_node("Cast", ["images"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["float", "full"], ["scaled"]),
        helper.make_node("Transpose", ["scaled"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("AveragePool", ["planes"], ["feature_map"], kernel_shape=[side, side], strides=[side, side]),
        helper.make_node("GlobalAveragePool", ["feature_map"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["features"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["n", size, size, 3])],
        [
            helper.make_tensor_value_info("feature_map", TensorProto.FLOAT, ["n", 3, 2, 2]),
            helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", 3]),
        ],
        [numpy_helper.from_array(np.array(255, np.float32), "full")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def make_convolution(size: int = SIZE) -> keras.Model:
    """A backbone that can be trained: one convolution over cells of half the side, at first their average colours."""
    import keras  # noqa: PLC0415 - takes seconds

    side = size // 2
    images = keras.Input((size, size, 3), name="images")
    scaled = keras.layers.Rescaling(1 / 255, name="rescaling")(images)
    layer = keras.layers.Conv2D(3, side, strides=side, name="cells")
    model = keras.Model(images, layer(scaled), name="backbone")
    kernel = np.zeros((side, side, 3, 3), np.float32) + np.eye(3, dtype=np.float32) / side**2
    layer.set_weights([kernel, np.zeros(3, np.float32)])
    return model


def convolution_to_onnx(model: keras.Model) -> ModelProto:
    """The graph of a trained `make_convolution`."""
    size = model.input_shape[1]
    kernel, bias = model.get_layer("cells").get_weights()
    graph = tiny_backbone(size)
    (place,) = (i for i, node in enumerate(graph.graph.node) if node.op_type == "AveragePool")
    convolution = helper.make_node("Conv", ["planes", "kernel", "bias"], ["feature_map"], strides=[size // 2] * 2)
    graph.graph.node.remove(graph.graph.node[place])
    graph.graph.node.insert(place, convolution)
    graph.graph.initializer.append(numpy_helper.from_array(kernel.transpose(3, 2, 0, 1).copy(), "kernel"))
    graph.graph.initializer.append(numpy_helper.from_array(bias, "bias"))
    return graph


def make_small(patch: pytest.MonkeyPatch) -> None:
    """Let every backbone be the tiny one, and let intervals be rough."""
    patch.setattr(ChosenBackbone, "build", lambda self: make_convolution(self.size))
    patch.setattr(
        ChosenBackbone,
        "to_onnx",
        lambda self, model=None: tiny_backbone(self.size) if model is None else convolution_to_onnx(model),
    )
    patch.setattr(measure, "measure_scores", partial(measure_scores, resamples=40))


@dataclass
class CollectingReporter:
    """Remembers what it was told."""

    stages: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    def stage(self, name: str) -> Callable[[int, int], None]:
        self.stages.append(name)
        return lambda _done, _total: None

    def say(self, text: str) -> None:
        self.lines.append(text)
