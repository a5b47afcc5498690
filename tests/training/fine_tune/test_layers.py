"""Which layers learn, and how fast."""

from dataclasses import replace

import keras
import pytest
from tests.training.tiny_run import SETTINGS, small_network

from binsight.errors import SettingsError
from binsight.training.fine_tune.layers import find_layers, layer_depths, rate_factors


@pytest.fixture(scope="module")
def network():
    """Six layers with weights in the backbone: convolution and normalisation by turns."""
    return small_network()


def by_name(network, **changes):
    """The factor of each layer with weights."""
    names = {layer.path: layer.name for layer in find_layers(network)}
    return {names[path]: factor for path, factor in rate_factors(network, replace(SETTINGS, **changes)).items()}


def test_depths_go_from_0_to_1(network):
    """In equal steps over the layers that have weights."""
    assert list(layer_depths(network).values()) == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1])


def test_rates_change_geometrically(network):
    """The first a quarter of the last, the one in the middle a half; heads learn at the full rate."""
    factors = by_name(network, first_rate=0.25, backbone_rate=0.1)
    assert factors["conv0"] == pytest.approx(0.025)
    assert factors["conv1"] == pytest.approx(0.1 * 0.25**0.6)
    assert factors["conv2"] == pytest.approx(0.1 * 0.25**0.2)
    assert factors["logits"] == factors["biodegradable_logit"] == 1


def test_normalisation_is_frozen_unless_asked_for(network):
    """Then it learns as its neighbours do."""
    assert by_name(network)["norm2"] == 0
    assert by_name(network, freeze_norm=False, first_rate=1.0)["norm2"] == 1


@pytest.mark.parametrize(
    ("share", "frozen"), [(0.0, []), (0.5, ["conv0", "conv1"]), (1.0, ["conv0", "conv1", "conv2"])]
)
def test_the_first_layers_are_frozen(network, share, frozen):
    """By depth; at 1 only heads learn."""
    factors = by_name(network, frozen_share=share)
    assert [name for name in ("conv0", "conv1", "conv2", "logits") if factors[name] == 0] == frozen


def test_a_network_without_a_backbone_is_refused():
    """The message says where to get one."""
    images = keras.Input((4,))
    with pytest.raises(SettingsError, match="as build_network makes it"):
        layer_depths(keras.Model(images, keras.layers.Dense(2)(images)))
