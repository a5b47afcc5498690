"""Alarms: what is wrong now, told once when it comes and once when it goes."""

from __future__ import annotations

import datetime as dt
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Alarm", "Alarms", "ShareAlarm"]

_WINDOW, _LEAST = 200, 50  # pieces of which a share is taken


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something that a person should know.

    Attributes:
        code: a stable word, such as `camera_stalled`, `link`, `late`, `review_share`, `purity_lane_3`.
        active: whether it is so now.
        detail: one sentence with the figures.
        at: since when, UTC.
    """

    code: str
    active: bool
    detail: str
    at: dt.datetime


class Alarms:
    """The alarms of one line.

    Args:
        utc: gives the time.
        tell: is called for every alarm that comes or goes.
    """

    def __init__(self, utc: Callable[[], dt.datetime], tell: Callable[[Alarm], None] = lambda _: None) -> None:
        self._utc = utc
        self._tell = tell
        self._active: dict[str, Alarm] = {}

    @property
    def active(self) -> tuple[Alarm, ...]:
        """What is wrong now, the oldest first."""
        return tuple(self._active.values())

    def set(self, code: str, *, active: bool, detail: str = "") -> None:
        """Say how it is; only a change is told."""
        if active == (code in self._active):
            return
        alarm = Alarm(code, active, detail, self._utc())
        if active:
            self._active[code] = alarm
        else:
            del self._active[code]
        self._tell(alarm)


class ShareAlarm:
    """A share over the last 200 pieces that is too high; it goes when the share has fallen to 0.8 of the limit.

    Args:
        limit: in [0, 1].
    """

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._last: deque[bool] = deque(maxlen=_WINDOW)
        self.active = False

    @property
    def share(self) -> float:
        """In [0, 1]; 0 before anything came."""
        return sum(self._last) / len(self._last) if self._last else 0.0

    def add(self, hit: bool) -> bool:
        """Take one more piece; whether the alarm is on now."""
        self._last.append(hit)
        if len(self._last) >= _LEAST:
            self.active = self.share > (0.8 * self._limit if self.active else self._limit)
        return self.active
