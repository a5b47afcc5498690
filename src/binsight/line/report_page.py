"""A line's report as one HTML file that needs nothing else."""

from __future__ import annotations

import math

from binsight.line.report import LineReport
from binsight.pages import render_template

__all__ = ["render_page"]

_STEP = 0.05  # the axis begins at a multiple of 5 %


def render_page(report: LineReport) -> str:
    """The page, in the style of the reports on models; light or dark as the reader's machine is.

    Raises:
        MissingExtraError: the template engine is not installed.
    """
    lanes = [lane for number, lane in report.lanes.items() if number and lane.target.audited]
    ends = [end for lane in lanes for end in (lane.target.low, lane.purity_target) if end is not None]
    scale = min([1 - _STEP, *(math.floor(end / _STEP) * _STEP for end in ends)])
    return render_template(
        "report.html.j2",
        "line",
        extra="line",
        filters={"percent": _percent, "local": lambda at: f"{at.astimezone():%Y-%m-%d %H:%M}"},
        report=report,
        bars=lanes,
        place=lambda share: round(100 * (share - scale) / (1 - scale), 2),
        scale=scale,
        hours=report.by("at"),
    )


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"
