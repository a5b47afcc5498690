"""The edge device at work: it looks through its camera, says what is new, and how it is."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from binsight.edge.outbox import Entry, Outbox
from binsight.edge.settings import EdgeSettings
from binsight.imaging import small_jpeg
from binsight.line.clock import SystemClock
from binsight.line.messages import utc_text
from binsight.line.mqtt_link import MqttLink
from binsight.line.ports import Source
from binsight.line.records import CameraState, Frame, new_ulid
from binsight.predictor import Prediction, Predictor

__all__ = ["Device", "Novelty", "Publisher", "memory_mb"]

_log = logging.getLogger(__name__)

_READ_S: Final = 0.2
_CONFIRM_S: Final = 5.0  # a broker confirms a result within this, or it is told again
_QUALITY: Final = 85


class Novelty:
    """Tells when there is something new: several pictures in a row agree, and not on what was told before.

    Args:
        steady_frames: how many must agree.
    """

    def __init__(self, steady_frames: int) -> None:
        self._wanted = steady_frames
        self._seen: tuple[str, str] | None = None
        self._told: tuple[str, str] | None = None
        self._count = 0

    def is_new(self, found: Prediction) -> bool:
        """Whether this picture makes it new; things the device is not sure of are all alike."""
        seen = (found.decision, found.category if found.decision == "accept" else "")
        self._count = self._count + 1 if seen == self._seen else 1
        self._seen = seen
        if self._count < self._wanted or seen == self._told:
            return False
        self._told = seen
        return True


class Publisher:
    """Results and health by MQTT: topics `piece` and `state` of the line (docs/line.md)."""

    def __init__(self, settings: EdgeSettings, *, password: str | None, clock: SystemClock) -> None:
        self._topics = settings.topics
        self._link = MqttLink(
            settings.mqtt or "",
            name=f"binsight-{settings.site}-{settings.name}",
            clock=clock,
            will=(f"{self._topics}/state", _encode({"online": False})),
            username=settings.username,
            password=password,
        )
        self._link.start()

    def deliver(self, entry: Entry) -> bool:
        """See `Sink`: whether the broker has confirmed it."""
        sent = self._link.publish(f"{self._topics}/piece", _encode(entry.message))
        if sent is None:
            return False
        try:
            sent.wait_for_publish(_CONFIRM_S)
        except (RuntimeError, ValueError):
            return False
        return sent.is_published()

    def say(self, state: dict[str, Any]) -> None:
        """How the device is; the broker keeps the last word."""
        self._link.publish(f"{self._topics}/state", _encode(state), retain=True)

    def close(self) -> None:
        """Say that it is offline, and stop."""
        self._link.close()


class Device:
    """Looks until it is told to stop, or a recording has ended; `say` takes the messages of health."""

    def __init__(
        self,
        settings: EdgeSettings,
        *,
        predictor: Predictor,
        engine: str,
        source: Source,
        outbox: Outbox,
        say: Callable[[dict[str, Any]], None],
        clock: SystemClock,
    ) -> None:
        self._settings, self._predictor, self._engine = settings, predictor, engine
        self._source, self._outbox, self._say, self._clock = source, outbox, say, clock
        self._novelty = Novelty(settings.steady_frames)
        self._stopping = threading.Event()
        self._frames, self._age_s, self._infer_ms = 0, 0.0, 0.0

    def stop(self) -> None:
        """End `run`, from any thread or a signal's handler."""
        self._stopping.set()

    def run(self) -> None:
        """Look.

        Raises:
            OutputError: a result cannot be kept: the disk is full or broken.
        """
        next_s = said_s = float("-inf")
        while not self._stopping.is_set():
            try:
                frame = self._source.read(timeout_s=_READ_S)
            except EOFError:
                break
            now = self._clock.now()
            if frame is not None and frame.captured_s >= next_s:
                # A tenth early is in time: cameras jitter.
                next_s = frame.captured_s + 0.9 / self._settings.frames_per_second
                self._look_at(frame)
            if now >= said_s + self._settings.heartbeat_s:
                said_s = now
                self._say(self._state())
        self._say(self._state())

    def _look_at(self, frame: Frame) -> None:
        found = self._predictor.predict_images([frame.image])[0]
        self._frames += 1
        self._age_s = self._clock.now() - frame.captured_s
        self._infer_ms = found.timing_ms.get("infer", 0.0)
        if self._novelty.is_new(found):
            mode = self._settings.mode
            is_asked = self._settings.server is not None and (
                mode == "server" or (mode == "ask" and found.decision == "review")
            )
            self._outbox.put(self._message(found), small_jpeg(frame.image, quality=_QUALITY) if is_asked else None)

    def _message(self, found: Prediction) -> dict[str, Any]:
        return {
            "id": new_ulid(self._clock.utc()),
            "device": self._settings.name,
            "t": utc_text(self._clock.utc()),
            "category": found.category,
            "confidence": round(found.confidence, 4),
            "decision": found.decision,
            "reason": found.reason,
            "stream": found.stream,
            "decided_by": "device",
            "model": f"{found.model_name} {found.model_version}",
        }

    def _state(self) -> dict[str, Any]:
        state: CameraState = self._source.state
        return {
            "online": True,
            "camera": state,
            "frames": self._frames,
            "frame_age_ms": round(1000 * self._age_s),
            "infer_ms": round(self._infer_ms, 1),
            "model": f"{self._predictor.bundle.manifest.name} {self._predictor.bundle.manifest.version}",
            "engine": self._engine,
            "waiting": self._outbox.waiting(),
            "dropped": self._outbox.dropped(),
            "memory_mb": memory_mb(),
        }


def memory_mb() -> float | None:
    """What the program holds in memory now; None where the system does not say."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    held = next((line for line in status.splitlines() if line.startswith("VmRSS:")), "")
    return round(int(held.split()[1]) / 1000, 1) if held else None


def _encode(message: dict[str, Any]) -> bytes:
    return json.dumps(message, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
