"""Times and sizes."""

from __future__ import annotations

import itertools

import pytest
from tests.evaluation.photos import save

from binsight.bundle import load_bundle
from binsight.evaluation import speed as module
from binsight.evaluation.speed import measure_speed, time_in_turn


def test_runs_take_turns_and_the_median_counts(monkeypatch):
    """With a clock that ticks once a look, every run takes a second, and no run follows itself."""
    clock = itertools.count()
    monkeypatch.setattr(module.time, "perf_counter", lambda: float(next(clock)))
    order: list[str] = []
    times = time_in_turn([lambda: order.append("a"), lambda: order.append("b")])
    assert times == [1000, 1000]
    assert order == ["a", "b"] * 35


def test_sizes_are_those_of_the_files(shared_bundle, tmp_path):
    """The network's file, and all that the manifest lists."""
    bundle = load_bundle(shared_bundle)
    found = measure_speed(bundle, [save(tmp_path / "a.png", "red")])
    assert found.model_bytes == (shared_bundle / "model.onnx").stat().st_size
    assert found.bundle_bytes == found.model_bytes + (shared_bundle / "card.md").stat().st_size
    assert found.photos == 1
    assert 0 < found.engine_ms <= found.engine_p95_ms == pytest.approx(found.engine_ms)
    assert found.decode_ms > 0
