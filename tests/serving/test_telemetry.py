"""Metrics and the access log, each on its own."""

from __future__ import annotations

import io
import json

from binsight.serving.telemetry import AccessLog, Telemetry


def test_only_the_version_in_place_is_shown():
    """After a swap the old version's series is gone."""
    telemetry = Telemetry()
    telemetry.model_change("a", "1", "0123456789abcdef", "loaded")
    telemetry.model_change("a", "2", "fedcba9876543210", "loaded")
    telemetry.model_change("b", "1", "0123456789abcdef", "loaded")
    text = telemetry.render().decode()
    assert 'binsight_model_info{digest="fedcba987654",model="a",version="2"} 1.0' in text
    assert 'model="a",version="1"}' not in text
    assert 'binsight_model_changes_total{model="a",result="loaded"} 2.0' in text


def test_a_gauge_is_read_when_the_metrics_are():
    """Not when it was set up."""
    depth = 0
    telemetry = Telemetry()
    telemetry.watch("depth", "How deep.", lambda: depth)
    depth = 7
    assert "binsight_depth 7.0" in telemetry.render().decode()


def test_two_servers_in_one_process_count_apart():
    """Nothing is shared behind their backs."""
    first, second = Telemetry(), Telemetry()
    first.reject("empty")
    assert "empty" not in second.render().decode()


def test_methods_that_a_client_makes_up_count_as_one():
    """They would be a series each."""
    telemetry = Telemetry()
    telemetry.request("none", "A", 405, 0.1)
    telemetry.request("none", "B", 405, 0.1)
    assert 'binsight_requests_total{method="other",route="none",status="405"} 2.0' in telemetry.render().decode()


def test_a_log_line_is_one_line():
    """Whatever is in it."""
    stream = io.StringIO()
    AccessLog(stream).write({"path": "a\nb\u2028c"})
    assert stream.getvalue().count("\n") == 1
    assert json.loads(stream.getvalue()) == {"path": "a\nb\u2028c"}
