"""Real time, as the port `Clock` has it."""

from __future__ import annotations

import datetime as dt
import time

__all__ = ["SystemClock"]


class SystemClock:
    """The machine's steady clock, and its wall clock."""

    def now(self) -> float:
        """Seconds since some fixed moment."""
        return time.monotonic()

    def utc(self) -> dt.datetime:
        """The time of the wall."""
        return dt.datetime.now(dt.UTC)
