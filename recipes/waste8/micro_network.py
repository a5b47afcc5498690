"""The micro network: a chain of convolutions that begins as the first blocks of EfficientNet-Lite0.

A microcontroller's memory holds few channels at a time, and its interpreter is exact on few operators: convolutions,
their depthwise kind, average pooling and reshaping. So of each block only the hidden channels that carry most are kept,
and where a block adds its input to its output, that addition becomes part of its convolutions: `x` is
`relu(x) - relu(-x)`, two hidden channels per channel of `x`, which the depthwise convolution lets through. A chain made
this way gives what the pruned blocks would have given, and is trained as a whole from there (micro_distil.py).

References:
    Ding et al. 2021, arXiv 2101.03697 (branches that become part of a convolution); Molchanov et al. 2017, arXiv
    1611.06440 (channels ranked by what they carry).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from binsight.export.micro import as_input
from binsight.training.backbones import find_backbone
from binsight.training.backbones.efficientnet_lite import (
    EFFICIENTNET_LITE,
    EPSILON,
    Convolution,
    has_shortcut,
    layer_blocks,
)
from binsight.training.backbones.lite import layer_name

DONOR: Final = "efficientnet_lite0"
MEAN, SCALE = 127.0, 1 / 128
"""`(pixel - MEAN) * SCALE` is what the network sees: int8 of scale 1/128 and zero point -1 is then `pixel - 128`."""
MOMENTUM: Final = 0.98
_CEILING: Final = 6.0  # of ReLU6
_RIDGE: Final = 1e-3  # of the mean variance of the channels
_MOST_PLACES: Final = 60_000
CONVOLUTIONS: Final = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D)


@dataclass(frozen=True)
class Shape:
    """What the network is made of.

    Attributes:
        size: height and width of its input.
        channels: 3 for colour, 1 for grey.
        blocks: number of the block in EfficientNet-Lite0, and how many of its hidden channels are kept.
        head: channels of the last convolution before pooling.
        carry: factor of what a shortcut carries through a convolution, where ReLU6 cuts it off at 6.
    """

    size: int
    channels: int
    blocks: tuple[tuple[int, int], ...]
    head: int
    carry: float = 1.0


def build_network(shape: Shape, *, classes: int, dropout: float) -> keras.Model:
    """The network with random weights: normalised pictures `(n, size, size, channels)` to logits `(n, classes)`."""
    pictures = keras.Input((shape.size, shape.size, shape.channels), name="pictures")
    donor = layer_blocks(EFFICIENTNET_LITE[DONOR])
    value = _convolve(pictures, "stem", _first_hidden(shape), kernel=3, stride=2)
    for number, kept in shape.blocks:
        *expand, depthwise, project = donor[number + 1]
        hidden = kept + 2 * _carried(donor[number + 1])
        if expand:
            value = _convolve(value, layer_name(expand[0]), hidden)
        value = _convolve(value, layer_name(depthwise), None, kernel=depthwise.kernel, stride=depthwise.stride)
        value = _convolve(value, layer_name(project), project.outputs, relu6=False)
    value = _convolve(value, "head", shape.head)
    value = keras.layers.AveragePooling2D(value.shape[1], name="pool")(value)
    value = keras.layers.Dropout(dropout, name="dropout")(value)
    value = keras.layers.Conv2D(classes, 1, name="logits")(value)
    return keras.Model(pictures, keras.layers.Reshape((classes,), name="reshape")(value), name="micro")


def transplant(network: keras.Model, shape: Shape, pictures: NDArray[np.float32]) -> None:
    """Give the network the weights of EfficientNet-Lite0's blocks, and the statistics it has on `pictures`."""
    donor = find_backbone(DONOR).build(size=shape.size)
    seen = (pictures if shape.channels == 3 else np.repeat(pictures, 3, axis=3)) / SCALE + MEAN
    blocks = layer_blocks(EFFICIENTNET_LITE[DONOR])[1:-1]
    moments = _hidden_moments(donor, [blocks[number] for number, _ in shape.blocks], seen)
    chosen = [
        _strongest(donor, blocks[number], moment, kept)
        for (number, kept), moment in zip(shape.blocks, moments, strict=True)
    ]
    for (number, _), channels in zip(shape.blocks, chosen, strict=True):
        _transplant_block(network, donor, blocks[number], channels, shape.carry)
    kernel = donor.get_layer("conv_stem").get_weights()[0][..., chosen[0]]
    network.get_layer("stem").set_weights([kernel if shape.channels == 3 else kernel.sum(axis=2, keepdims=True)])
    norm = donor.get_layer("conv_stem_bn").get_weights()
    network.get_layer("stem_bn").set_weights([part[chosen[0]] for part in norm])
    ends = [number - 1 for number, _ in shape.blocks[1:]] + [_last_alike(blocks, shape.blocks[-1][0])]
    for (number, _), end in zip(shape.blocks, ends, strict=True):
        _refit_projection(network, donor, blocks[number], blocks[end], pictures, seen)
    _restate_norms(network, pictures)


