"""A camera read by a thread of its own, which opens it anew after every failure."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable, Iterator

from binsight.line.ports import Clock
from binsight.line.records import CameraState
from binsight.line.sources.slot import Shot, SlotSource

__all__ = ["ReaderSource", "Shots"]

_LOG = logging.getLogger(__name__)
_FIRST_PAUSE_S, _LAST_PAUSE_S = 0.5, 10.0

# Opens the camera and gives what comes until it fails, with an OSError or by ending. Is told when to stop.
Shots = Callable[[threading.Event], Iterator[Shot]]


class ReaderSource(SlotSource):
    """Keeps the newest shot of a camera that is opened again and again, for hours if need be.

    Between two attempts it waits half a second, doubled each time up to ten seconds, and up to half as long again by
    chance, so that twenty cameras that lost their switch do not come back all at once. A shot that arrives sets the
    pause back.

    Args:
        shots: opens the camera and reads it.
        name: for messages; no password in it.
        clock, stalled_after_s, frames_per_second: see `SlotSource`.
        finite: it has an end, as a recording that is played in real time; no reopening.
        seed: of the jitter.
    """

    def __init__(
        self,
        shots: Shots,
        *,
        name: str,
        clock: Clock,
        stalled_after_s: float = 1.0,
        frames_per_second: float | None = None,
        finite: bool = False,
        seed: int | None = None,
    ) -> None:
        super().__init__(clock, stalled_after_s=stalled_after_s, frames_per_second=frames_per_second)
        self._shots, self._name, self._finite = shots, name, finite
        self._random = random.Random(seed)  # noqa: S311 - spreads attempts, keeps no secret
        self._stop = threading.Event()
        self._is_open = self._failed = False
        self.openings = 0
        self._thread = threading.Thread(target=self._run, name=f"camera {name}", daemon=True)
        self._thread.start()

    @property
    def state(self) -> CameraState:
        """As `SlotSource.state`, and `absent` while it cannot be opened."""
        if self._failed and not self._is_open:
            return "absent"
        return super().state

    def close(self) -> None:
        """See `Source.close`; the thread ends as soon as its camera lets it, at the latest after its read timeout."""
        self._stop.set()
        super().close()
        self._thread.join(timeout=0.5)

    def _run(self) -> None:
        pause_s = _FIRST_PAUSE_S
        while not self._stop.is_set():
            before = self._number
            self._read_until_failure()
            if self._finite:
                self.end()
                return
            pause_s = _FIRST_PAUSE_S if self._number > before else min(2 * pause_s, _LAST_PAUSE_S)
            self._stop.wait(pause_s * self._random.uniform(1.0, 1.5))

    def _read_until_failure(self) -> None:
        reason = "it ended"
        shots = self._shots(self._stop)
        try:
            for shot in shots:
                if self._stop.is_set():
                    break
                if not self._is_open:
                    self._is_open, self._failed = True, False
                    self.openings += 1
                self.put(shot)
        except Exception as error:  # a camera's library raises what it likes; the thread must live
            reason = str(error) or type(error).__name__
        finally:
            close = getattr(shots, "close", None)
            if close is not None:
                close()
        if not (self._stop.is_set() or self._finite or (self._failed and not self._is_open)):
            _LOG.warning("camera %s: %s; it is opened again and again", self._name, reason)
        self._is_open, self._failed = False, True
