"""The small network computes what Keras computes."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from binsight.errors import SettingsError
from binsight.training.heads.adam import Adam
from binsight.training.heads.linear import Heads
from binsight.training.heads.small_network import SmallNetwork, SmallNetworkSettings

CLASSES, FEATURES, PHOTOS, BATCH = 3, 7, 24, 8


@pytest.fixture
def photos():
    """Features, labels and whether each of a few photos is biodegradable."""
    generator = np.random.default_rng(0)
    labels = generator.integers(0, CLASSES, PHOTOS)
    features = (generator.normal(size=(PHOTOS, FEATURES)) + np.eye(CLASSES, FEATURES)[labels]).astype(np.float32)
    return features, labels, labels == 1


def _keras(heads: Heads, settings: SmallNetworkSettings) -> keras.Model:
    """The same network in Keras, with the same weights."""
    images = keras.Input((FEATURES,))
    parts = [heads.categories, heads.biodegradable]
    value = images
    if heads.inner is not None:
        value = keras.layers.Dense(settings.inner_size, activation="relu", name="inner")(value)
        parts.insert(0, heads.inner)
    outputs = {
        "logits": keras.layers.Dense(CLASSES, name="logits")(value),
        "second": keras.layers.Dense(1, name="second")(value),
    }
    model = keras.Model(images, outputs)
    names = (["inner"] if heads.inner else []) + ["logits", "second"]
    for name, part in zip(names, parts, strict=True):
        model.get_layer(name).set_weights([part.weight, part.bias])
    model.compile(
        optimizer=keras.optimizers.Adam(settings.learning_rate),
        loss={
            "logits": keras.losses.CategoricalCrossentropy(from_logits=True),
            "second": keras.losses.BinaryCrossentropy(from_logits=True),
        },
        loss_weights={"logits": 1.0, "second": settings.biodegradable_weight},
    )
    return model


@pytest.mark.parametrize("inner_size", [0, 5])
def test_training_goes_as_in_keras(photos, inner_size):
    """From the same weights, on the same batches, the losses and the final weights agree."""
    features, labels, rotting = photos
    settings = SmallNetworkSettings(learning_rate=0.05, inner_size=inner_size, biodegradable_weight=0.7)
    network = SmallNetwork(FEATURES, CLASSES, biodegradable=True, settings=settings)
    model = _keras(network.heads(), settings)
    generator = np.random.default_rng(1)
    for start in (*range(0, PHOTOS, BATCH), *range(0, PHOTOS, BATCH)):
        rows = slice(start, start + BATCH)
        mine = network.train_batch(features[rows], labels[rows], rotting[rows], None, generator)
        truth = {
            "logits": np.eye(CLASSES, dtype=np.float32)[labels[rows]],
            "second": rotting[rows].astype(np.float32)[:, None],
        }
        model.reset_metrics()
        theirs = model.train_on_batch(features[rows], truth, return_dict=True)["loss"]
        assert mine == pytest.approx(float(theirs), rel=1e-4)
    logits = np.asarray(model(features)["logits"])
    np.testing.assert_allclose(network.heads().logits(features), logits, rtol=1e-3, atol=1e-4)


def test_class_weights_go_as_in_keras(photos):
    """A photo that counts twice pulls twice as hard."""
    features, labels, _ = photos
    settings = SmallNetworkSettings(learning_rate=0.05, inner_size=0)
    network = SmallNetwork(FEATURES, CLASSES, biodegradable=False, settings=settings)
    start = network.heads().categories
    inputs = keras.Input((FEATURES,))
    model = keras.Model(inputs, keras.layers.Dense(CLASSES)(inputs))
    model.layers[-1].set_weights([start.weight, start.bias])
    model.compile(keras.optimizers.Adam(0.05), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    weights = np.linspace(0.5, 2, PHOTOS).astype(np.float32)
    for _ in range(3):
        network.train_batch(features, labels, None, weights, np.random.default_rng(0))
        model.train_on_batch(features, labels, sample_weight=weights)
    kernel, bias = model.layers[-1].get_weights()
    np.testing.assert_allclose(network.heads().categories.weight, kernel, atol=1e-4)
    np.testing.assert_allclose(network.heads().categories.bias, bias, atol=1e-4)


def test_adam_takes_the_first_step_by_hand():
    """With both moments corrected for their start at 0, the first step is the rate against the gradient's sign."""
    parameters = np.array([1.0, 1.0], np.float32)
    Adam(parameters, rate=0.1).update(np.array([4.0, -0.25], np.float32))
    np.testing.assert_allclose(parameters, [0.9, 1.1], atol=1e-5)


def test_adam_treats_long_vectors_like_short_ones():
    """What is updated in several chunks is updated as if alone."""
    generator = np.random.default_rng(0)
    long = generator.normal(size=70_000).astype(np.float32)
    short = long[-3:].copy()
    adams = Adam(long, rate=0.01), Adam(short, rate=0.01)
    for _ in range(3):
        gradient = generator.normal(size=len(long)).astype(np.float32)
        adams[1].update(gradient[-3:].copy())
        adams[0].update(gradient)
    np.testing.assert_array_equal(long[-3:], short)


def test_the_loss_without_knowledge_is_that_of_chance(photos):
    """All features 0: ln C, and half of ln 2 for the second head."""
    features, labels, rotting = photos
    network = SmallNetwork(FEATURES, CLASSES, biodegradable=True, settings=SmallNetworkSettings(inner_size=0))
    loss, accuracy = network.evaluate(np.zeros_like(features), labels, rotting)
    assert loss == pytest.approx(np.log(CLASSES) + 0.5 * np.log(2), rel=1e-6)
    assert accuracy == np.mean(labels == 0)


def test_initial_weights_are_glorot_uniform():
    """Within the square root of 6 over inputs and outputs of each layer, the two heads being two layers."""
    settings = SmallNetworkSettings(inner_size=50)
    heads = SmallNetwork(200, 10, biodegradable=True, settings=settings).heads()
    limits = {"inner": 6 / 250, "categories": 6 / 60, "biodegradable": 6 / 51}
    for name, square in limits.items():
        weight = getattr(heads, name).weight
        assert np.abs(weight).max() <= np.sqrt(square)
        assert np.abs(weight).max() > 0.9 * np.sqrt(square)
        assert not getattr(heads, name).bias.any()


def test_dropout_keeps_the_mean(photos):
    """What is not dropped is scaled up, so that nothing changes for predicting."""
    settings = SmallNetworkSettings(inner_size=0, dropout=0.4)
    network = SmallNetwork(FEATURES, CLASSES, biodegradable=False, settings=settings)
    mask = network._dropout_mask((2000, 50), np.random.default_rng(0))
    assert set(np.unique(mask)) == {np.float32(0), np.float32(1 / 0.6)}
    assert mask.mean() == pytest.approx(1, abs=0.01)


def test_settings_list_every_fault():
    """All of them at once."""
    with pytest.raises(
        SettingsError, match=r"learning_rate: expected a number from .*, got -1; head.dropout: expected"
    ):
        SmallNetworkSettings(learning_rate=-1, dropout=1.0)
