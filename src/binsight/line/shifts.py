"""When shifts begin and end: by the set times, or by days where none are set."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from binsight.line.settings import Shift

__all__ = ["Period", "last_periods"]


@dataclass(frozen=True, slots=True)
class Period:
    """One shift, or one day.

    Attributes:
        name: of the shift; the date where there are no shifts.
        began: when.
        ended: when the next one begins.
    """

    name: str
    began: dt.datetime
    ended: dt.datetime


def last_periods(shifts: Sequence[Shift], now: dt.datetime, count: int) -> list[Period]:
    """The present shift and those before it, the newest first.

    Args:
        shifts: as configured, by this machine's local time; empty stands for days.
        now: with its zone.
        count: how many.
    """
    times = sorted(((shift.start, shift.name) for shift in shifts), reverse=True) or [(dt.time(), "")]
    today = now.astimezone().date()
    days = [today + dt.timedelta(days=1 - back) for back in range(count // len(times) + 3)]
    # Each day's times are made moments by themselves: across a change of the clock the offset is another.
    starts = [
        (name or day.isoformat(), dt.datetime.combine(day, start).astimezone()) for day in days for start, name in times
    ]
    periods = [Period(name, began, later) for (_, later), (name, began) in pairwise(starts) if began <= now]
    return periods[:count]
