"""A line's report as one HTML file that needs nothing else."""

from __future__ import annotations

import math
from importlib import resources
from importlib.util import find_spec
from pathlib import Path

from binsight import __version__
from binsight.errors import MissingExtraError
from binsight.line.report import LineReport

__all__ = ["render_page"]

_STEP = 0.05  # the axis begins at a multiple of 5 %


def render_page(report: LineReport) -> str:
    """The page, in the style of the reports on models; light or dark as the reader's machine is.

    Raises:
        MissingExtraError: the template engine is not installed.
    """
    if find_spec("jinja2") is None:
        raise MissingExtraError("an HTML report", "line")
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # noqa: PLC0415 - only pages need it

    # The frame of the page is that of the other reports. It is read as a file: their code brings much along.
    package = Path(str(resources.files("binsight")))
    folders = [package / "line" / "templates", package / "evaluation" / "templates"]
    environment = Environment(
        loader=FileSystemLoader(folders),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = _percent
    environment.filters["local"] = lambda at: f"{at.astimezone():%Y-%m-%d %H:%M}"
    lanes = [lane for number, lane in report.lanes.items() if number and lane.target.audited]
    ends = [end for lane in lanes for end in (lane.target.low, lane.purity_target) if end is not None]
    scale = min([1 - _STEP, *(math.floor(end / _STEP) * _STEP for end in ends)])
    page = environment.get_template("report.html.j2").render(
        report=report,
        bars=lanes,
        place=lambda share: round(100 * (share - scale) / (1 - scale), 2),
        scale=scale,
        hours=report.by("at"),
        version=__version__,
    )
    return page.replace(" %", "&nbsp;%")


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"
