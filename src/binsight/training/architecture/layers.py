"""What a network is made of, whichever framework it is in: layers, and stages of one size of feature map."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

__all__ = ["Architecture", "LayerKind", "LayerSummary", "Stage", "group_stages", "join_rows", "reduction", "shorten"]

LayerKind = Literal["convolution", "depthwise", "pointwise", "gate", "pooling", "addition", "dense", "other"]


@dataclass(frozen=True, slots=True)
class LayerSummary:
    """One layer.

    Attributes:
        name: as in its framework.
        kind: `convolution` mixes places and channels, `depthwise` only places, `pointwise` only channels; `gate` is
            part of a squeeze-and-excitation; `addition` closes a residual block; `other` is a normalisation.
        shape: height, width and channels of what comes out; `(1, 1, c)` without places.
        parameters: how many numbers it has.
        trainable: how many of them training changes.
        macs: multiplications and additions, as one, for one photo.
    """

    name: str
    kind: LayerKind
    shape: tuple[int, int, int]
    parameters: int = 0
    trainable: int = 0
    macs: int = 0


@dataclass(frozen=True, slots=True)
class Architecture:
    """A network from pictures to its outputs.

    Attributes:
        name: what to call it.
        size: height and width of the pictures.
        layers: in the order in which they are computed.
        outputs: name and shape, without the batch, of each output.
    """

    name: str
    size: tuple[int, int]
    layers: tuple[LayerSummary, ...]
    outputs: tuple[tuple[str, tuple[int, ...]], ...] = ()

    @property
    def parameters(self) -> int:
        """How many numbers the network has."""
        return sum(layer.parameters for layer in self.layers)

    @property
    def macs(self) -> int:
        """Multiplications and additions, as one, for one photo."""
        return sum(layer.macs for layer in self.layers)


@dataclass(frozen=True, slots=True)
class Stage:
    """All layers whose feature maps are smaller than the pictures by one power of two; edges do not count.

    Attributes:
        reduction: this power of two.
        shape: height and width of the last of them, and channels of the widest.
        layers: how many of them convolve, pool or are dense; additions and normalisations do not count.
        additions: how many residual blocks end here.
        parameters: of all its layers.
        trainable: how many of them training changes.
        macs: of all its layers.
    """

    reduction: int
    shape: tuple[int, int, int]
    layers: int = 0
    additions: int = 0
    parameters: int = 0
    trainable: int = 0
    macs: int = 0


def group_stages(layers: Iterable[LayerSummary], height: int) -> list[Stage]:
    """Return the stages of a network in its order.

    Shortcuts that halve the size may be computed before the last layers of the stage before; so layers are grouped by
    the size of what comes out. A gate, which has no places, belongs to the stage that it is in.

    Args:
        layers: in the order in which they are computed.
        height: of the pictures.
    """
    stages: dict[int, Stage] = {}
    latest = 0
    for layer in layers:
        is_gate = layer.kind == "gate" and latest in stages
        latest = latest if is_gate else reduction(height, layer)
        stage = stages.get(latest, Stage(latest, layer.shape))
        stages[latest] = replace(
            stage,
            shape=stage.shape if is_gate else (*layer.shape[:2], max(stage.shape[2], layer.shape[2])),
            layers=stage.layers + (layer.kind not in {"addition", "other"}),
            additions=stage.additions + (layer.kind == "addition"),
            parameters=stage.parameters + layer.parameters,
            trainable=stage.trainable + layer.trainable,
            macs=stage.macs + layer.macs,
        )
    return list(stages.values())


def reduction(height: int, layer: LayerSummary) -> int:
    """Return the power of two by which a feature map is smaller than pictures of `height`: 16 for 19 of 299 pixels."""
    power: int = 2 ** max(0, round(math.log2(height / layer.shape[0])))
    return power


def shorten(number: float) -> str:
    """Return a count as people write it, three digits long: 3,371,008 is `3.37 M`."""
    for limit, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if number >= 0.9995 * limit:
            return f"{number / limit:#.3g}".rstrip(".") + unit
    return str(round(number))


def join_rows(rows: Sequence[Sequence[str]]) -> str:
    """Return a table as text: the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for first, *others in rows:
        cells = (cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True))
        lines.append("  ".join([first.ljust(widths[0]), *cells]).rstrip())
    return "\n".join(lines)
