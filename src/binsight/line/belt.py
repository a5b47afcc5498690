"""Where the belt is: from an encoder's readings, or from its set speed."""

from __future__ import annotations

from collections import deque
from itertools import pairwise

from binsight.line.records import ENCODER_RANGE, EncoderReading, encoder_difference
from binsight.line.settings import BeltSettings

__all__ = ["Belt"]

_SPEED_WINDOW_S = 0.25  # over which the speed is taken: longer is smoother, shorter follows a stop sooner
_KEPT_S = 2.0  # readings older than this are forgotten: no frame is looked at so late
_MAX_SPEED_MM_S = 10_000.0  # no belt is faster: a jump beyond this is an encoder that was set anew
_JUMP_MM = 100.0  # by which a reading may be ahead of its time stamp
_SILENT_AFTER_S = 0.5  # an encoder that stands repeats its counts; one that says nothing for so long is away


class Belt:
    """The belt's position over time, in unwrapped millimetres and in the encoder's wrapped counts.

    Args:
        settings: `[belt]` of the configuration.
        started_s: when it was at millimetre 0.
    """

    def __init__(self, settings: BeltSettings, *, started_s: float = 0.0) -> None:
        self._settings = settings
        self._started_s = started_s
        self._readings: deque[tuple[float, int]] = deque()  # (seconds, unwrapped counts), oldest first
        self._last_counts: int | None = None  # as they came
        self.resets = 0

    @property
    def has_encoder(self) -> bool:
        """Whether its position is measured."""
        return self._settings.encoder is not None

    def on_reading(self, reading: EncoderReading) -> None:
        """Take a reading; one that is older than the last is ignored, and all where no encoder was configured.

        A jump that no belt makes is an encoder that was set anew: the belt is where it was, and `resets` counts it.
        """
        if not self.has_encoder:
            return
        self._last_counts, last_counts = reading.counts, self._last_counts
        if not self._readings or last_counts is None:
            # Whatever the counts are: the belt is where it was taken to be so far.
            self._readings.append((reading.at_s, round(self._counts(reading.at_s))))
            return
        last_s, last = self._readings[-1]
        if reading.at_s <= last_s:
            self._last_counts = last_counts
            return
        moved = encoder_difference(reading.counts, last_counts)
        if abs(moved) / self._counts_per_mm > _MAX_SPEED_MM_S * (reading.at_s - last_s) + _JUMP_MM:
            self.resets += 1
            moved = 0
        self._readings.append((reading.at_s, last + moved))
        while len(self._readings) > 2 and self._readings[1][0] <= reading.at_s - _KEPT_S:
            self._readings.popleft()

    def speed_mm_s(self) -> float:
        """How fast it runs now, in mm/s; while the encoder is silent, as fast as it ran last."""
        if not self.has_encoder:
            return self._settings.speed_mm_s
        if len(self._readings) < 2:
            return 0.0
        last_s, last = self._readings[-1]
        first_s, first = next(
            (reading for reading in reversed(self._readings) if reading[0] <= last_s - _SPEED_WINDOW_S),
            self._readings[0],
        )
        return (last - first) / self._counts_per_mm / (last_s - first_s)

    @property
    def is_known(self) -> bool:
        """Whether anything is known of its movement: not while an encoder has never been heard."""
        return bool(self._readings) or not self.has_encoder

    def is_measured(self, at_s: float) -> bool:
        """Whether the position at `at_s` is an encoder's, and not only what the last speed says."""
        return bool(self.has_encoder and self._readings and at_s - self._readings[-1][0] <= _SILENT_AFTER_S)

    def position_mm(self, at_s: float) -> float:
        """How far it has run, in mm; before the first reading at its set speed, after the last one evenly."""
        if not self.has_encoder:
            return (at_s - self._started_s) * self._settings.speed_mm_s
        return self._counts(at_s) / self._counts_per_mm

    def counts(self, at_s: float) -> int | None:
        """The encoder's counts at `at_s`, in [0, 2³²); None where there is no encoder or no reading yet."""
        if not self.has_encoder or self._last_counts is None:
            return None
        ahead = self._counts(at_s) - self._readings[-1][1]  # counted from the last reading: a reset moved the zero
        return (self._last_counts + round(ahead)) % ENCODER_RANGE

    def counts_at_mm(self, position_mm: float) -> int | None:
        """The encoder's counts when the belt was at a position, in [0, 2³²); None as for `counts`."""
        if not self.has_encoder or self._last_counts is None:
            return None
        return (self._last_counts + round(position_mm * self._counts_per_mm - self._readings[-1][1])) % ENCODER_RANGE

    def target(self, counts: int, distance_mm: float, lead_ms: float) -> int:
        """Counts at which to fire so that a piece that was at the trigger line at `counts` is hit.

        `counts + distance_mm * counts_per_mm - lead_ms * speed`, modulo 2³², at the present speed.
        """
        lead = lead_ms / 1000 * self.speed_mm_s()
        return round(counts + (distance_mm - lead) * self._counts_per_mm) % ENCODER_RANGE

    @property
    def _counts_per_mm(self) -> float:
        assert self._settings.counts_per_mm is not None  # noqa: S101 - checked with the configuration
        return self._settings.counts_per_mm

    def _counts(self, at_s: float) -> float:
        if not self._readings:
            return (at_s - self._started_s) * self._settings.speed_mm_s * self._counts_per_mm
        last_s, last = self._readings[-1]
        if at_s >= last_s:
            return last + (at_s - last_s) * self.speed_mm_s() * self._counts_per_mm
        for (after_s, after), (before_s, before) in pairwise(reversed(self._readings)):
            if before_s <= at_s:
                return before + (after - before) * (at_s - before_s) / (after_s - before_s)
        return self._readings[0][1]
