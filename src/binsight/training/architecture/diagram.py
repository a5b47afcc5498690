"""The block diagram of a network: photo, stages, mean over the places, heads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Rectangle

from binsight.training.architecture.layers import Architecture, Stage, group_stages, shorten

__all__ = ["INK", "TIMES", "WIDTH_INCHES", "draw_diagram"]

INK: Final = "#333333"
TIMES: Final = "\N{MULTIPLICATION SIGN}"
WIDTH_INCHES: Final = 15.0
_FILL, _HEAD_FILL, _SIDE_FILL = "#EEF3F8", "#F6ECF5", "#F4F4F4"
_EDGE: Final = "#9AA7B4"
_PARAMETERS, _MACS = "#332288", "#44AA99"
_OUTPUTS: Final = {
    "logits": "categories",
    "biodegradable_logit": "biodegradable?",
    "unfamiliarity": "unfamiliarity",
    "features": "features",
    "attention": "heat map",
    "feature_map": "feature map",
}
_MAIN: Final = {"logits", "biodegradable_logit"}
_OF_PLACES: Final = {"attention", "feature_map"}
_HEAD_STEPS, _HEAD_HEIGHT, _HEAD_GAP = 1.5, 0.5, 0.1
_MAX_CLASSES: Final = 9


def draw_diagram(axes: Any, architecture: Architecture, classes: Sequence[str] = ()) -> None:
    """Draw boxes from left to right; the bars in a stage are its shares of the parameters and of the multiplications.

    Args:
        axes: of matplotlib; its limits and frame are set.
        architecture: what to draw.
        classes: names of the categories, for the head.
    """
    stages = [stage for stage in group_stages(architecture.layers, architecture.size[0]) if stage.shape[0] > 1]
    dense = [layer for layer in architecture.layers if layer.kind == "dense"]
    inner = dense[: max(0, len(dense) - len(_MAIN & {name for name, _ in architecture.outputs}))]
    columns = 1 + len(stages) + 1 + len(inner) + _HEAD_STEPS
    step = WIDTH_INCHES / columns
    _draw_photo(axes, architecture, step)
    for index, stage in enumerate(stages, start=1):
        _draw_stage(axes, index * step, step, stage, architecture)
    place = len(stages) + 1
    means = [f"{layer.shape[2]} features" for layer in architecture.layers if layer.kind == "pooling"][-1:]
    _draw_box(axes, place * step, step, ("mean", "over the places", *means), height=1.1)
    for index, layer in enumerate(inner, start=1):
        _draw_box(axes, (place + index) * step, step, ("inner", "dense, ReLU", f"{layer.shape[2]} units"), height=1.1)
    for index in range(place + len(inner)):
        _draw_arrow(axes, (index + 0.91) * step, 0.0, (index + 1.07) * step, 0.0)
    _draw_heads(axes, architecture, (place + len(inner) + 1) * step, step, classes, len(inner))
    axes.set(xlim=(0, WIDTH_INCHES), ylim=(-1.95, 1.95))
    axes.axis("off")
    _draw_key(axes)


def _draw_photo(axes: Any, architecture: Architecture, step: float) -> None:
    height, width = architecture.size
    _draw_box(axes, 0, step, ("photo", f"{height} {TIMES} {width}", "RGB, 0 to 255", "normalised inside"), height=1.3)


def _draw_stage(axes: Any, left: float, step: float, stage: Stage, architecture: Architecture) -> None:
    height, width, channels = stage.shape
    shortcuts = (_count(stage.additions, "shortcut"),) if stage.additions else ()
    lines = (
        f"1/{stage.reduction}",
        f"{height} {TIMES} {width}",
        f"up to {channels} channels",
        _count(stage.layers, "layer"),
        *shortcuts,
        f"{shorten(stage.parameters)} parameters",
        f"{shorten(stage.macs)} MACs",
    )
    _draw_box(axes, left, step, lines, height=2.3, middle=0.1)
    shares = (stage.parameters / architecture.parameters, _PARAMETERS), (stage.macs / architecture.macs, _MACS)
    for row, (share, colour) in enumerate(shares):
        low, span = -0.83 - 0.13 * row, 0.72 * step
        axes.add_patch(Rectangle((left + 0.14 * step, low), span, 0.09, facecolor="white", edgecolor="none", zorder=3))
        axes.add_patch(Rectangle((left + 0.14 * step, low), span * share, 0.09, facecolor=colour, zorder=4))


def _draw_heads(
    axes: Any, architecture: Architecture, left: float, step: float, classes: Sequence[str], inner: int
) -> None:
    shapes = dict(architecture.outputs)
    outputs = [(name, shapes[name]) for name in _OUTPUTS if name in shapes]
    heights = [0.55 + 0.2 * len(_wrap(classes)) if name == "logits" else _HEAD_HEIGHT for name, _ in outputs]
    top = (sum(heights) + _HEAD_GAP * (len(heights) - 1)) / 2
    for (name, shape), height in zip(outputs, heights, strict=True):
        size = f" {TIMES} ".join(map(str, shape))
        lines = [_OUTPUTS[name], size if len(shape) > 1 or name not in _MAIN else _count(shape[0], "logit")]
        if name == "logits" and classes:
            lines += _wrap(classes)
        fill, is_of_places = _HEAD_FILL if name in _MAIN else _SIDE_FILL, name in _OF_PLACES
        # What comes from the feature map passes below the mean.
        middle = min(top - height / 2, -1.3) if is_of_places else top - height / 2
        _draw_box(axes, left, _HEAD_STEPS * step, lines, height=height, middle=middle, fill=fill)
        start = (left - (1.08 + inner) * step, -0.9) if is_of_places else (left - 0.08 * step, 0.0)
        _draw_arrow(axes, *start, left + 0.12 * step, middle)
        top -= height + _HEAD_GAP


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _wrap(classes: Sequence[str]) -> list[str]:
    shown = [name.replace("_", " ") for name in classes[:_MAX_CLASSES]]
    if len(classes) > _MAX_CLASSES:
        shown.append(f"and {len(classes) - _MAX_CLASSES} more")
    return [", ".join(shown[index : index + 2]) for index in range(0, len(shown), 2)]


def _draw_box(
    axes: Any, left: float, step: float, lines: Sequence[str], *, height: float, middle: float = 0.0, fill: str = _FILL
) -> None:
    """A box of which the first line is the heading."""
    low, width = middle - height / 2, 0.84 * step
    style = "round,pad=0,rounding_size=0.09"
    corner = (left + 0.08 * step, low)
    axes.add_patch(FancyBboxPatch(corner, width, height, boxstyle=style, facecolor=fill, edgecolor=_EDGE))
    line_height = 0.2
    first = middle + line_height * (len(lines) - 1) / 2 + (0.12 if height > 2 else 0)
    for index, line in enumerate(lines):
        is_heading = index == 0
        axes.text(
            left + 0.5 * step, first - index * line_height, line, ha="center", va="center", color=INK,
            fontsize=11 if is_heading else 8.5, fontweight="bold" if is_heading else "normal",
        )  # fmt: skip


def _draw_arrow(axes: Any, x0: float, y0: float, x1: float, y1: float) -> None:
    arrow = FancyArrowPatch((x0, y0), (x1, y1), arrowstyle="-|>", mutation_scale=9, color=_EDGE, shrinkA=0, shrinkB=0)
    axes.add_patch(arrow)


def _draw_key(axes: Any) -> None:
    for row, (colour, text) in enumerate(((_PARAMETERS, "share of the parameters"), (_MACS, "share of the MACs"))):
        axes.add_patch(Rectangle((0.1 + 2.2 * row, -1.75), 0.22, 0.09, facecolor=colour))
        axes.text(0.4 + 2.2 * row, -1.705, text, va="center", fontsize=8.5, color=INK)
