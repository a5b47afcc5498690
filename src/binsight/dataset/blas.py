"""The threads of the matrix library, which must not come on top of our own."""

from __future__ import annotations

import importlib
import importlib.util
from contextlib import AbstractContextManager, nullcontext

__all__ = ["one_blas_thread"]


def one_blas_thread() -> AbstractContextManager[object]:
    """Keeps the matrix library from starting threads inside each of ours, where threadpoolctl is installed.

    On small matrices its threads wait for each other longer than they work: the shortcut check took ten times the CPU.
    """
    if importlib.util.find_spec("threadpoolctl") is None:
        return nullcontext()
    limits: AbstractContextManager[object] = importlib.import_module("threadpoolctl").threadpool_limits(1, "blas")
    return limits
