"""A job's report: classes, what goes to review, errors by kind, throughput, and whether the camera is strange."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from binsight.batch.job import Job, opened_model
from binsight.batch.status import Span, Status
from binsight.batch.summary import Summary
from binsight.pages import render_template
from binsight.predictor import StreamCheck
from binsight.stores import Store

__all__ = ["describe_camera", "render_report"]

_COLUMNS = 60  # of the chart of throughput
_WIDTH, _HEIGHT = 560, 120


def describe_camera(store: Store, job: Job, summary: Summary) -> str | None:
    """The warning that the photos as a whole look strange to the model; None where they do not.

    Raises:
        JobError: the job's model is missing or another.
    """
    with opened_model(store, job) as bundle:
        check = StreamCheck(bundle.manifest, on_strange="warn")
    return check.warn_of(summary.photos - summary.failed, summary.strange)


def render_report(store: Store, status: Status) -> str:
    """The page, of what is done so far.

    Raises:
        MissingExtraError: the template engine is not installed.
        JobError: the job's model is missing or another.
    """
    job, found = status.job, status.summary
    with opened_model(store, job) as bundle:
        titles = {c.id: c.title for c in bundle.manifest.taxonomy.classes}
    rates = _throughput(status.spans)
    return render_template(
        "batch.html.j2",
        "batch",
        extra="batch",
        filters={"percent": _percent, "number": "{:,}".format, "moment": _moment},
        job=job,
        status=status,
        found=found,
        classified=found.photos - found.failed,
        categories=[(titles[name], number, found.reviewed[name]) for name, number in found.categories.most_common()],
        camera=describe_camera(store, job, found),
        bars=_bars(rates),
        fastest=max(rates, default=0.0),
        size=(_WIDTH, _HEIGHT),
    )


def _throughput(spans: Sequence[Span]) -> list[float]:
    """Photos a second in equal parts of the time from the first photo to the last."""
    if not spans:
        return []
    began, ended = min(s[0] for s in spans), max(s[1] for s in spans)
    width = max((ended - began) / _COLUMNS, 1e-9)
    rates = [0.0] * _COLUMNS
    for start, stop, photos in spans:
        first, last = ((at - began) / width for at in (start, stop))
        for column in range(int(first), min(_COLUMNS, int(last) + 1)):
            share = (min(last, column + 1) - max(first, column)) / max(last - first, 1e-9)
            rates[column] += max(0.0, share) * photos / width
    return rates


def _bars(rates: Sequence[float]) -> list[dict[str, Any]]:
    step, most = _WIDTH / _COLUMNS, max(rates, default=0.0) or 1.0
    heights = [round(_HEIGHT * rate / most, 1) for rate in rates]
    return [{"x": round(i * step, 1), "width": round(step - 1, 1), "height": h} for i, h in enumerate(heights)]


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %" if 0 < share < 0.005 else f"{100 * share:.1f} %"


def _moment(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds).astimezone():%Y-%m-%d %H:%M}"
