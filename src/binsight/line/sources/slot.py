"""One place for the newest picture: what was there before and was not taken is dropped, and counted."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from binsight.errors import ImageError
from binsight.line.ports import Clock
from binsight.line.records import CameraState, Frame

__all__ = ["Shot", "SlotSource"]

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Shot:
    """A picture as it came, not decoded yet: most of a fast camera's are never looked at.

    Attributes:
        captured_s: when it was taken, by the line's clock.
        decode: gives `(h, w, 3)` uint8 RGB, or raises `ImageError`.
        encoder: counts at capture, where the camera knows them.
    """

    captured_s: float
    decode: Callable[[], NDArray[np.uint8]] = field(repr=False)
    encoder: int | None = None


class SlotSource:
    """A `Source` that others put shots into, from any thread; the newest is given, once.

    Args:
        stalled_after_s: without a new shot for so long it is `stalled`; shots that are older when they are taken out
            are dropped.
        frames_per_second: shots that come faster are passed over; None takes all.
    """

    def __init__(self, clock: Clock, *, stalled_after_s: float = 1.0, frames_per_second: float | None = None) -> None:
        self._clock, self._stalled_after_s = clock, stalled_after_s
        self._least_gap_s = 0.0 if frames_per_second is None else 0.9 / frames_per_second
        self._arrival = threading.Condition()
        self._shot: Shot | None = None
        self._last_s: float | None = None
        self._number = 0
        self._dropped = 0
        self._ended = self._closed = False
        self.broken = 0

    @property
    def state(self) -> CameraState:
        """`starting` before the first shot, `stalled` when none came in time, else `ok`."""
        if self._last_s is None:
            return "starting"
        return "stalled" if self._clock.now() - self._last_s > self._stalled_after_s else "ok"

    @property
    def dropped(self) -> int:
        """Shots that were never given, because a newer one came or they were too old."""
        return self._dropped

    def put(self, shot: Shot) -> None:
        """Make this the newest; called from any thread."""
        with self._arrival:
            if self._last_s is not None and 0 <= shot.captured_s - self._last_s < self._least_gap_s:
                return  # faster than asked for: passed over, not dropped
            if self._shot is not None:
                self._dropped += 1
            self._shot, self._last_s = shot, shot.captured_s
            self._number += 1
            self._arrival.notify()

    def end(self) -> None:
        """No more will come: once the last shot was taken, `read` raises `EOFError`."""
        with self._arrival:
            self._ended = True
            self._arrival.notify()

    def read(self, timeout_s: float) -> Frame | None:
        """See `Source.read`. A shot that cannot be decoded is counted in `broken` and waited over."""
        deadline = None
        while True:
            with self._arrival:
                if deadline is None:
                    deadline = self._clock.now() + timeout_s
                self._arrival.wait_for(
                    lambda: self._shot is not None or self._ended or self._closed,
                    max(0.0, min(timeout_s, deadline - self._clock.now())),
                )
                shot, number, self._shot = self._shot, self._number, None
                if shot is None:
                    if self._ended:
                        raise EOFError("no more frames")
                    return None
            if self._clock.now() - shot.captured_s > self._stalled_after_s:
                self._dropped += 1
                continue
            try:
                return Frame(shot.decode(), shot.captured_s, number, shot.encoder)
            except ImageError as error:
                self.broken += 1
                _LOG.warning("a frame cannot be decoded: %s", error)

    def close(self) -> None:
        """See `Source.close`."""
        with self._arrival:
            self._closed = True
            self._arrival.notify_all()
