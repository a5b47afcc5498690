"""Times and sizes."""

from __future__ import annotations

import pytest
from tests.evaluation.photos import save

from binsight.bundle import load_bundle
from binsight.evaluation.speed import measure_speed


def test_sizes_are_those_of_the_files(shared_bundle, tmp_path):
    """The network's file, and all that the manifest lists."""
    bundle = load_bundle(shared_bundle)
    found = measure_speed(bundle, [save(tmp_path / "a.png", "red")])
    assert found.model_bytes == (shared_bundle / "model.onnx").stat().st_size
    assert found.bundle_bytes == found.model_bytes + (shared_bundle / "card.md").stat().st_size
    assert found.photos == 1
    assert 0 < found.engine_ms <= found.engine_p95_ms == pytest.approx(found.engine_ms)
    assert found.decode_ms > 0
