"""ONNX Runtime, imported when it is needed, and quiet about its user."""

from __future__ import annotations

import os
from types import ModuleType

__all__ = ["import_onnxruntime"]


def import_onnxruntime() -> ModuleType:
    """The `onnxruntime` module; the first call takes 0.1 s.

    From 1.29 on its packages collect usage data and send them to Microsoft, unless this variable is set before the
    import. A camera over a belt should not; whoever wants it sets `ORT_DISABLE_TELEMETRY=0`.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime  # noqa: PLC0415

    module: ModuleType = onnxruntime
    return module
