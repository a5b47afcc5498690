"""Pictures of a data set, drawn with matplotlib: each function takes numbers and returns a figure.

Colours are Paul Tol's muted scheme, which the colour-blind can tell apart (https://sronpersonalpages.nl/~pault/, SRON
technical note EPS 09-002, issue 3.2); beyond nine classes the marks differ in shape too.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import patheffects
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullFormatter, NullLocator
from numpy.typing import NDArray

__all__ = ["draw_boxes", "draw_counts", "draw_map", "draw_means", "draw_samples", "draw_sizes"]

COLOURS = ("#332288", "#88CCEE", "#44AA99", "#DDCC77", "#CC6677", "#AA4499", "#117733", "#999933", "#882255")
_MARKS = ("o", "s", "^", "D", "v", "P", "X", "*")
_GREY = "#555555"
_FONT = 10
_MAX_ROWS = 60
_ROW_INCHES = 0.36
_WIDTH_INCHES = 10.0


def draw_counts(classes: Sequence[str], counts: Mapping[str, Sequence[int]]) -> Figure:
    """How many photos each class has, a bar for each split; the number stands at its end.

    Args:
        classes: the titles.
        counts: split → photos for each class.
    """
    order = sorted(range(len(classes)), key=lambda i: -sum(values[i] for values in counts.values()))
    order = order[:_MAX_ROWS]
    bars = len(counts)
    figure, axes = _figure(max(2.2, 1.2 + len(order) * max(_ROW_INCHES, 0.21 * bars)))
    height = 0.82 / bars
    longest = max((max(values) for values in counts.values()), default=1) or 1
    for k, (split, values) in enumerate(counts.items()):
        places = np.arange(len(order)) + (k - (bars - 1) / 2) * height
        axes.barh(places, [values[i] for i in order], height * 0.92, color=_split_colour(split, k), label=split)
        for place, i in zip(places, order, strict=True):
            axes.text(values[i] + longest * 0.008, place, f"{values[i]:,}", va="center", fontsize=_FONT - 1)
    _name_rows(axes, [classes[i] for i in order])
    axes.set_xlim(0, longest * 1.12)
    axes.set_xlabel("photos")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=7))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:,.0f}"))
    if bars > 1:
        axes.legend(frameon=False, loc="lower right", fontsize=_FONT)
    return figure


def draw_sizes(widths: NDArray[np.int64], heights: NDArray[np.int64]) -> Figure:
    """Width against height of all photos; the darker a cell, the more photos have about that size."""
    figure, axes = _figure(6.4, width=7.6)
    low = 0.85 * min(widths.min(), heights.min())
    high = 1.18 * max(widths.max(), heights.max())
    edges = np.geomspace(low, high, 60)
    cells, _, _ = np.histogram2d(widths, heights, bins=(edges, edges))
    shown = np.ma.masked_equal(cells.T, 0)
    from matplotlib.colors import LogNorm  # noqa: PLC0415 - only this plot needs it

    mesh = axes.pcolormesh(edges, edges, shown, cmap="cividis_r", norm=LogNorm(1, max(2, cells.max())), rasterized=True)
    for name, ratio in (("1:2", 0.5), ("3:4", 0.75), ("1:1", 1.0), ("4:3", 4 / 3), ("2:1", 2.0)):
        axes.plot([low, high], [low / ratio, high / ratio], color=_GREY, linewidth=0.7, linestyle=":", zorder=0)
        x, y = (high, high / ratio) if ratio >= 1 else (high * ratio, high)
        axes.annotate(
            name, (x, y), xytext=(4, 0) if ratio > 1 else (0, 4), textcoords="offset points", fontsize=_FONT - 2,
            color=_GREY, va="center" if ratio > 1 else "bottom", ha="left" if ratio > 1 else "center",
        )  # fmt: skip
    axes.set(xscale="log", yscale="log", xlim=(low, high), ylim=(low, high), aspect="equal")
    for axis, name in ((axes.xaxis, "width"), (axes.yaxis, "height")):
        axis.set_major_locator(FixedLocator(_round_values(low, high)))
        axis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:,.0f}"))
        axis.set_minor_locator(NullLocator())
        axis.set_minor_formatter(NullFormatter())
        axis.set_label_text(f"{name}, pixels")
    bar = figure.colorbar(mesh, ax=axes, shrink=0.8, pad=0.09)
    bar.set_label("photos")
    bar.ax.yaxis.set_major_locator(FixedLocator(_round_values(1, max(2, cells.max()))))
    bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:,.4g}"))
    bar.ax.yaxis.set_minor_locator(NullLocator())
    return figure


def draw_boxes(
    classes: Sequence[str],
    values: Sequence[NDArray[np.float64]],
    *,
    label: str,
    ticks: Mapping[float, str] | None = None,
) -> Figure:
    """A box for each class: middle half, median, whiskers to the 1st and 99th percentile, the rest as points.

    Args:
        classes: the titles.
        values: of each class, positive; drawn on a logarithmic axis.
        label: what the values are.
        ticks: value → what to write at it; by default round numbers.
    """
    rows = [i for i in range(len(classes)) if len(values[i])][:_MAX_ROWS]
    figure, axes = _figure(max(2.2, 1.3 + _ROW_INCHES * len(rows)))
    drawn = [values[i] for i in rows]
    axes.boxplot(
        drawn, orientation="horizontal", whis=(1, 99), widths=0.62, patch_artist=True, positions=range(len(rows)),
        boxprops={"facecolor": "#88CCEE", "edgecolor": _GREY}, medianprops={"color": "black", "linewidth": 1.6},
        whiskerprops={"color": _GREY}, capprops={"color": _GREY},
        flierprops={"marker": ".", "markersize": 4, "markerfacecolor": _GREY, "markeredgecolor": "none", "alpha": 0.5},
    )  # fmt: skip
    _name_rows(axes, [classes[i] for i in rows])
    axes.set_xscale("log")
    low, high = min(v.min() for v in drawn), max(v.max() for v in drawn)
    low, high = low / 1.08, high * 1.08
    marks = {v: t for v, t in (ticks or {v: f"{v:g}" for v in _round_values(low, high)}).items() if low <= v <= high}
    axes.set_xlim(low, high)
    axes.xaxis.set_major_locator(FixedLocator(list(marks)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: marks.get(v, "")))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel(label)
    axes.grid(axis="x", color="#dddddd", linewidth=0.7)
    axes.set_axisbelow(True)
    return figure


def draw_samples(classes: Sequence[str], rows: Sequence[Sequence[NDArray[np.uint8]]]) -> Figure:
    """Some photos of each class in a row; each photo is `(s, s, 3)` uint8."""
    shown = [(title, photos) for title, photos in zip(classes, rows, strict=True) if photos][:_MAX_ROWS]
    columns = max((len(photos) for _, photos in shown), default=1)
    side, gap, left = 1.12, 0.05, 1.75
    height = len(shown) * (side + gap) + gap
    width = left + columns * (side + gap) + gap
    figure = _canvas(width, height)
    for r, (title, photos) in enumerate(shown):
        bottom = height - (r + 1) * (side + gap)
        figure.text(
            (left - 0.12) / width, (bottom + side / 2) / height, _wrap(title), ha="right", va="center",
            fontsize=_FONT, parse_math=False,
        )  # fmt: skip
        for c, photo in enumerate(photos):
            place = ((left + c * (side + gap)) / width, bottom / height, side / width, side / height)
            axes = figure.add_axes(place)
            axes.imshow(photo, interpolation="antialiased")
            axes.set_axis_off()
    return figure


def draw_means(classes: Sequence[str], means: NDArray[np.uint8], counts: Sequence[int]) -> Figure:
    """The mean photo of each class, `(C, s, s, 3)` uint8, with how many photos it is made of."""
    shown = [i for i in range(len(classes)) if counts[i]][:_MAX_ROWS]
    columns = min(4, max(1, len(shown)))
    lines = -(-len(shown) // columns)
    side, gap, text = 2.3, 0.15, 0.5
    width, height = columns * (side + gap) + gap, max(1, lines) * (side + text + gap)
    figure = _canvas(width, height)
    for k, i in enumerate(shown):
        left, bottom = gap + (k % columns) * (side + gap), height - (k // columns + 1) * (side + text + gap) + gap
        axes = figure.add_axes((left / width, bottom / height, side / width, side / height))
        axes.imshow(means[i], interpolation="bilinear")
        axes.set_axis_off()
        axes.set_title(f"{_shorten(classes[i])}\n{counts[i]:,} photos", fontsize=_FONT, parse_math=False)
    return figure


def draw_map(classes: Sequence[str], labels: NDArray[np.int64], places: NDArray[np.float32]) -> Figure:
    """Every photo as a mark at its place, coloured by class; each class's name stands where it is densest.

    Args:
        classes: the titles.
        labels: `(n,)`, positions in `classes`.
        places: `(n, 2)`.
    """
    figure, axes = _figure(9.2, width=_WIDTH_INCHES)
    axes.spines[:].set_visible(False)
    size = float(np.clip(40_000 / max(1, len(places)), 9, 40))
    present = [c for c in range(len(classes)) if (labels == c).any()]
    # Mixed, so that no class lies on top of all others.
    order = np.random.default_rng(0).permutation(len(places))
    for c in present:
        mine = order[labels[order] == c]
        axes.scatter(
            places[mine, 0], places[mine, 1], s=size, color=COLOURS[c % len(COLOURS)],
            marker=_MARKS[(c // len(COLOURS)) % len(_MARKS)], linewidths=0.15, edgecolors="white",
            label=_shorten(classes[c]),
        )  # fmt: skip
    for c, (x, y) in zip(
        present, _label_places(places, labels, present, [len(_shorten(t)) for t in classes]), strict=True
    ):
        text = axes.text(
            x, y, _shorten(classes[c]), ha="center", va="center", fontsize=_FONT + 1, weight="bold", parse_math=False
        )
        text.set_path_effects([patheffects.withStroke(linewidth=3.5, foreground="white")])
    axes.set(xticks=[], yticks=[], aspect="equal")
    axes.margins(0.04)
    handles, names = axes.get_legend_handles_labels()
    legend = figure.legend(
        handles, names, loc="outside lower center", ncols=min(4, len(present)), frameon=False, fontsize=_FONT,
        markerscale=float(np.sqrt(60 / size)),
    )  # fmt: skip
    for entry in legend.get_texts():
        entry.set_parse_math(False)
    return figure


def _label_places(
    places: NDArray[np.float32], labels: NDArray[np.int64], present: Sequence[int], letters: Sequence[int]
) -> NDArray[np.float64]:
    """For each class the middle of its densest part, moved apart where two would overlap: `(c, 2)`."""
    cells = _cells(places)
    found = np.array([_densest(places[labels == c], cells[labels == c]) for c in present], np.float64)
    span = float(np.ptp(places, axis=0).max()) or 1.0
    # In the font and size of the plot, measured on a picture of it.
    letter, line = 0.0145 * span, 0.035 * span
    for _ in range(60):
        moved = False
        for a in range(len(found)):
            for b in range(a):
                gap = found[a] - found[b]
                apart = letter * (letters[present[a]] + letters[present[b]]) / 2
                if abs(gap[0]) < apart and abs(gap[1]) < line:
                    push = (line - abs(gap[1])) / 2 + 1e-3 * span
                    direction = 1.0 if gap[1] >= 0 else -1.0
                    found[a, 1] += direction * push
                    found[b, 1] -= direction * push
                    moved = True
        if not moved:
            break
    return found


def _cells(places: NDArray[np.float32]) -> NDArray[np.int64]:
    """In which of 12 x 12 cells of the whole map each point lies: `(n, 2)`."""
    low, span = places.min(axis=0), np.maximum(np.ptp(places, axis=0), 1e-9)
    cells: NDArray[np.int64] = np.minimum(12 * (places - low) / span, 11).astype(np.int64)
    return cells


def _densest(points: NDArray[np.float32], cells: NDArray[np.int64]) -> NDArray[np.float64]:
    """The mean of the points in one cell: a full one with full ones around it."""
    counts = np.zeros((14, 14), np.int64)
    np.add.at(counts, (cells[:, 0] + 1, cells[:, 1] + 1), 1)
    around = sum(counts[1 + x : 13 + x, 1 + y : 13 + y] for x in (-1, 0, 1) for y in (-1, 0, 1))
    own = counts[1:13, 1:13]
    best = np.unravel_index(int(np.where(own > 0, around + 3 * own, -1).argmax()), own.shape)
    result: NDArray[np.float64] = points[(cells == np.array(best)).all(axis=1)].mean(axis=0, dtype=np.float64)
    return result


def _figure(height: float, *, width: float = _WIDTH_INCHES) -> tuple[Figure, Any]:
    figure = _canvas(width, height, layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _canvas(width: float, height: float, *, layout: Any = None) -> Figure:
    return Figure(figsize=(width, height), layout=layout, dpi=110, facecolor="white")


def _name_rows(axes: Any, names: Sequence[str]) -> None:
    axes.set_yticks(range(len(names)), [_shorten(n) for n in names], fontsize=_FONT, parse_math=False)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)


def _split_colour(split: str, position: int) -> str:
    known = {"train": "#332288", "val": "#44AA99", "test": "#DDCC77", "photos": "#332288"}
    return known.get(split, COLOURS[(position + 4) % len(COLOURS)])


def _round_values(low: float, high: float) -> list[float]:
    """Round numbers between `low` and `high`, about evenly apart on a logarithmic axis; finer where few would fit."""
    powers = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    found: list[float] = []
    for steps in ((1, 10), (1, 2, 5), (1, 1.5, 2, 3, 4, 5, 7)):
        found = [m * 10.0**p for p in powers for m in steps if low <= m * 10.0**p <= high]
        if len(set(found)) >= 4:
            break
    return sorted(set(found))


def _shorten(text: str) -> str:
    return text if len(text) <= 24 else f"{text[:23]}…"


def _wrap(text: str) -> str:
    return "\n".join(textwrap.wrap(_shorten(text), 16)) or text
