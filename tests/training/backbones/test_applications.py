"""Backbones of Keras Applications: preprocessing, names, weights from files, and the same numbers as ONNX."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import keras
import numpy as np
import onnx
import pytest
from safetensors.numpy import load_file
from tests.training.backbones.test_efficientnet_lite import pattern, run

from binsight.errors import WeightsError
from binsight.imaging import normalise
from binsight.training.backbones import applications, find_backbone
from binsight.training.backbones.conversion import convert_to_onnx
from binsight.training.backbones.safetensors_file import named_variables

if TYPE_CHECKING:
    from collections.abc import Callable

XCEPTION_WEIGHTS = Path(__file__).parents[3] / "../shared/weights/xception_imagenet_notop.safetensors"
TENSORS = {"xception": 234, "mobilenet_v3_large": 262, "efficientnet_v2_b0": 359, "convnext_tiny": 180}
# How Keras Applications normalise for each; MobileNetV3, EfficientNetV2 and ConvNeXt do so in the model.
MODES = {"xception": "tf", "mobilenet_v3_large": "tf", "efficientnet_v2_b0": "torch", "convnext_tiny": "torch"}


@pytest.fixture(scope="module")
def models() -> Callable[[str], keras.Model]:
    """Return what builds a backbone with random weights at its smallest size, each once."""
    built: dict[str, keras.Model] = {}

    def build(name: str) -> keras.Model:
        if name not in built:
            backbone = find_backbone(name)
            built[name] = backbone.build(weights=None, size=backbone.min_size)
        return built[name]

    return build


def randomise(model: keras.Model) -> None:
    """Give the normalisations values that matter: fresh ones change nothing."""
    rng = np.random.default_rng(0)
    for key, weight in named_variables(model).items():
        if key.endswith(("gamma", "moving_variance")):
            weight.assign(rng.uniform(0.7, 1.3, weight.shape))
        elif key.endswith(("beta", "bias", "moving_mean")):
            weight.assign(rng.normal(0, 0.1, weight.shape))


@pytest.mark.parametrize("name", TENSORS)
def test_onnx_equals_keras(name: str, models: Callable[[str], keras.Model]) -> None:
    """ONNX Runtime computes what Keras does: with float32 to 1e-4 of the norm, as stored to a hundredth."""
    backbone, model = find_backbone(name), models(name)
    randomise(model)
    images = np.random.default_rng(1).integers(0, 256, (2, backbone.min_size, backbone.min_size, 3), np.uint8)
    expected = keras.ops.convert_to_numpy(model(images, training=False))
    assert expected.shape[-1] == backbone.features
    for graph, tolerance in ((convert_to_onnx(model, name, half=False), 1e-4), (backbone.to_onnx(model), 1e-2)):
        feature_map, features = run(graph, images)
        assert np.linalg.norm(feature_map.transpose(0, 2, 3, 1) - expected) <= tolerance * np.linalg.norm(expected)
        np.testing.assert_allclose(features, feature_map.mean((2, 3)), atol=1e-4)
    onnx.checker.check_model(graph, full_check=True)
    ends = {end.name: end.type.tensor_type.shape.dim for end in [*graph.graph.input, *graph.graph.output]}
    shapes = {end: [axis.dim_param or axis.dim_value for axis in shape] for end, shape in ends.items()}
    assert shapes == {
        "images": ["n", backbone.min_size, backbone.min_size, 3],
        "feature_map": ["n", backbone.features, *expected.shape[1:3]],
        "features": ["n", backbone.features],
    }


@pytest.mark.parametrize("name", TENSORS)
def test_normalisation_is_that_of_keras(name: str, models: Callable[[str], keras.Model]) -> None:
    """What reaches the first convolution is what Keras Applications make of the picture, and what the spec says."""
    backbone, model = find_backbone(name), models(name)
    images = np.random.default_rng(2).integers(0, 256, (1, backbone.min_size, backbone.min_size, 3), np.uint8)
    first = next(layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D))
    reached = keras.ops.convert_to_numpy(keras.Model(model.inputs[0], first.input)(images))
    expected = keras.applications.imagenet_utils.preprocess_input(images.astype(np.float32), mode=MODES[name])
    np.testing.assert_allclose(reached, expected, atol=1e-5)
    np.testing.assert_allclose(normalise(images, backbone.spec), expected, atol=1e-5)


@pytest.mark.parametrize("name", ["xception", "convnext_tiny"])  # the two that leave naming to Keras
def test_names_are_stable(name: str, models: Callable[[str], keras.Model]) -> None:
    """Another model of the same kind has the same names, none of which is a number in the process."""
    keras.layers.Conv2D(1, 1)  # takes a number
    again = named_variables(find_backbone(name).build(weights=None, size=find_backbone(name).min_size))
    assert list(again) == list(named_variables(models(name)))
    assert len(again) == TENSORS[name]
    assert not any(key.split("/")[-1].startswith("variable") for key in again)


def test_xception_from_a_folder_of_weights() -> None:
    """The given file has all 234 tensors that the model has, and each of them gets there; the layers are Keras' own."""
    if not XCEPTION_WEIGHTS.is_file():
        pytest.skip("needs ../shared/weights/xception_imagenet_notop.safetensors")
    backbone = find_backbone("xception", weights_dir=XCEPTION_WEIGHTS.parent)
    model = backbone.build(size=96)
    tensors = load_file(XCEPTION_WEIGHTS)
    variables = named_variables(model)
    assert len(tensors) == 234
    assert model.count_params() == 20_861_480
    assert variables.keys() == tensors.keys()
    for key, variable in variables.items():
        np.testing.assert_array_equal(np.asarray(variable), tensors[key].astype(np.float32))
    features = keras.ops.convert_to_numpy(model(pattern(96), training=False)).mean((1, 2))
    exported = run(backbone.to_onnx(model), pattern(96))[1]
    assert np.linalg.norm(exported - features) < 0.005 * np.linalg.norm(features)
    assert 0.01 < features.mean() < 1  # what ImageNet features are; random weights give far less