def _last_alike(blocks: Sequence[Sequence[Convolution]], number: int) -> int:
    """The last block behind `number` that adds to what that one gives: the features are of the same kind."""
    while number + 1 < len(blocks) and _carried(blocks[number + 1]):
        number += 1
    return number


def _refit_projection(
    network: keras.Model,
    donor: keras.Model,
    block: Sequence[Convolution],
    end: Sequence[Convolution],
    pictures: NDArray[np.float32],
    seen: NDArray[np.float32],
) -> None:
    """Make a block's output, from the channels it has left, as near as can be to that of the donor behind block `end`.

    Least squares over the places of all pictures, on what the network itself gives up to here: so later blocks make up
    for what earlier ones lost.
    """
    hidden = network.get_layer(f"{layer_name(block[-2])}_relu6").output
    name = layer_name(end[-1])
    target = donor.get_layer(f"{name.removesuffix('_project_conv')}_add" if _carried(end) else f"{name}_bn").output
    x = keras.Model(network.input, hidden).predict(pictures, batch_size=64, verbose=0)
    y = keras.Model(donor.input, target).predict(seen, batch_size=64, verbose=0)
    x, y = x.reshape(-1, x.shape[-1]), y.reshape(-1, y.shape[-1])
    rows = np.random.default_rng(0).permutation(len(x))[:_MOST_PLACES]
    x, y = x[rows].astype(np.float64), y[rows].astype(np.float64)
    mean_x, mean_y = x.mean(axis=0), y.mean(axis=0)
    x, y = x - mean_x, y - mean_y
    square = x.T @ x
    ridge = _RIDGE * np.trace(square) / len(square)
    weight = np.linalg.solve(square + ridge * np.eye(len(square)), x.T @ y)
    project = layer_name(block[-1])
    network.get_layer(project).set_weights([weight[None, None]])
    one = np.ones(len(mean_y))
    network.get_layer(f"{project}_bn").set_weights([one, mean_y - mean_x @ weight, 0 * one, (1 - EPSILON) * one])


def normalise(pictures: NDArray[np.uint8], channels: int) -> NDArray[np.float32]:
    """Pixels `(n, h, w, 3)` as the network wants them, `(n, h, w, channels)`."""
    values = pictures.astype(np.float32)
    if channels == 1:
        values = as_input(pictures, 1).astype(np.float32) + 128
    return (values - np.float32(MEAN)) * np.float32(SCALE)


def _convolve(
    value: Any, name: str, outputs: int | None, *, kernel: int = 1, stride: int = 1, relu6: bool = True
) -> Any:
    """Convolution, depthwise without `outputs`; batch normalisation; ReLU6."""
    options = {"strides": stride, "padding": "same", "use_bias": False, "name": name}
    if outputs is None:
        value = keras.layers.DepthwiseConv2D(kernel, depthwise_initializer="he_normal", **options)(value)
    else:
        value = keras.layers.Conv2D(outputs, kernel, kernel_initializer="he_normal", **options)(value)
    value = keras.layers.BatchNormalization(momentum=MOMENTUM, epsilon=EPSILON, name=f"{name}_bn")(value)
    return keras.layers.ReLU(_CEILING, name=f"{name}_relu6")(value) if relu6 else value


def _first_hidden(shape: Shape) -> int:
    return shape.blocks[0][1]  # block 0 has no expansion: its hidden channels are those of the stem


def _carried(block: Sequence[Convolution]) -> int:
    """Channels that the block adds to its output."""
    return block[0].inputs if has_shortcut(list(block)) else 0


def _hidden_moments(
    donor: keras.Model, blocks: Sequence[Sequence[Convolution]], seen: NDArray[np.float32]
) -> list[NDArray[np.float64]]:
    """The mean square of every hidden channel, of each block, `(hidden,)`."""
    outputs = [donor.get_layer(f"{layer_name(block[-2])}_relu6").output for block in blocks]
    squares = [keras.ops.mean(keras.ops.square(output), axis=(1, 2)) for output in outputs]
    found = keras.Model(donor.input, squares).predict(seen, batch_size=64, verbose=0)
    return [np.asarray(value, np.float64).mean(axis=0) for value in found]


def _strongest(
    donor: keras.Model, block: Sequence[Convolution], moment: NDArray[np.float64], kept: int
) -> NDArray[np.intp]:
    """The hidden channels that contribute most to the output of a block, in their order."""
    kernel = donor.get_layer(layer_name(block[-1])).get_weights()[0][0, 0]
    gamma, _, _, variance = donor.get_layer(f"{layer_name(block[-1])}_bn").get_weights()
    weight = ((kernel * gamma / np.sqrt(variance + EPSILON)) ** 2).sum(axis=1)
    return np.sort(np.argsort(-moment * weight)[:kept])


def _transplant_block(
    network: keras.Model, donor: keras.Model, block: Sequence[Convolution], chosen: NDArray[np.intp], carry: float
) -> None:
    *expand, depthwise, project = block
    carried = _carried(block)
    if expand:
        _copy(network, donor, layer_name(expand[0]), lambda w: w[..., chosen], lambda v: v[chosen], carried)
    _copy(network, donor, layer_name(depthwise), lambda w: w[:, :, chosen], lambda v: v[chosen], carried)
    _copy(network, donor, layer_name(project), lambda w: w[:, :, chosen], lambda v: v, 0)
    if carried:
        _carry(network, expand[0], depthwise, len(chosen), carry)


