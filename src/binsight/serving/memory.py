"""Memory given back to the system, where its C library can."""

from __future__ import annotations

import ctypes
import gc
import sys
from contextlib import suppress

__all__ = ["release_memory"]


def release_memory() -> None:
    """Return freed memory to the system: after loading a model, tens of megabytes that nothing needs any more."""
    gc.collect()
    if sys.platform == "linux":
        with suppress(AttributeError, OSError):  # another C library than glibc
            ctypes.CDLL(None).malloc_trim(0)
