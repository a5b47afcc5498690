"""What the line has told, kept as numbers that equipment reads when it likes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from binsight.line.records import ENDS, FAIL_SAFE_LANE

__all__ = ["LaneTotals", "Published"]


@dataclass(slots=True)
class LaneTotals:
    """Of one lane.

    Attributes:
        pieces: that went there since the line started.
        purity, low, high: share of right pieces with its interval, in [0, 1]; all 0 before the first audit.
        audited: pieces that were looked at for it.
    """

    pieces: int = 0
    purity: float = 0.0
    low: float = 0.0
    high: float = 0.0
    audited: int = 0


@dataclass(slots=True)
class Published:
    """The sum of all messages since the line started.

    Attributes:
        confirms: whether the equipment reports what became of a command; else an acknowledged piece has its end.
        heartbeat: how often the line told its state, so that it stands still when the line does.
        processed: pieces that came to an end.
        to_fail_safe: of them, those that surely stayed on the belt. What is unknown counts for no lane either.
        faults: codes of the alarms that are on.
    """

    confirms: bool = True
    heartbeat: int = 0
    state: int = 0
    mode: int = 0
    frame_age_ms: float = 0.0
    processed: int = 0
    to_fail_safe: int = 0
    faults: frozenset[str] = frozenset()
    lanes: dict[int, LaneTotals] = field(default_factory=dict)

    def take(self, topic: str, payload: Mapping[str, Any]) -> None:
        """Take a message; topics that equipment does not read are ignored."""
        word, _, lane = topic.partition("/")
        if word == "state" and payload["online"]:
            self._take_state(payload)
        elif word == "piece":
            self._take_piece(payload)
        elif word == "purity" and payload["purity"] is not None:
            totals = self._lane(int(lane))
            totals.purity, totals.low, totals.high = payload["purity"], payload["low"], payload["high"]
            totals.audited = payload["audited"]
        elif word == "fault":
            code = {payload["code"]}
            self.faults = self.faults | code if payload["active"] else self.faults - code

    def _take_state(self, payload: Mapping[str, Any]) -> None:
        self.heartbeat += 1
        self.state, self.mode = payload["state"], payload["mode"]
        self.frame_age_ms = payload["frame_age_ms"] or 0.0

    def _take_piece(self, payload: Mapping[str, Any]) -> None:
        status = payload["status"]
        if status not in ENDS and not (status == "acknowledged" and not self.confirms):
            return
        self.processed += 1
        if payload["lane"] == FAIL_SAFE_LANE or payload["reason"] == "missed":
            self.to_fail_safe += 1
        elif status != "unknown":
            self._lane(payload["lane"]).pieces += 1

    def _lane(self, number: int) -> LaneTotals:
        return self.lanes.setdefault(number, LaneTotals())
