"""Charts as SVG inside a page, in the page's own colours and fonts, light or dark."""

from __future__ import annotations

import io
import re
from html import escape

from matplotlib import rc_context
from matplotlib.figure import Figure

from binsight.evaluation.charts import PALETTE

__all__ = ["inline_svg", "save_figure"]

_RULES = (
    # Everything before the element itself, and the style sheet that would hold for the whole page.
    (re.compile(r"^.*?(?=<svg )", re.DOTALL), ""),
    (re.compile(r"<metadata>.*?</metadata>\s*", re.DOTALL), ""),
    (re.compile(r"<style type=\"text/css\">.*?</style>", re.DOTALL), ""),
    (re.compile(r"font: ([\d.]+px) [^;\"]+"), r"font-size: \1"),
    (re.compile(r"font-family: [^;\"]+;? ?"), ""),
)
_SIZE = re.compile(r"<svg ([^>]*?)>", re.DOTALL)
_VIEW_BOX = re.compile(r'viewBox="[^"]+"')


def inline_svg(figure: Figure, *, name: str, label: str) -> str:
    """The figure as an `svg` element that grows with its place.

    Args:
        figure: drawn with the colours of `binsight.evaluation.charts`.
        name: unique in the page; ids begin with it.
        label: what it shows, for those who cannot see it.
    """
    stream = io.StringIO()
    # Text stays text; ids are the same in every run.
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None})
    text = stream.getvalue()
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    for colour, variable in PALETTE.items():
        text = re.sub(re.escape(colour), f"var(--{variable})", text, flags=re.IGNORECASE)
    text = re.sub(r'id="([^"]+)"', rf'id="{name}-\1"', text)
    text = re.sub(r'(href="#|url\(#)', rf"\g<1>{name}-", text)
    box = _VIEW_BOX.search(text)
    opening = f'<svg {box.group(0) if box else ""} role="img" aria-label="{escape(label)}" class="chart">'
    return _SIZE.sub(lambda _: opening, text, count=1)


def save_figure(figure: Figure, *, form: str) -> bytes:
    """The figure as a file of its own on white: `png` or `svg`."""
    stream = io.BytesIO()
    metadata = {"Date": None} if form == "svg" else {"Software": None}
    with rc_context({"svg.hashsalt": "binsight"}):
        figure.savefig(stream, format=form, dpi=160, facecolor="white", metadata=metadata)
    return stream.getvalue()
