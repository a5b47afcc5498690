"""One HTML file that needs nothing else: no script, no network, no other file."""

from __future__ import annotations

import math
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

from binsight.errors import MissingExtraError
from binsight.evaluation.measures import Measure
from binsight.pages import render_template
from binsight.probability.intervals import Interval

__all__ = ["REASONS", "format_interval", "format_range", "format_value", "percent", "render_page", "require_libraries"]

REASONS = {
    "unfamiliar": "looks unfamiliar",
    "low_confidence": "low confidence",
    "heads_disagree": "the two heads disagree",
}


def require_libraries(*, plots: bool = True) -> None:
    """Make sure that a page can be written, before hours are spent on what would be in it.

    Args:
        plots: whether it has charts.

    Raises:
        MissingExtraError: the template engine or the plotting library is not installed.
    """
    needed = ("jinja2", "matplotlib") if plots else ("jinja2",)
    if any(find_spec(name) is None for name in needed):
        raise MissingExtraError("an HTML report", "data")


def render_page(template: str, **values: Any) -> str:
    """A template of this package, filled in; text from photos' names is escaped.

    Raises:
        MissingExtraError: the template engine is not installed.
    """
    filters: dict[str, Callable[..., Any]] = {
        "percent": percent,
        "range": format_range,
        "reason": lambda r: REASONS.get(r, r),
    }
    return render_template(template, "evaluation", extra="data", filters=filters, **values)


def percent(share: float) -> str:
    """`0.9734` as `97.3 %`; two digits after the point where one would hide what is missing from 100 %."""
    if math.isnan(share):
        return "-"
    digits = 2 if 0.995 <= share < 1 or 0 < share < 0.005 else 1
    text = f"{100 * share:.{digits}f} %"
    return "100 %" if text in {"100.0 %", "100.00 %"} else text


def format_value(measure: Measure, value: float) -> str:
    """A figure as people read it: a share in percent, a number with three digits."""
    if measure.unit == "share":
        return percent(value)
    return _number(value) + (f" {measure.unit}" if measure.unit != "number" else "")


def format_interval(measure: Measure, interval: Interval) -> str:
    """The bounds as `96.1 to 98.4 %`; empty where there are none."""
    if math.isnan(interval.low) or math.isnan(interval.high):
        return ""
    if measure.unit == "share":
        return format_range(interval)
    return f"{_number(interval.low)} to {_number(interval.high)}"


def _number(value: float) -> str:
    return f"{value:.4f}" if abs(value) < 0.1 else f"{value:.3g}"


def format_range(interval: Interval) -> str:
    """The bounds of a share as `96.1 to 98.4 %`; empty where there are none."""
    if math.isnan(interval.low):
        return ""
    low, high = percent(interval.low), percent(interval.high)
    return f"{low.removesuffix(' %')} to {high}"
