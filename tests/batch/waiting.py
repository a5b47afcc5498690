"""A worker that never comes to an end."""

from __future__ import annotations

import os
import signal

__all__ = ["wait_for_ever"]


def wait_for_ever(_: object) -> None:
    """Tell the number of the process, and wait."""
    print(os.getpid(), flush=True)
    signal.pause()
