"""Clients whose photos are strange to a model as a whole: noticed over their last photos, and said once."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from binsight.bundle import Manifest
from binsight.predictor import OnStrange, Prediction, StreamCheck

__all__ = ["CAMERA_HEADER", "Sessions"]

# In answers to a client whose photos are strange as a whole; a structured field (RFC 9651).
CAMERA_HEADER = "X-Binsight-Camera"

_log = logging.getLogger("binsight.serving")
_OVER_S = 3600.0  # a client that comes back after so long begins a new session


@dataclass(slots=True)
class _Session:
    manifest: Manifest
    check: StreamCheck
    seen_s: float


class Sessions:
    """What was seen of each client's photos by each model; the sessions longest unseen are forgotten first.

    A session ends when its client sends nothing for an hour, or another version of the model is put in place. May be
    used from several threads.

    Args:
        on_strange: what becomes of the photos of a strange one.
        most: how many are remembered, about 2 kB each.
        clock: seconds that only ever increase.
    """

    def __init__(
        self, on_strange: OnStrange = "review", *, most: int = 1000, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._on_strange, self._most, self._clock = on_strange, most, clock
        self._sessions: OrderedDict[tuple[str, str], _Session] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, client: str, model: str, manifest: Manifest, prediction: Prediction) -> tuple[bool, StreamCheck]:
        """Take one more prediction; whether the session has become strange with it, and how it is.

        Args:
            client: an address or the name of a key.
            model: the name under which it is served.
            manifest: of its bundle.
            prediction: of the client's photo.
        """
        with self._lock:
            session = self._session((client, model), manifest)
            warning = session.check.add(prediction)
        if warning is not None:
            _log.warning("client %s, model %s: %s", client, model, warning)
        return warning is not None, session.check

    def count_strange(self) -> int:
        """Sessions that are strange now."""
        with self._lock:
            self._forget(self._clock())
            return sum(session.check.is_strange for session in self._sessions.values())

    def _session(self, key: tuple[str, str], manifest: Manifest) -> _Session:
        now = self._clock()
        self._forget(now)
        session = self._sessions.pop(key, None)
        if session is None or session.manifest is not manifest:
            session = _Session(manifest, StreamCheck(manifest, on_strange=self._on_strange), now)
        session.seen_s = now
        self._sessions[key] = session
        if len(self._sessions) > self._most:
            self._sessions.popitem(last=False)
        return session

    def _forget(self, now: float) -> None:
        while self._sessions and now - next(iter(self._sessions.values())).seen_s > _OVER_S:
            self._sessions.popitem(last=False)
