"""No sorter: the line only looks."""

from __future__ import annotations

from binsight.line.config import LineConfig
from binsight.line.ports import Clock, SorterEvents
from binsight.line.records import Command

__all__ = ["NoSorter"]


class NoSorter:
    """Takes nothing and says nothing; see `ports.Sorter`."""

    confirms = False

    def __init__(self, config: LineConfig, *, clock: Clock) -> None: ...

    def start(self, events: SorterEvents) -> None:
        """There is nothing to connect to."""

    def send(self, command: Command) -> bool:  # noqa: ARG002 - nobody is there
        """Nothing leaves."""
        return False

    def publish(self, topic: str, payload: dict[str, object], *, retain: bool = False) -> None:
        """Nobody listens."""

    def close(self, *, wait_s: float = 1.0) -> None:
        """Nothing to do."""
