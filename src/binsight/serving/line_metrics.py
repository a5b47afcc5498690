"""Lines in Prometheus' terms: `binsight_line_…`, made whenever the metrics are read."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any

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


def _families(figures: dict[str, dict[str, Any]]) -> list[Metric]:
    pieces = CounterMetricFamily(
        "binsight_line_pieces", "Pieces that have their end.", labels=["line", "lane", "status"]
    )
    latency = HistogramMetricFamily(
        "binsight_line_latency_seconds",
        "From the capture of the deciding frame to the command, or to the decision.",
        labels=["line"],
    )
    age = GaugeMetricFamily("binsight_line_frame_age_seconds", "Since the newest frame's capture.", labels=["line"])
    alarm = GaugeMetricFamily("binsight_line_alarm", "1 while an alarm is on.", labels=["line", "code"])
    alarms = CounterMetricFamily("binsight_line_alarms", "How often an alarm came.", labels=["line", "code"])
    purity = GaugeMetricFamily(
        "binsight_line_purity",
        "Share of right pieces in this shift, with its interval.",
        labels=["line", "lane", "bound"],
    )
    for name, found in figures.items():
        for (lane, status), count in found["pieces"].items():
            pieces.add_metric([name, str(lane), status], count)
        counts, bounds, total_s = found["latency_s"]
        buckets = list(zip([*map(str, bounds), "+Inf"], map(float, accumulate(counts)), strict=True))
        latency.add_metric([name], buckets, total_s)
        if found["frame_age_s"] is not None:
            age.add_metric([name], found["frame_age_s"])
        for code, active in found["alarms"].items():
            alarm.add_metric([name, code], active)
        for code, count in found["alarm_counts"].items():
            alarms.add_metric([name, code], count)
        for (lane, bound), share in found["purities"].items():
            purity.add_metric([name, str(lane), bound], share)
    return [pieces, latency, age, alarm, alarms, purity]
