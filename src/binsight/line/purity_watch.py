"""Measures every so often how pure the lanes are; tells the sorter, and sets alarms where a target is missed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

import sqlalchemy as sa

from binsight.line.lane_purity import purity_alarms
from binsight.line.messages import purity_message
from binsight.line.monitor import LineMonitor
from binsight.line.run import LineRunner

__all__ = ["PurityWatch"]

_log = logging.getLogger(__name__)
_EVERY_S = 30.0


class PurityWatch:
    """A thread that measures; the engine's thread sets the alarms.

    Args:
        monitor: measures, and keeps what came of it.
        line: whose alarms are set.
        publish: takes `purity/{lane}` and its message, as `Sorter.publish`.
    """

    def __init__(self, monitor: LineMonitor, line: LineRunner, publish: Callable[..., None]) -> None:
        self._monitor, self._line, self._publish = monitor, line, publish
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="purity", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """End."""
        self._stopping.set()
        self._thread.join(timeout=10)

    def check(self) -> None:
        """Measure once."""
        purities = self._monitor.measure_purities()
        for number, found in purities.items():
            self._publish(f"purity/{number}", purity_message(found.target), retain=True)
        alarms, found_alarms = self._line.engine.alarms, purity_alarms(purities)

        def tell() -> None:
            for alarm in found_alarms:
                alarms.set(**alarm)

        self._line.post(tell)

    def _run(self) -> None:
        while not self._stopping.wait(_EVERY_S):
            try:
                self.check()
            except sa.exc.SQLAlchemyError as error:
                _log.warning("the purity could not be measured: %s", str(error).splitlines()[0])
