"""Another machine's milliseconds on our clock."""

from __future__ import annotations

from collections import deque

__all__ = ["TimeOffset"]

_WINDOW_S = 30.0
_RANGE_MS = 2**32  # a PLC's counter of milliseconds wraps here


class TimeOffset:
    """Maps a sender's time stamps to our clock by the message that travelled fastest.

    A message arrives `offset + delay` after its stamp; delay is never negative, so the smallest difference of the last
    30 seconds is the best guess of the offset, and the jitter of the network does not move readings about.
    """

    def __init__(self) -> None:
        self._differences: deque[tuple[float, float]] = deque()  # (received, difference), differences rising
        self._last_ms: float | None = None
        self._wrapped_ms = 0.0

    def to_ours(self, stamp_ms: float, received_s: float) -> float:
        """When, on our clock, the sender made its stamp.

        Args:
            stamp_ms: the sender's clock in milliseconds; may wrap at 2³².
            received_s: when the message came, on our clock.
        """
        if self._last_ms is not None and stamp_ms < self._last_ms - _RANGE_MS / 2:
            self._wrapped_ms += _RANGE_MS
        elif self._last_ms is not None and abs(stamp_ms - self._last_ms) > 60_000:
            self._differences.clear()  # the sender's clock was set anew
        self._last_ms = stamp_ms
        stamp_s = (stamp_ms + self._wrapped_ms) / 1000
        difference = received_s - stamp_s
        while self._differences and self._differences[-1][1] >= difference:
            self._differences.pop()
        self._differences.append((received_s, difference))
        while self._differences[0][0] < received_s - _WINDOW_S:
            self._differences.popleft()
        return stamp_s + self._differences[0][1]
