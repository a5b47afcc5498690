"""Which layers learn."""

from dataclasses import replace

import keras
import pytest
from tests.training.tiny_run import SETTINGS, small_network

from binsight.errors import SettingsError
from binsight.training.fine_tune.layers import find_layers, frozen_layers


@pytest.fixture(scope="module")
def network():
    """Six layers with weights in the backbone: convolution and normalisation by turns."""
    return small_network()


def frozen(network, **changes):
    """The names of the layers that are not trained."""
    names = {layer.path: layer.name for layer in find_layers(network)}
    return {names[path] for path in frozen_layers(network, replace(SETTINGS, **changes))}


def test_normalisation_is_frozen_unless_asked_for(network):
    """Then it learns as its neighbours do."""
    assert frozen(network) == {"norm0", "norm1", "norm2"}
    assert frozen(network, freeze_norm=False) == set()


@pytest.mark.parametrize(
    ("share", "layers"),
    [
        (0.0, set()),
        (0.16, set()),
        (0.5, {"conv0", "norm0", "conv1"}),
        (0.99, {"conv0", "norm0", "conv1", "norm1", "conv2"}),
        (1.0, {"conv0", "norm0", "conv1", "norm1", "conv2", "norm2"}),
    ],
)
def test_the_first_layers_are_frozen(network, share, layers):
    """So many of those with weights, rounded down; at 1 only heads learn."""
    assert frozen(network, frozen_share=share, freeze_norm=False) == layers


def test_a_network_without_a_backbone_is_refused():
    """The message says where to get one."""
    images = keras.Input((4,))
    with pytest.raises(SettingsError, match="as build_network makes it"):
        frozen_layers(keras.Model(images, keras.layers.Dense(2)(images)), SETTINGS)
