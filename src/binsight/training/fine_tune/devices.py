"""What a network is trained on: the processor, a GPU, or several devices at once."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import keras

from binsight.training.fine_tune.layers import find_layers

__all__ = ["compute_in_bfloat16", "find_gpus", "spread_over_devices"]


def find_gpus() -> list[str]:
    """The names of the GPUs that Keras' backend can use; none on a machine without."""
    try:
        return list(keras.distribution.list_devices("gpu"))
    except (RuntimeError, AttributeError, NotImplementedError):  # no such platform, or a backend that cannot tell
        return []


def spread_over_devices() -> int:
    """Share each batch out among all devices from now on; call it before a network is built.

    Keras' distribution API works with the JAX backend (`KERAS_BACKEND=jax`); with others one device is used.

    Returns:
        How many devices are used.
    """
    if keras.backend.backend() != "jax":
        return 1
    devices = list(keras.distribution.list_devices())
    if len(devices) > 1:
        keras.distribution.set_distribution(keras.distribution.DataParallel(devices=devices))
    return len(devices)


@contextlib.contextmanager
def compute_in_bfloat16(network: keras.Model) -> Iterator[None]:
    """Let the backbone of a network compute in bfloat16 inside the block; variables and heads stay float32.

    bfloat16 has the range of float32, so losses need no scaling, unlike with float16.

    References:
        Micikevicius et al. 2018, Mixed precision training, arXiv 1710.03740; Kalamkar et al. 2019, arXiv 1905.12322.
    """
    layers = list(find_layers(network.get_layer("backbone")))
    policies = [layer.dtype_policy for layer in layers]
    try:
        for layer in layers:
            layer.dtype_policy = keras.DTypePolicy("mixed_bfloat16")
        yield
    finally:
        for layer, policy in zip(layers, policies, strict=True):
            layer.dtype_policy = policy
