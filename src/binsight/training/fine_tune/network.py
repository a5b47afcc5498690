"""A backbone with heads: the network that is trained."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import keras

from binsight.errors import SettingsError
from binsight.training.architecture.layers import LayerKind, LayerSummary, Stage, group_stages, join_rows, shorten

__all__ = ["build_network", "split_backbone", "summarise"]

_BACKBONE = "backbone"


def build_network(
    backbone: keras.Model, *, classes: int, biodegradable: bool, inner_size: int | None = None, dropout: float = 0.0
) -> keras.Model:
    """Return backbone → mean over the places → [Dense, ReLU] → [Dropout] → logits, with freshly initialised heads.

    Args:
        backbone: from `Backbone.build`; shared, not copied, so training the network trains it.
        classes: number of categories C, at least 2.
        biodegradable: whether there is a second head.
        inner_size: units of the inner layer, or None for none.
        dropout: share of the values in front of the heads that training drops, in [0, 1).

    Returns:
        Model from pictures `(n, h, w, 3)`, 0 to 255, to `{"logits": (n, C), "biodegradable_logit": (n, 1)}`, the second
        only where asked for; float32 under any policy. Its layers are called `backbone`, `pool`, `inner`, `dropout`,
        `logits` and `biodegradable_logit`.

    Raises:
        SettingsError: a number is out of range.
    """
    if classes < 2 or not 0 <= dropout < 1 or (inner_size is not None and inner_size < 1):
        raise SettingsError(
            f"expected 2 classes or more, a dropout in [0, 1) and an inner size of 1 or more, "
            f"not {classes}, {dropout} and {inner_size}"
        )
    images = keras.Input(backbone.input_shape[1:], name="images")
    value = keras.layers.GlobalAveragePooling2D(name="pool")(backbone(images))
    if inner_size is not None:
        value = keras.layers.Dense(inner_size, activation="relu", name="inner")(value)
    if dropout:
        value = keras.layers.Dropout(dropout, name="dropout")(value)
    outputs = {"logits": keras.layers.Dense(classes, dtype="float32", name="logits")(value)}
    if biodegradable:
        head = keras.layers.Dense(1, dtype="float32", name="biodegradable_logit")
        outputs["biodegradable_logit"] = head(value)
    return keras.Model(images, outputs, name="network")


def split_backbone(backbone: keras.Model, layer: str) -> keras.Model:
    """Return the part of a backbone behind a layer, sharing its weights; its output is the feature map."""
    return keras.Model(backbone.get_layer(layer).output, backbone.output, name="backbone")


def summarise(network: keras.Model) -> str:
    """Return a network as a table: the stages of its backbone and its heads, with parameters and multiplications.

    Args:
        network: from `build_network`, or a backbone. A stage is all layers whose feature maps have one size; its
            channels are those of the widest. `trainable` are the parameters that training would change now.
    """
    _, height, width, channels = network.input_shape
    inner = [layer for layer in network.layers if layer.name == _BACKBONE]
    stages = group_stages(_describe_backbone(inner[0] if inner else network), height)
    heads = [_describe(layer, "dense") for layer in network.layers if inner and isinstance(layer, keras.layers.Dense)]
    rows: list[tuple[str, ...]] = [("", "output", "layers", "parameters", "trainable", "MACs")]
    rows.append(("images", f"{height} x {width} x {channels}", "", "", "", ""))
    for stage in stages:
        shape = " x ".join(map(str, stage.shape))
        rows.append((f"1/{stage.reduction}", shape, str(stage.layers), *_counts([stage])))
    rows += [(head.name, str(head.shape[2]), "1", *_counts([head])) for head in heads]
    rows.append(("all", "", "", *_counts([*stages, *heads])))
    return join_rows(rows)


def _counts(parts: Sequence[Stage | LayerSummary]) -> tuple[str, str, str]:
    parameters, trainable = sum(part.parameters for part in parts), sum(part.trainable for part in parts)
    return shorten(parameters), shorten(trainable), shorten(sum(part.macs for part in parts))


def _describe_backbone(backbone: keras.Model) -> Iterator[LayerSummary]:
    has_places = backbone.output_shape[1] > 1
    for layer in backbone.layers:
        if isinstance(layer, keras.layers.Add):
            yield _describe(layer, "addition")
        elif isinstance(layer, keras.layers.BatchNormalization | keras.layers.LayerNormalization):
            yield _describe(layer, "other")
        elif layer.weights:
            is_gate = has_places and layer.output.shape[1] == 1
            yield _describe(layer, "gate" if is_gate else "convolution")


def _describe(layer: keras.Layer, kind: LayerKind) -> LayerSummary:
    """Each number of a kernel is multiplied once at each place of what comes out."""
    shape = layer.output.shape
    height, width, channels = shape[1:] if len(shape) == 4 else (1, 1, shape[-1])
    kernels = sum(math.prod(weight.shape) for weight in layer.weights if len(weight.shape) > 1)
    return LayerSummary(
        layer.name,
        kind,
        (height, width, channels),
        parameters=layer.count_params(),
        trainable=sum(math.prod(weight.shape) for weight in layer.trainable_weights),
        macs=kernels * height * width,
    )
