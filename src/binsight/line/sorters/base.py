"""What most sorters have in common."""

from __future__ import annotations

import threading

from binsight.line.config import LineConfig
from binsight.line.ports import Clock, SorterEvents

__all__ = ["BaseSorter"]


class BaseSorter:
    """Who hears of it, whether there is a link, and what was lost; see `ports.Sorter`.

    Attributes:
        dropped: commands and messages that could not be handed over.
        malformed: answers that nobody can make sense of.
    """

    def __init__(self, config: LineConfig, *, clock: Clock) -> None:
        self._config, self._clock = config, clock
        self._events: SorterEvents | None = None
        self._lock = threading.RLock()  # the engine and the link have a thread each
        self._up = False
        self.dropped = self.malformed = 0

    @property
    def confirms(self) -> bool:
        """Whether the equipment reports what became of a command."""
        return self._config.sorter.confirms

    def _set_link(self, *, up: bool) -> None:
        with self._lock:
            changed, self._up = up != self._up, up
        if changed and self._events is not None:
            self._events.on_link(up=up)