@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning")
def test_weights_that_keras_saved(tmp_path: Path) -> None:
    """`NAME.weights.h5`, as the advice of the error message writes it, is read from the folder of weights."""
    saved = keras.applications.MobileNetV3Large(include_top=False, weights=None, input_shape=(224, 224, 3))
    saved.save_weights(tmp_path / "mobilenet_v3_large.weights.h5")
    model = find_backbone("mobilenet_v3_large", weights_dir=tmp_path).build(size=32)
    for found, expected in zip(model.get_weights(), saved.get_weights(), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_damaged_keras_weights_are_refused(tmp_path: Path) -> None:
    """A file that Keras cannot read is named."""
    (tmp_path / "mobilenet_v3_large.weights.h5").write_bytes(b"\x89HDF\r\n\x1a\nnothing else")
    with pytest.raises(WeightsError, match=r"mobilenet_v3_large.weights.h5: no weights of mobilenet_v3_large: "):
        find_backbone("mobilenet_v3_large", weights_dir=tmp_path).build(size=32)


def test_without_connection_the_message_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where the weights are neither in the folder nor to be downloaded, one line has the command that gets them."""

    def refuse(**options: object) -> None:
        raise Exception("URL fetch failure on https://example.org/x.h5: no connection\nmore")  # noqa: TRY002 - as Keras does

    model = keras.Sequential([keras.Input((32, 32, 3)), keras.layers.Dense(1)])
    monkeypatch.setattr(keras.applications, "MobileNetV3Large", refuse)
    with pytest.raises(WeightsError) as caught:
        applications.load("mobilenet_v3_large", model, tmp_path)
    message = str(caught.value)
    assert "\n" not in message
    for words in (
        f"{tmp_path} has no mobilenet_v3_large.safetensors or mobilenet_v3_large.weights.h5",
        "URL fetch failure on https://example.org/x.h5: no connection",
        "keras.applications.MobileNetV3Large(include_top=False).save_weights('mobilenet_v3_large.weights.h5')",
        "--weights-dir",
    ):
        assert words in message
