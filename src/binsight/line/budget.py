"""The time that a line has from a picture to the command, and the time that it needs."""

from __future__ import annotations

from dataclasses import dataclass

from binsight.line.config import LineConfig
from binsight.line.settings import Lane

__all__ = ["LaneBudget", "lane_budgets", "least_distance_mm", "looks_before_line", "seconds_to_fire", "start_faults"]

_LEAST_LOOKS = 3.5  # a piece counts once it was seen in three frames, wherever between two of them it came in


@dataclass(frozen=True, slots=True)
class LaneBudget:
    """One lane's account of time, in milliseconds.

    Attributes:
        lane: its number.
        available_ms: from the trigger line to the moment at which the ejector must fire.
        frame_ms: until the next picture is taken: the piece may cross the trigger line just after one.
        decide_ms: for finding the piece and classifying its views.
        link_ms: for the command to arrive.
        scan_ms: for the PLC to see it.
    """

    lane: int
    available_ms: float
    frame_ms: float
    decide_ms: float
    link_ms: float
    scan_ms: float

    @property
    def needed_ms(self) -> float:
        """The sum of what is needed."""
        return self.frame_ms + self.decide_ms + self.link_ms + self.scan_ms

    @property
    def spare_ms(self) -> float:
        """What is left; below 0 the line cannot work."""
        return self.available_ms - self.needed_ms

    def fault(self) -> str | None:
        """Why the line must not start; None where the time is enough."""
        if self.spare_ms >= 0:
            return None
        return (
            f"lane {self.lane}: {self.available_ms:.0f} ms from the trigger line to firing, {self.needed_ms:.0f} ms "
            f"needed (next picture {self.frame_ms:.0f}, deciding {self.decide_ms:.0f}, link {self.link_ms:.0f}, PLC "
            f"{self.scan_ms:.0f}); move the ejector or the trigger line, or slow the belt down"
        )


def lane_budgets(config: LineConfig, *, decide_ms: float) -> list[LaneBudget]:
    """The account of every lane at the belt's full speed.

    Args:
        config: of the line.
        decide_ms: what deciding takes in 99 of 100 cases, measured with the model on this machine.
    """
    return [
        LaneBudget(
            lane=lane.number,
            available_ms=1000 * lane.distance_mm / config.belt.speed_mm_s - lane.lead_ms,
            frame_ms=1000 / config.camera.frames_per_second,
            decide_ms=decide_ms,
            link_ms=config.sorter.link_p99_ms,
            scan_ms=config.sorter.scan_ms,
        )
        for lane in config.lanes
    ]


def looks_before_line(config: LineConfig) -> float:
    """In how many frames a piece is seen before its middle is on the trigger line, at the belt's full speed."""
    camera = config.camera
    return camera.trigger_at * camera.field_mm / (config.belt.speed_mm_s / camera.frames_per_second)


def least_distance_mm(config: LineConfig) -> float:
    """How far pieces on one strip of a belt without encoder must follow each other, from edge to edge of one kind.

    The belt may run at up to twice its speed from one frame to the next: what is nearer could be its neighbour.
    """
    return 2 * config.belt.speed_mm_s / config.camera.frames_per_second


def start_faults(config: LineConfig, budgets: list[LaneBudget]) -> list[str]:
    """Why the line must not start; empty where nothing speaks against it."""
    found = [fault for budget in budgets if (fault := budget.fault()) is not None]
    looks = looks_before_line(config)
    if config.camera.trigger == "camera" and looks < _LEAST_LOOKS:
        found.append(
            f"camera: a piece is seen in {looks:.1f} frames before the trigger line, at least {_LEAST_LOOKS} are "
            f"needed; take more frames a second, show more of the belt, or slow the belt down"
        )
    return found


def seconds_to_fire(lane: Lane, *, speed_mm_s: float, travelled_mm: float = 0.0) -> float:
    """From now until the ejector must fire, for a piece that is `travelled_mm` beyond the trigger line.

    Returns:
        Seconds, negative when it is too late; infinite on a belt that stands.
    """
    if speed_mm_s <= 0:
        return float("inf")
    return (lane.distance_mm - travelled_mm) / speed_mm_s - lane.lead_ms / 1000
