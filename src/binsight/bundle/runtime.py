"""ONNX Runtime, imported when it is needed, and quiet about its user."""

from __future__ import annotations

import os
from types import ModuleType
from typing import Any

__all__ = ["import_onnxruntime", "open_graph"]


def import_onnxruntime() -> ModuleType:
    """The `onnxruntime` module; the first call takes 0.1 s.

    From 1.29 on its packages collect usage data and send them to Microsoft, unless this variable is set before the
    import. A camera over a belt should not; whoever wants it sets `ORT_DISABLE_TELEMETRY=0`.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime  # noqa: PLC0415

    module: ModuleType = onnxruntime
    return module


def open_graph(graph: bytes) -> Any:
    """A session for what training computes once: on a GPU where ONNX Runtime has one, else in the calling thread.

    Args:
        graph: an ONNX file's content.

    Returns:
        An `onnxruntime.InferenceSession`; its `run` may be called from several threads.
    """
    ort = import_onnxruntime()
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    # In full precision: heads and thresholds are fitted on these numbers, and used with those of a processor.
    wanted = {"CUDAExecutionProvider": {"use_tf32": "0"}, "CPUExecutionProvider": {}}
    providers = [(name, values) for name, values in wanted.items() if name in ort.get_available_providers()]
    return ort.InferenceSession(graph, options, providers=providers)
