"""Lines in Prometheus' terms: `binsight_line_…`, made whenever the metrics are read."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from typing import Any, cast

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from binsight.errors import BinsightError
from binsight.serving.line_port import Line

__all__ = ["LineCollector"]

_log = logging.getLogger("binsight.serving")


class LineCollector(Collector):
    """Asks the lines; one whose ledger is away is only said not to be readable."""

    def __init__(self, lines: Sequence[Line]) -> None:
        self._lines = lines

    def collect(self) -> Iterator[Metric]:
        """All metrics of all lines."""
        figures = {line.name: _figures(line) for line in self._lines}
        readable = GaugeMetricFamily("binsight_line_readable", "1 when the line's ledger can be read.", labels=["line"])
        for name, found in figures.items():
            readable.add_metric([name], float(found is not None))
        yield readable
        yield from _families({name: found for name, found in figures.items() if found is not None})


def _figures(line: Line) -> dict[str, Any] | None:
    try:
        return line.figures()
    except BinsightError as error:
        _log.warning("the metrics of %s cannot be had: %s", line.name, error)
        return None


# Gauges of a whole line; what is not known is left out.
_GAUGES = {
    "up": "1 while the line lives, by its own word or in this program.",
    "state": "PackML's number: 5 suspended, 6 execute, 9 aborted, 11 held.",
    "frame_age_seconds": "Since the newest frame's capture.",
    "ack_rtt_seconds": "From a command to its answer, the last one.",
}


def _families(figures: dict[str, dict[str, Any]]) -> list[Metric]:
    return [
        *_gauges(figures),
        _labelled(CounterMetricFamily, "pieces", "Pieces that have their end.", figures, "lane", "status"),
        _labelled(CounterMetricFamily, "decisions", "With the reason for review.", figures, "decision", "reason"),
        _labelled(CounterMetricFamily, "categories", "Categories of pieces.", figures, "category"),
        _latency(figures),
        _labelled(GaugeMetricFamily, "alarm", "1 while an alarm is on.", figures, "code", key="alarms"),
        _labelled(CounterMetricFamily, "alarms", "How often an alarm came.", figures, "code", key="alarm_counts"),
        _labelled(
            GaugeMetricFamily, "purity", "Share of right pieces in this shift, with its interval.", figures,
            "lane", "bound", key="purities",
        ),
        _labelled(GaugeMetricFamily, "purity_target", "What is wanted.", figures, "lane", key="targets"),
        _labelled(GaugeMetricFamily, "audited", "Pieces of this shift that were audited.", figures, "lane"),
    ]  # fmt: skip


def _labelled(
    family: Callable[..., Any], name: str, text: str, figures: dict[str, dict[str, Any]], *labels: str, key: str = ""
) -> Metric:
    """One sample for each entry of a figure that is a dictionary."""
    metric = family(f"binsight_line_{name}", text, labels=["line", *labels])
    for line, found in figures.items():
        for place, value in found[key or name].items():
            parts = place if isinstance(place, tuple) else (place,)
            metric.add_metric([line, *("none" if part is None else str(part) for part in parts)], value)
    return cast("Metric", metric)


def _gauges(figures: dict[str, dict[str, Any]]) -> Iterator[Metric]:
    for name, text in _GAUGES.items():
        metric = GaugeMetricFamily(f"binsight_line_{name}", text, labels=["line"])
        for line, found in figures.items():
            value = found[name.replace("_seconds", "_s")]
            if value is not None:
                metric.add_metric([line], value)
        yield metric
    dropped = CounterMetricFamily("binsight_line_frames_dropped", "Frames that a newer one overtook.", labels=["line"])
    for line, found in figures.items():
        if found["frames_dropped"] is not None:
            dropped.add_metric([line], found["frames_dropped"])
    yield dropped


def _latency(figures: dict[str, dict[str, Any]]) -> Metric:
    text = "From the capture of the deciding frame to the command, or to the decision."
    latency = HistogramMetricFamily("binsight_line_latency_seconds", text, labels=["line"])
    for line, found in figures.items():
        counts, bounds, total_s = found["latency_s"]
        buckets = list(zip([*map(str, bounds), "+Inf"], map(float, accumulate(counts)), strict=True))
        latency.add_metric([line], buckets, total_s)
    return latency
