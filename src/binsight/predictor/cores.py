"""How much of the machine this process may use."""

from __future__ import annotations

import importlib
import importlib.util
import os
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

__all__ = ["available_cores", "one_blas_thread"]

_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def available_cores(*, quota: Path = _QUOTA) -> int:
    """How many cores this process may use, at least 1: those it is bound to, less where a container allows fewer.

    Args:
        quota: the file in which Linux gives a control group its share: `max 100000`, or microseconds of computing in
            every period of so many microseconds, as in `150000 100000` for one and a half cores.

    References:
        Linux, Documentation/admin-guide/cgroup-v2.rst, "CPU Interface Files".
    """
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        share, period = (int(part) for part in quota.read_text(encoding="ascii").split())
    except (OSError, ValueError):  # no such file, or `max`: no limit
        return bound
    # Rounded up: half a core is better used by a thread than left alone.
    return max(1, min(bound, -(-share // period)))


def one_blas_thread() -> AbstractContextManager[object]:
    """Keeps the matrix library from starting threads inside each of ours, where threadpoolctl is installed.

    On small matrices its threads wait for each other longer than they work: the shortcut check took ten times the CPU.
    """
    if importlib.util.find_spec("threadpoolctl") is None:
        return nullcontext()
    limits: AbstractContextManager[object] = importlib.import_module("threadpoolctl").threadpool_limits(1, "blas")
    return limits
