"""Charts of an evaluation, drawn with matplotlib: each function takes numbers and returns a figure.

Only the colours of `PALETTE` are used. In a page each becomes a variable of the page's style, so that a chart is as
readable in the dark as in the light; blue and orange are told apart by the colour-blind, and shapes differ as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullFormatter, NullLocator
from numpy.typing import NDArray

from binsight.evaluation.reliability import ReliabilityBin
from binsight.evaluation.results import Review
from binsight.evaluation.unknown import UnknownPhotos
from binsight.probability.intervals import Interval, wilson_interval

__all__ = [
    "PALETTE",
    "ParetoPoint",
    "draw_classes",
    "draw_confusion",
    "draw_pareto",
    "draw_reliability",
    "draw_risk_coverage",
    "draw_unknown",
]

_INK, _SOFT, _LINE, _BLUE, _ORANGE, _GREEN = "#1d2420", "#5d6962", "#dfe4e0", "#3a6ea5", "#a86400", "#2d7a4f"
PALETTE = {_INK: "ink", _SOFT: "soft", _LINE: "line", _BLUE: "info", _ORANGE: "warning", _GREEN: "accent"}
"""Colour → the name of the variable that a page has for it."""

_FONT = 9.0
_WIDTH, _HEIGHT = 4.3, 3.5  # inches of 72 units: legible on a phone, where a unit is about a pixel
_DARK = 0.6  # a share whose field is too dark for ink
_PERCENT = FuncFormatter(lambda v, _: f"{100 * v:g} %")


@dataclass(frozen=True, slots=True)
class ParetoPoint:
    """One model in the plane of cost and accuracy."""

    name: str
    cost: float
    accuracy: Interval
    is_best: bool


def draw_reliability(reliability: Sequence[ReliabilityBin]) -> Figure:
    """Accuracy against confidence in bins, with 95 % intervals and the number of photos; on the diagonal is honest."""
    figure = _canvas(_WIDTH, 4.2)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    bins = [b for b in reliability if b.photos]
    confidence = np.array([b.confidence for b in bins])
    value, low, high = (np.array([getattr(b.accuracy, k) for b in bins]) for k in ("value", "low", "high"))
    upper.plot([0, 1], [0, 1], color=_SOFT, linewidth=1, linestyle=(0, (4, 3)))
    reach = np.maximum(0, [value - low, high - value])
    upper.errorbar(confidence, value, yerr=reach, fmt="none", ecolor=_BLUE, elinewidth=1.2)
    upper.scatter(confidence, value, s=22, color=_BLUE, zorder=3)
    upper.set(xlim=(0, 1.01), ylim=(0, 1.02))
    upper.set_ylabel("right")
    lower.bar(
        [(b.low + b.high) / 2 for b in reliability], [b.photos for b in reliability],
        width=0.86 / len(reliability), color=_BLUE,
    )  # fmt: skip
    lower.set_ylabel("photos")
    lower.set_xlabel("confidence")
    lower.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=3))
    lower.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:,.0f}"))
    upper.yaxis.set_major_formatter(_PERCENT)
    lower.xaxis.set_major_formatter(_PERCENT)
    for axes in (upper, lower):
        _style(axes)
    return figure


def draw_confusion(counts: NDArray[np.integer], names: Sequence[str]) -> Figure:
    """What photos of each class were told to be, the darker the larger the share of the class.

    Args:
        counts: `(C, C)`, photos of class i told to be of class j.
        names: of the C classes.
    """
    side = 1.7 + 0.36 * len(names)
    figure = _canvas(side, side)
    axes = figure.add_subplot()
    shares = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    axes.imshow(shares, cmap=LinearSegmentedColormap.from_list("shares", ["white", _BLUE]), vmin=0, vmax=1)
    for (i, j), count in np.ndenumerate(counts):
        if count:
            colour = "white" if shares[i, j] > _DARK else _INK
            axes.text(j, i, f"{count}", ha="center", va="center", fontsize=_FONT - 1, color=colour)
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="told to be", ylabel="shown")
    _style(axes)
    axes.grid(visible=False)
    return figure


def draw_classes(counts: NDArray[np.integer], names: Sequence[str]) -> Figure:
    """Of each class the share of its photos that is found, and of those named so that is right; 95 % score intervals.

    Args:
        counts: `(C, C)`, photos of class i told to be of class j.
        names: of the C classes.
    """
    figure = _canvas(_WIDTH, 1.1 + 0.36 * len(names))
    axes = figure.add_subplot()
    right, least = counts.diagonal(), 1.0
    for label, whole, colour, mark, offset in (
        ("found (recall)", counts.sum(axis=1), _BLUE, "o", -0.14),
        ("right (precision)", counts.sum(axis=0), _ORANGE, "D", 0.14),
    ):
        found = [wilson_interval(*pair) for pair in zip(right.tolist(), whole.tolist(), strict=True)]
        value, low, high = (np.array([getattr(f, bound) for f in found]) for bound in ("value", "low", "high"))
        places = np.arange(len(names)) + offset
        axes.hlines(places, low, high, color=colour, linewidth=1.2)
        axes.scatter(value, places, s=22, color=colour, marker=mark, zorder=3, label=label)
        least = min(least, np.nanmin(low, initial=1.0))
    axes.set_yticks(range(len(names)), names)
    axes.set(xlim=(max(0.0, least - 0.02), 1.01), ylim=(len(names) - 0.4, -1.5))
    axes.xaxis.set_major_formatter(_PERCENT)
    _style(axes)
    _legend(axes, loc="upper left")
    return figure


def draw_risk_coverage(review: Review) -> Figure:
    """The share of wrong ones among the accepted, against the share accepted, with where the bundle stands."""
    figure, axes = _figure()
    axes.plot(review.curve.coverage, review.curve.risk, color=_BLUE, linewidth=1.6, label="by confidence alone")
    target = 1 - review.overall.target_precision
    axes.axhline(target, color=_SOFT, linewidth=1, linestyle=(0, (4, 3)))
    axes.annotate(
        f"wanted: {100 * target:.2g} %", (0.01, target), xycoords=("axes fraction", "data"), xytext=(0, 3),
        textcoords="offset points", color=_SOFT, fontsize=_FONT - 1,
    )  # fmt: skip
    axes.scatter(
        [review.point.coverage], [review.point.risk], s=52, color=_ORANGE, marker="D", zorder=4, label="this bundle"
    )
    crossed = review.overall.cross_fitted
    axes.scatter(
        [crossed.coverage], [crossed.risk], s=44, color=_GREEN, marker="s", zorder=3, label="thresholds for the target"
    )
    top = max(0.01, *review.curve.risk[len(review.curve.risk) // 10 :], 1.6 * target)
    axes.set(xlim=(0, 1.02), ylim=(-0.03 * top, 1.08 * top), xlabel="accepted", ylabel="wrong among the accepted")
    axes.xaxis.set_major_formatter(_PERCENT)
    axes.yaxis.set_major_formatter(_PERCENT)
    _legend(axes, loc="upper left")
    return figure


def draw_unknown(unknown: UnknownPhotos) -> Figure:
    """How unfamiliar known and unknown photos look, and where the line lies."""
    figure, axes = _figure()
    edges = np.array(unknown.edges)
    for name, shares, colour, style in (
        ("photos of the classes", unknown.known, _BLUE, "-"),
        ("unknown photos", unknown.unknown, _ORANGE, (0, (4, 1.5))),
    ):
        axes.stairs(shares, edges, fill=True, color=colour, alpha=0.22, linewidth=0)
        axes.stairs(shares, edges, color=colour, linewidth=1.6, linestyle=style, label=name)
    if unknown.threshold is not None:
        axes.axvline(unknown.threshold, color=_INK, linewidth=1.2, linestyle=(0, (1.5, 1.5)), label="review above")
    axes.set(xlabel=unknown.measure, ylabel="share")
    axes.yaxis.set_major_formatter(_PERCENT)
    axes.set_ylim(0, 1.25 * max(0.01, *unknown.known, *unknown.unknown))
    _legend(axes, loc="upper center")
    return figure


def draw_pareto(points: Sequence[ParetoPoint], *, cost: str) -> Figure:
    """Accuracy against cost, with 95 % intervals; the line joins the models that no other beats in both.

    Args:
        points: the models, of positive cost.
        cost: what it is, such as `network, ms a photo`.
    """
    figure, axes = _figure()
    front = sorted((p for p in points if p.is_best), key=lambda p: p.cost)
    axes.plot([p.cost for p in front], [p.accuracy.value for p in front], color=_GREEN, linewidth=1.4, zorder=1)
    for point in points:
        colour, mark = (_GREEN, "o") if point.is_best else (_ORANGE, "X")
        low, high = np.nan_to_num([point.accuracy.low, point.accuracy.high], nan=point.accuracy.value)
        axes.plot([point.cost] * 2, [low, high], color=colour, linewidth=1.1, alpha=0.6, zorder=2)
        axes.scatter([point.cost], [point.accuracy.value], s=44, color=colour, marker=mark, zorder=3)
    costs = np.array([p.cost for p in points])
    low, high = float(costs.min()) / 1.35, float(costs.max()) * 1.35
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    axes.xaxis.set_major_locator(FixedLocator(_round_values(low, high)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set(xlabel=cost, ylabel="accuracy")
    axes.yaxis.set_major_formatter(_PERCENT)
    _name_points(axes, points)
    return figure


def _name_points(axes: Any, points: Sequence[ParetoPoint]) -> None:
    """Write the names beside the marks: to the side that has room, and moved up where two would overlap."""
    low, high = np.log(axes.get_xlim())
    bottom, top = axes.get_ylim()
    taken: list[tuple[float, float]] = []
    for point in sorted(points, key=lambda p: -p.accuracy.value):
        x = (np.log(point.cost) - low) / (high - low)
        y = (point.accuracy.value - bottom) / (top - bottom)
        while any(abs(x - a) < 0.35 and abs(y - b) < 0.055 for a, b in taken):
            y -= 0.01
        taken.append((x, y))
        is_left = x > 0.55
        axes.annotate(
            point.name if len(point.name) <= 24 else f"{point.name[:23]}…", (x, y), xycoords="axes fraction",
            xytext=(-7 if is_left else 7, 0), textcoords="offset points", ha="right" if is_left else "left",
            va="center", fontsize=_FONT, color=_INK, parse_math=False,
        )  # fmt: skip


def _round_values(low: float, high: float) -> list[float]:
    """Round numbers between `low` and `high`, about evenly apart on a logarithmic axis; finer where few would fit."""
    powers = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    found: list[float] = []
    for steps in ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 4, 5, 7), tuple(np.arange(10, 100) / 10)):
        found = sorted(m * 10.0**p for p in powers for m in steps if low <= m * 10.0**p <= high)
        if len(found) >= 3:
            break
    return found[:: max(1, len(found) // 6)]


def _figure() -> tuple[Figure, Any]:
    figure = _canvas(_WIDTH, _HEIGHT)
    axes = figure.add_subplot()
    _style(axes)
    return figure, axes


def _canvas(width: float, height: float) -> Figure:
    return Figure(figsize=(width, height), layout="constrained", dpi=110)


def _style(axes: Any) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(_SOFT)
    axes.tick_params(colors=_SOFT, labelsize=_FONT, labelcolor=_INK)
    axes.grid(color=_LINE, linewidth=0.8)
    axes.set_axisbelow(True)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set(color=_INK, fontsize=_FONT)


def _legend(axes: Any, *, loc: str) -> None:
    legend = axes.legend(loc=loc, frameon=False, fontsize=_FONT, labelcolor=_INK)
    legend.set_zorder(5)
