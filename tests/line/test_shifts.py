"""When shifts begin and end."""

from __future__ import annotations

import datetime as dt

from binsight.line.settings import Shift
from binsight.line.shifts import last_periods

SHIFTS = (
    Shift(name="early", start=dt.time(6)),
    Shift(name="late", start=dt.time(14)),
    Shift(name="night", start=dt.time(22)),
)


def local(day: int, hour: int) -> dt.datetime:
    """Return a moment of January 2026 by this machine's time."""
    return dt.datetime(2026, 1, day, hour).astimezone()


def test_shifts_follow_each_other() -> None:
    """The present shift comes first; each ends where the next begins, over midnight too."""
    found = last_periods(SHIFTS, local(5, 3), 4)
    assert [period.name for period in found] == ["night", "late", "early", "night"]
    assert (found[0].began, found[0].ended) == (local(4, 22), local(5, 6))
    assert [period.ended for period in found[1:]] == [period.began for period in found[:-1]]


def test_a_shift_begins_on_the_dot() -> None:
    """At its start a shift runs."""
    assert last_periods(SHIFTS, local(5, 14), 1)[0].name == "late"


def test_without_shifts_there_are_days() -> None:
    """A day is named by its date."""
    first, second = last_periods((), local(5, 3), 2)
    assert (first.name, first.began, second.name) == ("2026-01-05", local(5, 0), "2026-01-04")


def test_one_shift_a_day() -> None:
    """A single shift lasts until it begins again."""
    found = last_periods(SHIFTS[:1], local(5, 3), 3)
    assert [period.began for period in found] == [local(4, 6), local(3, 6), local(2, 6)]
