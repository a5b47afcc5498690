"""What importing ONNX Runtime through binsight does, and does not do."""

from __future__ import annotations

import os
import subprocess
import sys

import onnxruntime
import pytest

from binsight.bundle.runtime import open_graph

PROGRAM = """
import os, sys
from binsight.predictor import Predictor
Predictor.load(sys.argv[1])
print(os.environ["ORT_DISABLE_TELEMETRY"])
"""


def run(bundle, home, **environment):
    """What a new process with a home of its own prints after it loaded a model."""
    variables = {k: v for k, v in os.environ.items() if not k.startswith(("ORT_", "XDG_"))}
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, str(bundle)],
        check=True,
        capture_output=True,
        text=True,
        env={**variables, "HOME": str(home), **environment},
    ).stdout.strip()


def test_a_loaded_model_leaves_no_trace_in_the_users_home(shared_bundle, tmp_path):
    """No usage data are collected, so no file is kept for sending them."""
    home = tmp_path / "home"
    home.mkdir()
    assert run(shared_bundle, home) == "1"
    assert list(home.rglob("*")) == []


def test_whoever_chose_otherwise_is_left_alone(shared_bundle, tmp_path):
    """A variable that is set already stays as it is."""
    assert run(shared_bundle, tmp_path, ORT_DISABLE_TELEMETRY="0") == "0"


@pytest.mark.parametrize("gpus", [["CUDAExecutionProvider"], []])
def test_what_training_computes_once_is_computed_on_a_gpu_where_there_is_one(monkeypatch, gpus):
    """In full precision, and what the GPU cannot do on the processor."""
    asked = []
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["Azure", *gpus, "CPUExecutionProvider"])
    monkeypatch.setattr(onnxruntime, "InferenceSession", lambda _graph, _options, providers: asked.append(providers))
    open_graph(b"")
    (providers,) = asked
    assert [name for name, _ in providers] == [*gpus, "CPUExecutionProvider"]
    assert dict(providers).get("CUDAExecutionProvider", {"use_tf32": "0"}) == {"use_tf32": "0"}
