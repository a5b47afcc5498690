"""A comparison of models as one HTML file, or its plot alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from binsight.errors import OutputError
from binsight.evaluation.comparison import Comparison, Pair
from binsight.evaluation.page import percent, render_page, require_libraries
from binsight.files import write_whole
from binsight.fonts import legible
from binsight.pages import printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["describe_pair", "draw_comparison", "render_comparison", "write_plot"]

_SIGNIFICANT = 0.05
_COSTS: dict[str, str] = {"time": "network, ms a photo", "size": "network's file, MB"}

Cost = Literal["time", "size"]


def write_plot(comparison: Comparison, path: str | Path) -> None:
    """Write the Pareto plot, accuracy against time, as PNG or SVG, as the suffix of `path` says.

    Raises:
        OutputError: another suffix, or it cannot be written.
    """
    from binsight.evaluation.svg import save_figure  # noqa: PLC0415 - matplotlib, only for plots

    form = Path(path).suffix.lower().removeprefix(".")
    if form not in {"png", "svg"}:
        raise OutputError(f"expected a plot that ends in .png or .svg, got {path}")
    with legible(printable(e.name) for e in comparison.entries):
        data = save_figure(draw_comparison(comparison, cost="time"), form=form)
    write_whole(path, data)


def draw_comparison(comparison: Comparison, *, cost: Cost) -> Figure:
    """Accuracy against time or size.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    require_libraries()
    from binsight.evaluation.charts import ParetoPoint, draw_pareto  # noqa: PLC0415

    is_time = cost == "time"
    points = [
        ParetoPoint(
            printable(e.name),
            e.engine_ms if is_time else e.model_bytes / 1e6,
            e.accuracy,
            e.is_best_for_time if is_time else e.is_best_for_size,
        )
        for e in comparison.entries
    ]
    return draw_pareto(points, cost=_COSTS[cost])


def render_comparison(comparison: Comparison, *, title: str = "Models compared") -> str:
    """The comparison as HTML."""
    require_libraries()
    from binsight.evaluation.svg import inline_svg  # noqa: PLC0415

    # The page's own fonts are those of who reads it.
    with legible((printable(e.name) for e in comparison.entries), tell=False):
        charts = [
            inline_svg(draw_comparison(comparison, cost=cost), name=cost, label=f"Accuracy against {_COSTS[cost]}")
            for cost in ("time", "size")
        ]
    notes = list(dict.fromkeys(name for e in comparison.entries for name, _ in e.notes))
    return render_page(
        "comparison.html.j2",
        title=title,
        split=comparison.split,
        photos=comparison.photos,
        unreadable=comparison.unreadable,
        note_titles=notes,
        entries=[_entry(e, notes) for e in comparison.entries],
        pairs=[_pair(p) for p in comparison.pairs],
        charts=charts,
    )


def describe_pair(pair: Pair) -> str:
    """One sentence: which is better, or that the difference may be chance."""
    test = pair.test
    if pair.adjusted_p >= _SIGNIFICANT:
        return "no difference beyond chance"
    better, other = (pair.first, pair.second) if test.only_first > test.only_second else (pair.second, pair.first)
    return f"{better} is better than {other}"


def _pair(pair: Pair) -> dict[str, Any]:
    return {
        "pair": pair,
        "first": pair.first,
        "second": pair.second,
        "text": describe_pair(pair),
        "is_sure": pair.adjusted_p < _SIGNIFICANT,
        "p": _p_value(pair.test.p_value),
        "adjusted": _p_value(pair.adjusted_p),
    }


def _p_value(p: float) -> str:
    return f"{p:.2g}" if p >= 1e-4 else "< 0.0001"


def _entry(entry: Any, notes: list[str]) -> dict[str, Any]:
    own = dict(entry.notes)
    return {
        "entry": entry,
        "name": entry.name,
        "megabytes": f"{entry.model_bytes / 1e6:.1f}",
        "milliseconds": f"{entry.engine_ms:.1f}",
        "notes": [percent(own[name]) if name in own else "-" for name in notes],
    }
