"""A network of 16 x 16 pixels with what the networks of our bundles are made of, and photos for it.

Preprocessing inside, a convolution with TensorFlow's padding, a depthwise and a pointwise one, ReLU6, a residual
addition, an inner layer and three heads; large constants as float16 behind a `Cast`. Weights are drawn from a seed.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper
from PIL import Image
from tests.tiny_bundle import SIZE, tiny_bundle, tiny_manifest

from binsight.export.onnx_graph import attach_heads
from binsight.imaging import PreprocessSpec

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["conv_backbone", "conv_bundle", "conv_model", "head", "noise", "save_photos"]

_CHANNELS, _INNER, _CLASSES = 8, 4, 3


def noise(count: int, size: int = SIZE, seed: int = 0) -> NDArray[np.uint8]:
    """Pictures `(count, size, size, 3)` uint8, each about a colour of its own."""
    generator = np.random.default_rng(seed)
    colours = generator.integers(0, 256, (count, 1, 1, 3))
    return np.clip(colours + generator.normal(0, 40, (count, size, size, 3)), 0, 255).astype(np.uint8)


def save_photos(folder: Path, count: int) -> Path:
    """Write such pictures as PNG."""
    folder.mkdir(parents=True, exist_ok=True)
    for position, picture in enumerate(noise(count, seed=1)):
        Image.fromarray(picture).save(folder / f"{position:03}.png")
    return folder


def head(inputs: int, outputs: int) -> SimpleNamespace:
    """A linear layer with weights of its own."""
    generator = np.random.default_rng(100 * inputs + outputs)
    return SimpleNamespace(weight=generator.normal(0, 2, (inputs, outputs)), bias=generator.normal(0, 1, outputs))


def conv_backbone() -> ModelProto:
    """Input `images`, outputs `feature_map` `(n, 8, 8, 8)` and `features` `(n, 8)`."""
    generator = np.random.default_rng(0)
    constants = {
        "mean": np.array(127, np.float32),
        "scale": np.array(1 / 128, np.float32),
        "low": np.array(0, np.float32),
        "high": np.array(6, np.float32),
        "stem.bias": generator.normal(0, 1, _CHANNELS).astype(np.float32),
        **{
            f"{name}.half": generator.normal(0, 0.7, shape).astype(np.float16)
            for name, shape in (
                ("stem", (_CHANNELS, 3, 3, 3)),
                ("depthwise", (_CHANNELS, 1, 3, 3)),
                ("pointwise", (_CHANNELS, _CHANNELS, 1, 1)),
            )
        },
    }
    nodes = [
        helper.make_node("Transpose", ["images"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Cast", ["planes"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("Sub", ["pixels", "mean"], ["centred"]),
        helper.make_node("Mul", ["centred", "scale"], ["normalised"]),
        *(
            helper.make_node("Cast", [f"{name}.half"], [name], to=TensorProto.FLOAT)
            for name in ("stem", "depthwise", "pointwise")
        ),
        # 16 pixels by steps of 2: TensorFlow pads nothing before and one after.
        helper.make_node("Conv", ["normalised", "stem", "stem.bias"], ["a"], strides=[2, 2], pads=[0, 0, 1, 1]),
        helper.make_node("Clip", ["a", "low", "high"], ["b"]),
        helper.make_node("Conv", ["b", "depthwise"], ["c"], group=_CHANNELS, pads=[1, 1, 1, 1]),
        helper.make_node("Clip", ["c", "low", "high"], ["d"]),
        helper.make_node("Conv", ["d", "pointwise"], ["e"]),
        helper.make_node("Add", ["e", "b"], ["f"]),
        helper.make_node("Clip", ["f", "low", "high"], ["feature_map"]),
        helper.make_node("GlobalAveragePool", ["feature_map"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["features"]),
    ]
    side = SIZE // 2
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["n", SIZE, SIZE, 3])],
        [
            helper.make_tensor_value_info("feature_map", TensorProto.FLOAT, ["n", _CHANNELS, side, side]),
            helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", _CHANNELS]),
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def conv_model() -> ModelProto:
    """The backbone with an inner layer and all outputs of a bundle."""
    return attach_heads(
        conv_backbone(),
        head(_INNER, _CLASSES),
        biodegradable=head(_INNER, 1),
        inner=head(_CHANNELS, _INNER),
    )


def conv_bundle(path: Path) -> Path:
    """A bundle with `conv_model`."""
    spec = PreprocessSpec(size=(SIZE, SIZE))
    return tiny_bundle(path, conv_model(), tiny_manifest(preprocess=spec, temperature=2.0))
