"""A camera's own clock, told in ours."""

from __future__ import annotations

import math

__all__ = ["StampClock"]

_CREEP = 0.001  # a camera's clock may be this much slower than ours


class StampClock:
    """Turns a camera's time stamps into our time: the stamp plus the least delay seen so far.

    So a picture that was held up, on its way or in the camera, is known to be old. What all pictures are delayed by
    is not seen.

    Args:
        jump_s: a delay that grows by more than this means that the camera's clock was set anew; infinite for a clock
            that only starts anew from 0, with the camera.
    """

    def __init__(self, *, jump_s: float = math.inf) -> None:
        self._jump_s = jump_s
        self._lead_s: float | None = None  # our clock minus the camera's, for the fastest picture
        self._last_s = self._stamp_s = 0.0

    def tell(self, stamp_s: float, now_s: float) -> float:
        """When the picture with this stamp was taken, which arrives now."""
        lead_s, crept_s = now_s - stamp_s, math.inf
        if self._lead_s is not None and stamp_s >= self._stamp_s:
            crept_s = self._lead_s + _CREEP * (now_s - self._last_s)
        is_set_anew = lead_s > crept_s + self._jump_s
        self._lead_s = lead_s if is_set_anew else min(lead_s, crept_s)
        self._last_s, self._stamp_s = now_s, stamp_s
        return stamp_s + self._lead_s
