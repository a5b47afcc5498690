"""Pictures of a search for settings: each function takes trials and returns a figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from binsight.training.heads.search import TrialRecord

__all__ = ["draw_choice", "draw_curve", "draw_importance"]

# Paul Tol's muted scheme, which the colour-blind can tell apart (SRON technical note EPS 09-002, issue 3.2).
_COLOURS = ("#332288", "#CC6677", "#44AA99", "#DDCC77", "#88CCEE", "#AA4499", "#117733", "#999933", "#882255")
_MARKS = ("o", "s", "^", "D", "v", "P", "X", "*")
_GREY = "#555555"
_WIDTH, _HEIGHT, _DPI = 7.0, 4.2, 120
_PERCENT = FuncFormatter(lambda value, _: f"{100 * value:.4g} %")


def draw_curve(trials: Sequence[TrialRecord], name: str, *, by: str | None = None, log: bool = False) -> Figure:
    """Accuracy against a setting, a point for each trial; hollow ones were stopped early.

    The line joins the best trial of every sixth of the range: what the setting allows, given good others.

    Args:
        trials: at least one.
        name: of a setting that is a number.
        by: another setting, told by colour and shape.
        log: draw the setting by ratio.
    """
    figure, axes = _figure()
    groups = sorted({trial.params[by] for trial in trials}) if by else [None]
    for position, group in enumerate(groups):
        own = [t for t in trials if by is None or t.params[by] == group]
        colour, mark = _COLOURS[position % len(_COLOURS)], _MARKS[position % len(_MARKS)]
        label = None if by is None else f"{_title(by)} {group:g}"
        for pruned in (False, True):
            some = [t for t in own if t.pruned is pruned]
            axes.scatter(
                [t.params[name] for t in some], [t.value for t in some], marker=mark, edgecolors=colour, s=34,
                facecolors="none" if pruned else colour, label=None if pruned else label, zorder=3,
            )  # fmt: skip
    best = _best_by_part([t for t in trials if not t.pruned], name, log=log)
    axes.plot([t.params[name] for t in best], [t.value for t in best], color=_GREY, linewidth=1, zorder=2)
    axes.set_xscale("log" if log else "linear")
    axes.set_xlabel(_title(name))
    if by:
        axes.legend(frameon=False, fontsize=8)
    return figure


def draw_choice(trials: Sequence[TrialRecord], name: str) -> Figure:
    """Accuracy for each value of a setting, a point for each trial, a bar at the best."""
    figure, axes = _figure()
    values = sorted({trial.params[name] for trial in trials})
    for place, value in enumerate(values):
        own = [t for t in trials if t.params[name] == value]
        spread = np.linspace(-0.16, 0.16, len(own)) if len(own) > 1 else [0.0]
        for shift, trial in zip(spread, own, strict=True):
            face = "none" if trial.pruned else _COLOURS[0]
            axes.scatter(place + shift, trial.value, s=30, edgecolors=_COLOURS[0], facecolors=face, zorder=3)
        best = max(trial.value for trial in own)
        axes.hlines(best, place - 0.3, place + 0.3, color=_COLOURS[1], linewidth=2, zorder=2)
    axes.set_xticks(range(len(values)), [f"{value:g}" if value else "none" for value in values])
    axes.set_xlabel(_title(name))
    return figure


def draw_importance(importance: Mapping[str, float]) -> Figure:
    """How much of the accuracy's variance each setting explains, a bar for each."""
    figure, axes = _figure(height=0.9 + 0.5 * len(importance))
    names = sorted(importance, key=lambda name: importance[name])
    axes.barh(range(len(names)), [importance[name] for name in names], color=_COLOURS[2])
    axes.set_yticks(range(len(names)), [_title(name) for name in names])
    axes.xaxis.set_major_formatter(_PERCENT)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda place, _: _title(names[round(place)])))
    axes.set_ylabel("")
    axes.set_xlabel("share of the accuracy's variance")
    return figure


def _best_by_part(trials: Sequence[TrialRecord], name: str, *, log: bool, parts: int = 6) -> list[TrialRecord]:
    if not trials:
        return []
    values = np.array([trial.params[name] for trial in trials], dtype=float)
    places = np.log(np.maximum(values, 1e-12)) if log else values
    span = places.max() - places.min()
    part = (
        np.minimum(((places - places.min()) / span * parts).astype(int), parts - 1) if span else np.zeros(len(values))
    )
    best = [
        max((t for t, p in zip(trials, part, strict=True) if p == k), key=lambda t: t.value) for k in np.unique(part)
    ]
    return sorted(best, key=lambda trial: trial.params[name])


def _figure(height: float = _HEIGHT) -> tuple[Figure, Any]:
    figure = Figure(figsize=(_WIDTH, height), dpi=_DPI, layout="constrained")
    axes = figure.subplots()
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.yaxis.set_major_formatter(_PERCENT)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=7))
    axes.set_ylabel("accuracy on the judging photos")
    axes.grid(axis="y", color="#dddddd", linewidth=0.6, zorder=0)
    axes.set_axisbelow(True)
    return figure, axes


def _title(name: str) -> str:
    return name.replace("_", " ")
