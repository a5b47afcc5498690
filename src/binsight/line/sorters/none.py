"""No sorter: the line only looks."""

from __future__ import annotations

from binsight.line.config import LineConfig
from binsight.line.ports import Clock, SorterEvents
from binsight.line.records import Command

__all__ = ["NoSorter"]


class NoSorter:
    """Takes no command and tells nobody; see `ports.Sorter`."""

    confirms = False

    def __init__(self, config: LineConfig, *, clock: Clock) -> None:
        del config, clock

    def start(self, events: SorterEvents) -> None:
        """Nothing will come."""

    def send(self, command: Command) -> bool:  # noqa: ARG002
        """Nobody is there."""
        return False

    def publish(self, topic: str, payload: dict[str, object], *, retain: bool = False) -> None:
        """Nobody listens."""

    def close(self, *, wait_s: float = 1.0) -> None:
        """Nothing is open."""
