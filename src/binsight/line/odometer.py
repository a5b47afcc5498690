"""How far the belt has come, from encoder counts that wrap or from its speed."""

from __future__ import annotations

from binsight.errors import SettingsError
from binsight.line.records import encoder_difference

__all__ = ["Odometer"]

_MAX_SPEED_MM_S = 10_000.0  # no belt is faster: a jump beyond this is an encoder that was set anew
_JUMP_MM = 100.0  # how much the encoder may be ahead of its time stamp


class Odometer:
    """Adds up the belt's travel; the one place that unwraps encoder counts.

    Args:
        counts_per_mm: of the encoder, above 0; None where there is none.
        speed_mm_s: of a belt without encoder; negative runs backwards.

    Raises:
        SettingsError: not exactly one of the two is given, or it is out of range.
    """

    def __init__(self, *, counts_per_mm: float | None = None, speed_mm_s: float | None = None) -> None:
        if (counts_per_mm is None) == (speed_mm_s is None):
            raise SettingsError("expected either counts_per_mm or speed_mm_s, " + (
                "got neither" if speed_mm_s is None else "got both"
            ))
        if counts_per_mm is not None and not counts_per_mm > 0:
            raise SettingsError(f"expected counts_per_mm above 0, got {counts_per_mm}")
        self.counts_per_mm, self.speed_mm_s = counts_per_mm, speed_mm_s
        self.travel_mm = 0.0
        self.resets = 0
        self._counts: int | None = None
        self._at_s: float | None = None

    def advance(self, at_s: float, counts: int | None = None) -> float:
        """The travel in millimetres at `at_s`, from 0 at the first call.

        Counts are compared modulo 2³². A jump that no belt makes is an encoder that was set anew: it adds nothing and
        is counted in `resets`. A belt with an encoder that says nothing (`counts` None) is where it was.

        Args:
            at_s: the line's clock; an earlier time than before changes nothing on a belt without encoder.
            counts: the encoder's, in [0, 2³²).
        """
        since = 0.0 if self._at_s is None else max(0.0, at_s - self._at_s)
        if self.speed_mm_s is not None:
            self.travel_mm += self.speed_mm_s * since
            self._at_s = at_s if self._at_s is None else max(at_s, self._at_s)
        elif counts is not None and self.counts_per_mm is not None:
            moved = 0.0 if self._counts is None else encoder_difference(counts, self._counts) / self.counts_per_mm
            if abs(moved) <= _MAX_SPEED_MM_S * since + _JUMP_MM:
                self.travel_mm += moved
            else:
                self.resets += 1
            self._counts, self._at_s = counts, at_s
        return self.travel_mm
