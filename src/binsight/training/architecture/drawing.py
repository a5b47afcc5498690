"""Pictures of a network: its layers as boxes in perspective, and its stages and heads as a block diagram.

Colours are Paul Tol's muted scheme, which the colour-blind can tell apart (https://sronpersonalpages.nl/~pault/, SRON
technical note EPS 09-002, issue 3.2).
"""

from __future__ import annotations

import colorsys
import math
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any, Final, Literal

from matplotlib import rc_context
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Polygon

from binsight.fonts import legible
from binsight.training.architecture.diagram import INK, TIMES, WIDTH_INCHES, draw_diagram
from binsight.training.architecture.layers import Architecture, LayerKind, LayerSummary, reduction, shorten

__all__ = ["draw_architecture", "draw_layers"]

_COLOURS: Final[Mapping[LayerKind, str]] = {
    "convolution": "#332288",
    "depthwise": "#44AA99",
    "pointwise": "#88CCEE",
    "pooling": "#CC6677",
    "addition": "#DDCC77",
    "dense": "#AA4499",
}
_NAMES: Final[Mapping[LayerKind, str]] = {
    "convolution": "convolution",
    "depthwise": "depthwise convolution",
    "pointwise": f"1 {TIMES} 1 convolution",
    "pooling": "pooling",
    "addition": "residual addition",
    "dense": "dense",
}
_DEPTH: Final = 0.42  # of a box, as a share of its height
_ANGLE: Final = math.radians(38)
_GAP, _STAGE_GAP = 0.22, 2.2
_LAYERS_INCHES, _DIAGRAM_INCHES = 3.4, 3.9


def draw_architecture(
    architecture: Architecture, *, title: str, classes: Sequence[str] = (), file_format: Literal["png", "svg"] = "png"
) -> bytes:
    """Return a picture of a network: above its layers, below its stages and heads.

    Args:
        architecture: of `describe_graph`.
        title: over the picture.
        classes: names of the categories, for the head.
        file_format: PNG has 150 dots an inch.
    """
    # Without these two the same network would give another SVG each time.
    with rc_context({"svg.hashsalt": "binsight"}), legible((title, *classes)):
        figure = Figure(figsize=(WIDTH_INCHES, _LAYERS_INCHES + _DIAGRAM_INCHES + 0.8), facecolor="white")
        upper, lower = figure.subplots(2, 1, height_ratios=[_LAYERS_INCHES, _DIAGRAM_INCHES])
        figure.subplots_adjust(left=0.01, right=0.99, bottom=0.01, top=0.88, hspace=0.03)
        figure.suptitle(title, x=0.02, y=0.97, ha="left", fontsize=15, fontweight="bold", color=INK)
        height, width = architecture.size
        facts = (
            f"{height} {TIMES} {width} pixels   ·   {shorten(architecture.parameters)} parameters"
            f"   ·   {shorten(architecture.macs)} multiplications a photo"
        )
        figure.text(0.02, 0.915, facts, fontsize=11, color=INK, va="top")
        draw_layers(upper, architecture)
        draw_diagram(lower, architecture, classes)
        buffer = BytesIO()
        figure.savefig(buffer, format=file_format, dpi=150, metadata={"Date": None} if file_format == "svg" else None)
    return buffer.getvalue()


def draw_layers(axes: Any, architecture: Architecture) -> None:
    """Draw each layer as a box: as high and deep as its feature map, as thick as it has channels; both not to scale.

    Gates are left out: they have no places.

    Args:
        axes: of matplotlib; its limits and frame are set.
        architecture: what to draw.
    """
    height, width = architecture.size
    photo = LayerSummary("photo", "other", (height, width, 3))
    layers = [photo, *(layer for layer in architecture.layers if layer.kind in _COLOURS)]
    left, start, top = 0.0, 0.0, 0.0
    for index, layer in enumerate(layers):
        side, thickness = _side(layer), _thickness(layer)
        _draw_box(axes, left, side, thickness, _COLOURS.get(layer.kind, "#F2F2F2"))
        top = max(top, side * (1 + _DEPTH * math.sin(_ANGLE)))
        left += thickness
        is_last = index == len(layers) - 1 or reduction(height, layers[index + 1]) != reduction(height, layer)
        if is_last:
            _label_stage(axes, start, left, layer)
            left += _STAGE_GAP + (0.75 if layer is photo else 0.25) * side * _DEPTH
            start = left
        else:
            left += _GAP
    axes.set(xlim=(-1.5, left), ylim=(-0.55 * top, 0.62 * top))
    axes.axis("off")
    kinds = [kind for kind in _COLOURS if any(layer.kind == kind for layer in layers)]
    handles = [Patch(facecolor=_COLOURS[kind], label=_NAMES[kind]) for kind in kinds]
    axes.legend(handles=handles, loc="upper right", frameon=False, fontsize=10, ncols=min(3, len(handles)))


def _side(layer: LayerSummary) -> float:
    return 1.3 * math.sqrt(layer.shape[0]) if layer.shape[0] > 1 else 2.0


def _thickness(layer: LayerSummary) -> float:
    return 0.22 * max(1.0, math.log2(layer.shape[2] / 4))


def _draw_box(axes: Any, left: float, side: float, thickness: float, colour: str) -> None:
    """Three faces of a box whose front is centred on the horizontal axis."""
    right, low, high = left + thickness, -side / 2, side / 2
    x, y = side * _DEPTH * math.cos(_ANGLE), side * _DEPTH * math.sin(_ANGLE)
    faces = [
        ([(left, high), (right, high), (right + x, high + y), (left + x, high + y)], _shade(colour, 1.25)),
        ([(right, low), (right, high), (right + x, high + y), (right + x, low + y)], _shade(colour, 0.8)),
        ([(left, low), (right, low), (right, high), (left, high)], colour),
    ]
    for corners, face in faces:
        axes.add_patch(Polygon(corners, closed=True, facecolor=face, edgecolor="white", linewidth=0.35))


def _label_stage(axes: Any, left: float, right: float, layer: LayerSummary) -> None:
    height, width, channels = layer.shape
    low, is_photo = -_side(layer) / 2 - 0.5, layer.kind == "other"
    if not is_photo:
        axes.plot([left, right], [low, low], color=INK, linewidth=0.8)
    text = f"{height} {TIMES} {width}" if height > 1 else f"{channels}"
    place, side = (left, "left") if is_photo else ((left + right) / 2, "center")
    axes.text(place, low - 0.3, text, ha=side, va="top", fontsize=9.5, color=INK)


def _shade(colour: str, factor: float) -> str:
    hue, light, saturation = colorsys.rgb_to_hls(*to_rgb(colour))
    return to_hex(colorsys.hls_to_rgb(hue, min(0.95, light * factor), saturation))
