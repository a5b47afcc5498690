"""Networks: a backbone with heads, and their summary."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from binsight.errors import SettingsError
from binsight.training.fine_tune.network import build_network, summarise


@pytest.fixture
def backbone() -> keras.Model:
    """Return a backbone of 8 x 8 pictures: a convolution of stride 2, a normalisation, a block with a shortcut."""
    images = keras.Input((8, 8, 3), name="images")
    value = keras.layers.Conv2D(4, 3, strides=2, padding="same", use_bias=False, name="stem")(images)
    value = keras.layers.BatchNormalization(name="stem_bn")(value)
    block = keras.layers.DepthwiseConv2D(3, padding="same", name="block")(value)
    return keras.Model(images, keras.layers.Add(name="add")([value, block]), name="backbone")


def predict(network: keras.Model, images: np.ndarray) -> dict[str, np.ndarray]:
    """Return the outputs for pictures."""
    return {key: keras.ops.convert_to_numpy(value) for key, value in network(images, training=False).items()}


def pictures(count: int = 2) -> np.ndarray:
    """Return noise."""
    return np.random.default_rng(0).integers(0, 256, (count, 8, 8, 3), np.uint8)


def test_outputs_and_layers(backbone: keras.Model) -> None:
    """With everything asked for, the layers have the promised names, and the outputs the promised shapes."""
    network = build_network(backbone, classes=5, biodegradable=True, inner_size=7, dropout=0.25)
    assert {key: value.shape for key, value in predict(network, pictures()).items()} == {
        "logits": (2, 5),
        "biodegradable_logit": (2, 1),
    }
    names = [layer.name for layer in network.layers]
    assert names[:5] == ["images", "backbone", "pool", "inner", "dropout"]
    assert set(names[5:]) == {"logits", "biodegradable_logit"}
    assert network.get_layer("dropout").rate == 0.25
    assert network.get_layer("inner").units == 7


def test_parts_may_be_left_out(backbone: keras.Model) -> None:
    """Without inner layer, dropout and second head there are no such layers."""
    network = build_network(backbone, classes=2, biodegradable=False)
    assert [layer.name for layer in network.layers] == ["images", "backbone", "pool", "logits"]
    assert list(predict(network, pictures())) == ["logits"]


def test_logits_are_those_of_the_mean(backbone: keras.Model) -> None:
    """The logits are the head's weights times the mean of the feature map over its places."""
    network = build_network(backbone, classes=3, biodegradable=False)
    features = keras.ops.convert_to_numpy(backbone(pictures(), training=False)).mean((1, 2))
    kernel, bias = network.get_layer("logits").get_weights()
    np.testing.assert_allclose(predict(network, pictures())["logits"], features @ kernel + bias, rtol=1e-4, atol=1e-4)


def test_backbone_is_shared(backbone: keras.Model) -> None:
    """The network trains the very backbone that it was given."""
    network = build_network(backbone, classes=3, biodegradable=False)
    assert network.get_layer("backbone") is backbone


def test_outputs_are_float32_under_mixed_precision() -> None:
    """Under mixed precision the heads still give float32, so that the loss is exact."""
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        images = keras.Input((8, 8, 3), name="images")
        backbone = keras.Model(images, keras.layers.Conv2D(4, 3)(images), name="backbone")
        network = build_network(backbone, classes=3, biodegradable=True, inner_size=4)
        assert {value.dtype.name for value in predict(network, pictures()).values()} == {"float32"}
    finally:
        keras.mixed_precision.set_global_policy("float32")


@pytest.mark.parametrize(
    "options", [{"classes": 1}, {"classes": 2, "dropout": 1.0}, {"classes": 2, "inner_size": 0}], ids=str
)
def test_numbers_out_of_range(backbone: keras.Model, options: dict[str, float]) -> None:
    """One class, dropping everything, or an empty layer are refused."""
    with pytest.raises(SettingsError, match="expected 2 classes or more, a dropout in"):
        build_network(backbone, biodegradable=False, **options)


def test_summary_counts_by_hand(backbone: keras.Model) -> None:
    """Stem: 3·3·3·4 = 108 numbers and 16 of the normalisation (8 trainable), 108·16 places; block: 3·3·4 + 4, 36·16."""
    backbone.get_layer("block").trainable = False
    network = build_network(backbone, classes=5, biodegradable=True, inner_size=7)
    assert [line.split() for line in summarise(network).splitlines()] == [
        ["output", "layers", "parameters", "trainable", "MACs"],
        ["images", "8", "x", "8", "x", "3"],
        ["1/2", "4", "x", "4", "x", "4", "2", "164", "116", "2.30", "k"],
        ["inner", "7", "1", "35", "35", "28"],
        ["biodegradable_logit", "1", "1", "8", "8", "7"],
        ["logits", "5", "1", "40", "40", "35"],
        ["all", "247", "199", "2.37", "k"],
    ]


def test_summary_of_a_backbone(backbone: keras.Model) -> None:
    """A backbone alone has its stages and no heads."""
    assert [line.split()[0] for line in summarise(backbone).splitlines()] == ["output", "images", "1/2", "all"]
