"""What a server counts and times, for Prometheus, and its access log.

Every label takes values from a fixed set (routes, statuses, codes, configured models, classes of their taxonomies), so
no client can make the number of time series grow.
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any, TextIO

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from binsight.predictor import Prediction

__all__ = ["CONTENT_TYPE", "AccessLog", "Telemetry"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_DIGITS = 12  # of a digest: enough to tell bundles apart, short enough for a label
_METHODS = frozenset({"GET", "HEAD", "POST", "DELETE", "OPTIONS"})
_REQUEST_BUCKETS = (0.005, 0.01, 0.02, 0.035, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_STAGE_BUCKETS = (0.0005, 0.001, 0.002, 0.004, 0.008, 0.015, 0.03, 0.06, 0.12, 0.25, 0.5, 1.0, 2.5, 5.0)


class Telemetry:
    """The metrics of one server, in a registry of their own."""

    def __init__(self) -> None:
        # When a counter was made says nothing, and would double the number of series.
        disable_created_metrics()  # type: ignore[no-untyped-call]  # as the library has it
        self.registry = CollectorRegistry()
        options: dict[str, Any] = {"namespace": "binsight", "registry": self.registry}
        counter: Callable[..., Counter] = partial(Counter, **options)
        histogram: Callable[..., Histogram] = partial(Histogram, **options)
        self._requests = counter("requests", "Requests answered.", ("route", "method", "status"))
        text = "From the first byte read to the answer."
        self._request_s = histogram("request_seconds", text, ("route",), buckets=_REQUEST_BUCKETS)
        text = "Time of one photo in a stage: read, queue, decode, infer, render."
        self._stage_s = histogram("stage_seconds", text, ("stage",), buckets=_STAGE_BUCKETS)
        self._rejects = counter("rejects", "Photos and requests refused, by code.", ("code",))
        self._decisions = counter(
            "decisions", "Decisions, with the reason for review.", ("model", "decision", "reason")
        )
        self._categories = counter("categories", "Predicted categories.", ("model", "category"))
        self._strange = counter("strange_sessions", "Sessions that turned out strange to a model.", ("model",))
        self._reloads = counter("model_changes", "Models put in place, or why one was not.", ("model", "result"))
        self._model_info = Gauge("model_info", "1 for the version in place.", ("model", "version", "digest"), **options)
        self._in_place: dict[str, tuple[str, str]] = {}
        self._options = options
        ProcessCollector(registry=self.registry)
        self._count_request = cache(self._requests.labels)
        self._time_request = cache(self._request_s.labels)
        self._time_stage = cache(self._stage_s.labels)

    def watch(self, name: str, text: str, value: Callable[[], float]) -> None:
        """Show `value()` as a gauge whenever the metrics are read."""
        Gauge(name, text, **self._options).set_function(value)

    def request(self, route: str, method: str, status: int, seconds: float) -> None:
        """A request was answered."""
        method = method if method in _METHODS else "other"
        self._count_request(route, method, str(status)).inc()
        self._time_request(route).observe(seconds)

    def stage(self, name: str, seconds: float) -> None:
        """A photo spent `seconds` in a stage."""
        self._time_stage(name).observe(seconds)

    def reject(self, code: str) -> None:
        """A photo or request was refused."""
        self._rejects.labels(code).inc()

    def prediction(self, model: str, prediction: Prediction) -> None:
        """A photo was classified."""
        self._decisions.labels(model, prediction.decision, prediction.reason or "none").inc()
        self._categories.labels(model, prediction.category).inc()

    def strange_session(self, model: str) -> None:
        """A client's photos have become strange to a model as a whole."""
        self._strange.labels(model).inc()

    def model_change(self, model: str, version: str, digest: str, result: str) -> None:
        """Another bundle is in place as a model; `digest` proves equal bytes, which a version does not."""
        self._reloads.labels(model, result).inc()
        if (old := self._in_place.get(model)) is not None:
            self._model_info.remove(model, *old)
        self._in_place[model] = (version, digest[:_DIGITS])
        self._model_info.labels(model, version, digest[:_DIGITS]).set(1)

    def model_kept(self, model: str, result: str) -> None:
        """A reload left the model in place: its bundle was `refused`, or `kept` out by a rollback, or `busy`."""
        self._reloads.labels(model, result).inc()

    def render(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self.registry)


class AccessLog:
    """Writes one JSON object per line.

    Args:
        stream: where to; None means standard error as it is when a line is written.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def write(self, entry: Mapping[str, Any]) -> None:
        """Write one line; a stream that is gone does not stop the server."""
        line = json.dumps(entry, separators=(",", ":")) + "\n"
        stream = self._stream or sys.stderr
        with self._lock:
            try:
                stream.write(line)
                stream.flush()
            except (OSError, ValueError):
                return
