"""EfficientNet-Lite as Keras models that can be trained, and back as a state dict."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto

from binsight.training.backbones.efficientnet_lite import (
    EFFICIENTNET_LITE,
    EPSILON,
    Convolution,
    EfficientNetLite,
    build_backbone,
    check_state_dict,
    has_shortcut,
    layer_blocks,
    load_pretrained,
)
from binsight.training.backbones.safetensors_file import find_safetensors, load_safetensors

__all__ = ["build", "build_model", "load", "load_state_dict", "state_dict", "to_onnx"]

_MEAN: Final = 127.0
_SCALE: Final = 1 / 128
_MOMENTUM: Final = 0.99  # that of the original code
_NORM: Final = ("gamma", "beta", "moving_mean", "moving_variance")  # in the order of `Convolution.shapes`


def build(name: str, size: int) -> keras.Model:
    """Return a size of the family with random weights; see `Backbone.build`."""
    return build_model(replace(EFFICIENTNET_LITE[name], size=size))


def load(name: str, model: keras.Model, weights_dir: Path | None) -> None:
    """Give a model its ImageNet weights: from `weights_dir`, or else from the weights package.

    Raises:
        WeightsError: they are in neither, damaged, or do not fit.
    """
    if path := find_safetensors(name, weights_dir):
        load_safetensors(path, model)
    else:
        load_state_dict(model, EFFICIENTNET_LITE[name], load_pretrained(name))


def to_onnx(name: str, model: keras.Model) -> ModelProto:
    """Return the model as ONNX with batch normalisation folded into the convolutions; see `Backbone.to_onnx`."""
    config = replace(EFFICIENTNET_LITE[name], size=model.input_shape[1])
    return build_backbone(state_dict(model, config), config, mean=_MEAN, scale=_SCALE, storage="float16")


def build_model(config: EfficientNetLite) -> keras.Model:
    """Return the network with random weights: pictures `(n, size, size, 3)` in, feature map `(n, gh, gw, 1280)` out.

    The layers are called as in the state dict, in Keras' manner: `conv_stem`, `conv_stem_bn`, `conv_stem_relu6`,
    `blocks_0_depthwise_conv`, …, `blocks_2_add`, …, `conv_head`.
    """
    images = keras.Input((config.size, config.size, 3), name="images")
    value = keras.layers.Rescaling(_SCALE, offset=-_MEAN * _SCALE, name="rescaling")(images)
    for block in layer_blocks(config):
        shortcut = value
        for layer in block:
            value = _convolve(value, layer)
        if has_shortcut(block):
            name = layer_name(block[-1]).removesuffix("_project_conv")
            value = keras.layers.Add(name=f"{name}_add")([value, shortcut])
    return keras.Model(images, value, name="backbone")


def layer_name(layer: Convolution) -> str:
    """Return the name of the Keras layer of a convolution: `_blocks.0._expand_conv` is `blocks_0_expand_conv`."""
    return layer.name.lstrip("_").replace("._", "_").replace(".", "_")


def load_state_dict(model: keras.Model, config: EfficientNetLite, tensors: dict[str, NDArray[Any]]) -> None:
    """Give a model the weights of a PyTorch state dict.

    Args:
        model: from `build_model`.
        config: what it was built from.
        tensors: at least those of `expected_shapes(config)`.

    Raises:
        WeightsError: a tensor is missing, left over, of another shape, or not finite.
    """
    check_state_dict(tensors, config)
    for layer in _layers(config):
        kernel, *norm = (np.asarray(tensors[name], np.float32) for name in layer.shapes)
        axes = (2, 3, 0, 1) if layer.groups > 1 else (2, 3, 1, 0)
        model.get_layer(layer_name(layer)).set_weights([kernel.transpose(axes)])
        model.get_layer(f"{layer_name(layer)}_bn").set_weights(norm)


def state_dict(model: keras.Model, config: EfficientNetLite) -> dict[str, NDArray[np.float32]]:
    """Return the weights of a model under the names and in the shapes of `expected_shapes(config)`."""
    tensors: dict[str, NDArray[np.float32]] = {}
    for layer in _layers(config):
        (kernel,) = model.get_layer(layer_name(layer)).get_weights()
        axes = (2, 3, 0, 1) if layer.groups > 1 else (3, 2, 0, 1)
        norm = model.get_layer(f"{layer_name(layer)}_bn")
        arrays = [kernel.transpose(axes), *(np.asarray(getattr(norm, part)) for part in _NORM)]
        tensors |= dict(zip(layer.shapes, arrays, strict=True))
    return tensors


def _layers(config: EfficientNetLite) -> list[Convolution]:
    return [layer for block in layer_blocks(config) for layer in block]


def _convolve(value: keras.KerasTensor, layer: Convolution) -> keras.KerasTensor:
    """Convolution, batch normalisation and ReLU6; Keras' "same" padding is TensorFlow's on every backend."""
    name = layer_name(layer)
    options = {"strides": layer.stride, "padding": "same", "use_bias": False, "name": name}
    spread = keras.initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal")
    if layer.groups > 1:
        value = keras.layers.DepthwiseConv2D(layer.kernel, depthwise_initializer="he_normal", **options)(value)
    else:
        value = keras.layers.Conv2D(layer.outputs, layer.kernel, kernel_initializer=spread, **options)(value)
    value = keras.layers.BatchNormalization(momentum=_MOMENTUM, epsilon=EPSILON, name=f"{name}_bn")(value)
    return keras.layers.ReLU(6.0, name=f"{name}_relu6")(value) if layer.relu6 else value
