"""bfloat16, GPUs, and several devices."""

import keras
import numpy as np
import pytest
from tests.training.tiny_run import small_network

from binsight.training.fine_tune import trainer
from binsight.training.fine_tune.devices import compute_in_bfloat16, find_gpus, spread_over_devices
from binsight.training.fine_tune.layers import find_layers
from binsight.training.fine_tune.settings import FineTuneSettings


def test_inside_the_block_the_backbone_computes_in_bfloat16():
    """Heads and variables stay float32, outputs are nearly the same, and afterwards all is as before."""
    network = small_network()
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3)).astype(np.float32)
    exact = network(images)["logits"].numpy()
    with compute_in_bfloat16(network):
        assert {layer.compute_dtype for layer in find_layers(network.get_layer("backbone"))} == {"bfloat16"}
        coarse = network(images)["logits"].numpy()
    assert {v.dtype for v in network.weights} == {"float32"}
    assert coarse.dtype == np.float32
    assert 0 < np.abs(coarse - exact).max() < 0.05
    np.testing.assert_array_equal(network(images)["logits"].numpy(), exact)


@pytest.mark.parametrize("gpus", [["gpu:0"], []])
@pytest.mark.parametrize("mixed", [True, False])
def test_training_is_mixed_where_there_is_a_gpu(monkeypatch, gpus, mixed):
    """Asked for, and worth it; whoever trains, by photos or by views, prepares the network by this."""
    monkeypatch.setattr(trainer, "find_gpus", lambda: gpus)
    monkeypatch.setattr(trainer, "_compiles_to_xla", lambda: False)
    network = small_network()
    layers = list(find_layers(network.get_layer("backbone")))
    with trainer.prepared_for_training(network, FineTuneSettings(mixed_precision=mixed), seed=0):
        assert {layer.compute_dtype for layer in layers} == {"bfloat16" if gpus and mixed else "float32"}
        assert network.get_layer("logits").compute_dtype == "float32"


def test_with_tensorflow_one_device_is_used():
    """Keras' distribution works with JAX."""
    assert keras.backend.backend() == "tensorflow"
    assert spread_over_devices() == 1
    assert isinstance(find_gpus(), list)
