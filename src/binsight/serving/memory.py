"""Memory given back to the system, where its C library can."""

from __future__ import annotations

import ctypes
import gc
import sys
from contextlib import suppress

__all__ = ["keep_heaps_few", "release_memory"]

_M_ARENA_MAX = -8  # of glibc's malloc.h
_M_MMAP_THRESHOLD = -3
_HEAPS = 2
_LARGE = 1 << 20


def keep_heaps_few() -> None:
    """Let all threads share two heaps, and keep large pieces out of them, so that they are given back when freed.

    glibc makes up to eight heaps per core, and each keeps what photos left behind in it. To be called before the
    threads begin.
    """
    if sys.platform == "linux":
        with suppress(AttributeError, OSError):  # another C library than glibc
            library = ctypes.CDLL(None)
            library.mallopt(_M_ARENA_MAX, _HEAPS)
            library.mallopt(_M_MMAP_THRESHOLD, _LARGE)


def release_memory() -> None:
    """Return freed memory to the system: after loading a model, tens of megabytes that nothing needs any more."""
    gc.collect()
    if sys.platform == "linux":
        with suppress(AttributeError, OSError):  # another C library than glibc
            ctypes.CDLL(None).malloc_trim(0)