def _copy(network: Any, donor: Any, name: str, kernel: Any, norm: Any, carried: int) -> None:
    """Copy a convolution and its normalisation; channels that carry the input come behind, zero and without effect."""
    (weights,) = donor.get_layer(name).get_weights()
    (target,) = network.get_layer(name).get_weights()
    filled = np.zeros_like(target)
    part = kernel(weights)
    filled[tuple(slice(0, n) for n in part.shape)] = part
    network.get_layer(name).set_weights([filled])
    identity = (1.0, 0.0, 0.0, 1.0 - EPSILON)
    parts = donor.get_layer(f"{name}_bn").get_weights()
    network.get_layer(f"{name}_bn").set_weights(
        [np.append(norm(v), np.full(2 * carried, one)) for v, one in zip(parts, identity, strict=True)]
    )


def _carry(network: Any, expand: Convolution, depthwise: Convolution, kept: int, factor: float) -> None:
    """Let hidden channels from `kept` on carry a block's input through: `relu(x)` and `relu(-x)`, times a factor."""
    n = expand.inputs
    kernels = {layer: network.get_layer(layer_name(layer)).get_weights()[0] for layer in (expand, depthwise)}
    centre = depthwise.kernel // 2
    for sign, first in ((factor, kept), (-factor, kept + n)):
        kernels[expand][0, 0, :, first : first + n] = sign * np.eye(n)
        kernels[depthwise][centre, centre, first : first + n, 0] = 1.0
    for layer, kernel in kernels.items():
        network.get_layer(layer_name(layer)).set_weights([kernel])


def _restate_norms(network: keras.Model, pictures: NDArray[np.float32]) -> None:
    """Give every normalisation the statistics of `pictures`, and factors with which it computes what it did before."""
    norms = [layer for layer in network.layers if isinstance(layer, keras.layers.BatchNormalization)]
    inside = keras.Model(network.input, [layer.input for layer in norms])
    for layer, values in zip(norms, inside.predict(pictures, batch_size=64, verbose=0), strict=True):
        mean, variance = values.mean(axis=(0, 1, 2)), values.var(axis=(0, 1, 2))
        gamma, beta, old_mean, old_variance = layer.get_weights()
        slope = gamma / np.sqrt(old_variance + EPSILON)
        layer.set_weights([slope * np.sqrt(variance + EPSILON), beta + slope * (mean - old_mean), mean, variance])


@dataclass(frozen=True)
class Layer:
    """A convolution with its normalisation in it.

    Attributes:
        kernel: `(k, k, inputs, outputs)`; depthwise `(k, k, channels, 1)`.
        bias: `(outputs,)`.
        stride: along both axes.
        depthwise: whether each channel has a kernel of its own.
        relu6: whether ReLU6 follows.
    """

    kernel: NDArray[np.float32]
    bias: NDArray[np.float32]
    stride: int
    depthwise: bool
    relu6: bool


def fold_layers(network: keras.Model) -> list[Layer]:
    """The convolutions of the network in their order, the last one giving the logits."""
    return [_fold(network, layer) for layer in network.layers if isinstance(layer, CONVOLUTIONS)]


def _fold(network: keras.Model, layer: Any) -> Layer:
    kernel, *rest = (np.asarray(part, np.float64) for part in layer.get_weights())
    depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
    names = {other.name for other in network.layers}
    bias = rest[0] if rest else np.zeros(kernel.shape[2 if depthwise else 3])
    if f"{layer.name}_bn" in names:
        gamma, beta, mean, variance = (
            np.asarray(v, np.float64) for v in network.get_layer(f"{layer.name}_bn").get_weights()
        )
        gain = gamma / np.sqrt(variance + EPSILON)
        kernel, bias = kernel * (gain[:, None] if depthwise else gain), beta - mean * gain
    stride = layer.strides[0]
    return Layer(kernel.astype(np.float32), bias.astype(np.float32), stride, depthwise, f"{layer.name}_relu6" in names)


def compute(layers: Sequence[Layer], pictures: Any) -> Any:
    """The logits `(n, classes)` that folded layers give, in TensorFlow."""
    value = pictures
    for layer in layers[:-1]:
        value = _apply(layer, value)
    side = value.shape[1]
    value = tf.nn.avg_pool2d(value, side, side, "VALID")
    value = _apply(layers[-1], value)
    return tf.reshape(value, (-1, value.shape[-1]))


def _apply(layer: Layer, value: Any) -> Any:
    if layer.depthwise:
        strides = (1, layer.stride, layer.stride, 1)
        value = tf.nn.depthwise_conv2d(value, layer.kernel, strides, "SAME")
    else:
        value = tf.nn.conv2d(value, layer.kernel, layer.stride, "SAME")
    value = tf.nn.bias_add(value, layer.bias)
    return tf.nn.relu6(value) if layer.relu6 else value
