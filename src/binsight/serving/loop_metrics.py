"""The closed loop in Prometheus' terms: labels, live accuracy, drift, and the models in the shadow."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from binsight.errors import BinsightError
from binsight.loop.counts import FeatureDrift
from binsight.loop.standing import live_accuracy, read_status
from binsight.serving.keeping import Keeper
from binsight.serving.models import ModelStore
from binsight.serving.shadow import Shadow

__all__ = ["LoopCollector"]

_log = logging.getLogger("binsight.serving")
_FRESH_S: Final = 10.0


class LoopCollector(Collector):
    """Reads the loop when the metrics are read, every ten seconds at most; what cannot be read is left out."""

    def __init__(self, keeper: Keeper, shadow: Shadow | None, store: ModelStore) -> None:
        self._keeper, self._shadow, self._store = keeper, shadow, store
        self._read_at, self._found = -_FRESH_S, list[Metric]()

    def collect(self) -> Iterator[Metric]:
        """All metrics of the loop."""
        if self._shadow is not None:
            yield from _shadow(self._shadow)
        if self._store.names and time.monotonic() - self._read_at >= _FRESH_S:
            self._read_at = time.monotonic()
            try:
                self._found = [_items(self._keeper), *self._of_model()]
            except BinsightError as error:
                _log.warning("the metrics of the loop cannot be had: %s", error)
                self._found = []
        yield from self._found

    def _of_model(self) -> Iterator[Metric]:
        manifest, counts = self._store.get().bundle.manifest, self._keeper.counts
        model = f"{manifest.name} {manifest.version}"
        for watch in counts.drift():
            if watch.model == model:
                cusum = GaugeMetricFamily("binsight_review_cusum", "Of the share sent to review; 8 is an alarm.")
                cusum.add_metric([], watch.sum)
                yield cusum
        for looks in counts.looks():
            if looks.model == model:
                yield from _looks(looks)
        found = live_accuracy(self._keeper.queue, counts, model)
        if found.labelled:
            accuracy = GaugeMetricFamily(
                "binsight_live_accuracy", "Of the model served, by labels, with its 95 % interval.", labels=["bound"]
            )
            for bound in ("low", "value", "high"):
                accuracy.add_metric([bound], getattr(found.overall, bound))
            yield accuracy


def _items(keeper: Keeper) -> Metric:
    status = read_status(keeper.queue)
    items = GaugeMetricFamily("binsight_queue_items", "Photos kept for labelling.", labels=["reason", "state"])
    for state, found in (("open", status.by_reason), ("labelled", status.labelled_by_reason)):
        for reason, count in found.items():
            items.add_metric([reason, state], count)
    return items


def _looks(looks: FeatureDrift) -> Iterator[Metric]:
    text = "How often chance alone makes a week's photos look as strange (p); as binsight loop drift found it."
    chance = GaugeMetricFamily("binsight_feature_drift_p", text, labels=["week"])
    for week, (_, shift) in zip(("last", "before"), looks.weeks, strict=True):
        if shift is not None:
            chance.add_metric([week], shift.p)
    yield chance
    yield GaugeMetricFamily("binsight_feature_drift", "1: both weeks are below .01.", value=looks.noticed)
    at = datetime.fromisoformat(looks.at).timestamp()
    yield GaugeMetricFamily("binsight_feature_drift_at_seconds", "When photos were compared, Unix time.", value=at)


def _shadow(shadow: Shadow) -> Iterator[Metric]:
    total = CounterMetricFamily("binsight_shadow", "Photos for the models in the shadow.", labels=["result"])
    for result, count in sorted(shadow.results.items()):
        total.add_metric([result], count)
    yield total
    for run in shadow.runs:
        if run.trial.kind == "challenge":
            text = "That the challenger is not worse; 20 proves it."
            yield GaugeMetricFamily("binsight_shadow_evidence", text, value=run.standing.evidence)
        else:
            text = "That the new champion is worse; 100 proves it."
            yield GaugeMetricFamily("binsight_rollback_evidence", text, value=run.standing.harm)
