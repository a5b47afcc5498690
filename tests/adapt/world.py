"""A bundle that can be taught, small enough for tests, and photos of two cameras.

The network sees 16 x 16 pixels as 2 x 2 cells; its 12 features are `max(colour @ P, 0)` of the cells' mean colours,
averaged. The factory's camera shows red, green and blue things as they are. The plant's light is blue: what is red
there looks purple, what is green looks turquoise, so the factory's model is often wrong.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from tests.tiny_bundle import SIZE, tiny_files, tiny_manifest, tiny_taxonomy

from binsight.adapt.heads import Heads
from binsight.bundle import CalibrationRecord, Replay, make_replay, write_bundle
from binsight.export.onnx_graph import attach_heads
from binsight.probability import ReviewThresholds
from binsight.probability.calibration import ReviewTargets
from binsight.probability.scores import LinearHead

if TYPE_CHECKING:
    import onnx

COLOURS = {"red": (200, 40, 40), "green": (40, 200, 40), "blue": (40, 40, 200)}
OTHERS = {"yellow": (220, 220, 30), "not-waste": (90, 90, 90)}
PLANT_LIGHT = (-90, -70, 110)
_FEATURES, _CELLS = 12, 2
_PROJECTION = np.random.default_rng(7).normal(size=(3, _FEATURES)).astype(np.float32)
_CENTRE = np.float32(0.4)


def features_of(images: np.ndarray) -> np.ndarray:
    """What the network sees in `(n, 16, 16, 3)` uint8."""
    side = SIZE // _CELLS
    cells = images.astype(np.float32).reshape(-1, _CELLS, side, _CELLS, side, 3).mean(axis=(2, 4)) / 255
    seen: np.ndarray = np.maximum((cells - _CENTRE) @ _PROJECTION, 0).mean(axis=(1, 2))
    return seen


def shots(name: str, count: int, *, light: tuple[int, int, int] = (0, 0, 0), seed: int = 0) -> np.ndarray:
    """Photos `(n, 16, 16, 3)` of things of a colour; `not-waste` is an empty place."""
    rng = np.random.default_rng([seed, len(name), *name.encode()[:3]])
    colour = np.array((COLOURS | OTHERS)[name])
    shade = rng.normal(0, 18, (count, 1, 1, 3)) + rng.normal(0, 25, (count, SIZE, SIZE, 3))
    return np.clip(colour + np.array(light) + shade, 0, 255).astype(np.uint8)


def backbone() -> onnx.ModelProto:
    """The network without its heads."""
    side = SIZE // _CELLS
    constants = {
        "cell_shape": np.array([-1, _CELLS, side, _CELLS, side, 3], np.int64),
        "full": np.array(255, np.float32),
        "centre": np.array(_CENTRE),
        "projection": _PROJECTION,
    }
    nodes = [
        helper.make_node("Cast", ["images"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["float", "full"], ["scaled"]),
        helper.make_node("Reshape", ["scaled", "cell_shape"], ["pixels_by_cell"]),
        helper.make_node("ReduceMean", ["pixels_by_cell"], ["cells"], axes=[2, 4], keepdims=0),
        helper.make_node("Sub", ["cells", "centre"], ["shifted"]),
        helper.make_node("MatMul", ["shifted", "projection"], ["product"]),
        helper.make_node("Relu", ["product"], ["grid"]),
        helper.make_node("Transpose", ["grid"], ["feature_map"], perm=[0, 3, 1, 2]),
        helper.make_node("ReduceMean", ["feature_map"], ["features"], axes=[2, 3], keepdims=0),
    ]
    shapes: dict[str, list[Any]] = {"feature_map": ["n", _FEATURES, _CELLS, _CELLS], "features": ["n", _FEATURES]}
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["n", SIZE, SIZE, 3])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def known_photos(per_class: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Features and labels of the factory's photos."""
    seen = [features_of(shots(name, per_class)) for name in COLOURS]
    return np.concatenate(seen), np.repeat(np.arange(3), per_class)


def factory_heads() -> Heads:
    """Heads fitted on them by least squares."""
    features, labels = known_photos()
    inputs = np.concatenate([features, np.ones((len(features), 1))], axis=1)
    gram = inputs.T @ inputs + 0.1 * np.eye(inputs.shape[1])
    found = np.linalg.solve(gram, inputs.T @ (10 * np.eye(3)[labels] - 5))
    second = np.linalg.solve(gram, inputs.T @ (10.0 * (labels == 1)[:, None] - 5))
    return Heads(LinearHead(found[:-1], found[-1]), LinearHead(second[:-1], second[-1]))


def factory_replay() -> Replay:
    """What the bundle remembers; every fourth photo is held back."""
    features, labels = known_photos()
    held = np.arange(len(labels)) % 4 == 0
    return make_replay(features, labels, held, heads=factory_heads().categories.weight)


def factory_bundle(path: Path, **more: bytes) -> Path:
    """Write the bundle; `more` are further files of it."""
    heads = factory_heads()
    model = attach_heads(backbone(), heads.categories, biodegradable=heads.biodegradable)
    manifest = tiny_manifest(tiny_taxonomy(), review=ReviewThresholds(confidence=(0.5,) * 3, unfamiliarity=1.0))
    targets = ReviewTargets(precision=0.95, disagreement_share=0.02, unfamiliar_share=0.02)
    record = CalibrationRecord.of(targets, 0.95, {"trained": [1, 2]})
    files = {"replay__safetensors": factory_replay().to_bytes(), "calibration__json": record.to_bytes(), **more}
    return write_bundle(path, manifest, tiny_files(model, **files))


def camera(root: Path, counts: dict[str, int], *, seed: int = 1) -> Path:
    """Write the plant's photos: class → how many; `not-waste` is its empty belt."""
    for name, count in counts.items():
        (root / name).mkdir(parents=True)
        for i, shot in enumerate(shots(name, count, light=PLANT_LIGHT, seed=seed)):
            Image.fromarray(shot).save(root / name / f"{i:03}.png")
    return root
