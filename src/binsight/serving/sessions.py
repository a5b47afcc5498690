"""Clients and their cameras: whose photos are strange to a model as a whole, and which named camera is still new."""

from __future__ import annotations

import logging
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from binsight.bundle import Manifest
from binsight.predictor import OnStrange, Prediction, StreamCheck, StreamState

__all__ = ["CAMERA_HEADER", "CAMERA_NAME", "Sessions"]

# In a request, what the camera is called; in the answer, how it stands: a structured field (RFC 9651).
CAMERA_HEADER = "X-Binsight-Camera"
CAMERA_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

_log = logging.getLogger("binsight.serving")
_OVER_S = 3600.0  # a client that names no camera and comes back after so long begins a new session


_Key = tuple[str, str | None, str]  # client, camera, model


@dataclass(slots=True)
class _Session:
    manifest: Manifest
    check: StreamCheck
    seen_s: float


class Sessions:
    """What was seen of each client's photos by each model; the sessions longest unseen are forgotten first.

    A session ends when its client sends nothing for an hour, or another version of the model is put in place. A camera
    that the client names is a session of its own, which begins as new and does not end by time. May be used from
    several threads.

    Args:
        on_strange: what becomes of the photos of a strange one, and of a new camera.
        most: how many are remembered, about 2 kB each.
        clock: seconds that only ever increase.
    """

    def __init__(
        self, on_strange: OnStrange = "review", *, most: int = 1000, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._on_strange, self._most, self._clock = on_strange, most, clock
        self._sessions: OrderedDict[_Key, _Session] = OrderedDict()
        self._lock = threading.Lock()

    def add(
        self, client: str, model: str, manifest: Manifest, prediction: Prediction, *, camera: str | None = None
    ) -> tuple[bool, StreamCheck]:
        """Take one more prediction; whether the session has become strange with it, and how it is.

        Args:
            client: an address or the name of a key.
            model: the name under which it is served.
            manifest: of its bundle.
            prediction: of the client's photo.
            camera: as the client calls it; None where it names none.
        """
        with self._lock:
            session = self._session((client, camera, model), manifest)
            warning = session.check.add(prediction)
        if warning is not None:
            who = client if camera is None else f"{client}, camera {camera}"
            _log.warning("client %s, model %s: %s", who, model, warning)
        return warning is not None, session.check

    def count(self, state: StreamState) -> int:
        """Sessions that are in this state now."""
        with self._lock:
            now = self._clock()
            return sum(one.check.state == state for key, one in self._sessions.items() if not _is_over(key, one, now))

    def _session(self, key: _Key, manifest: Manifest) -> _Session:
        now = self._clock()
        session = self._sessions.pop(key, None)
        if session is None or session.manifest is not manifest or _is_over(key, session, now):
            check = StreamCheck(manifest, on_strange=self._on_strange, is_new=key[1] is not None)
            session = _Session(manifest, check, now)
        session.seen_s = now
        self._sessions[key] = session
        if len(self._sessions) > self._most:
            self._sessions.popitem(last=False)
        return session


def _is_over(key: _Key, session: _Session, now: float) -> bool:
    return key[1] is None and now - session.seen_s > _OVER_S
