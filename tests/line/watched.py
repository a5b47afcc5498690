"""A line that somebody looks at: a real ledger, monitor and alarms; an engine that shows what it is told."""

from __future__ import annotations

import datetime as dt
import io
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tests.tiny_bundle import tiny_taxonomy

from binsight.line.account import LineAccount
from binsight.line.alarms import Alarm, Alarms
from binsight.line.config import LineConfig, parse_line_config
from binsight.line.engine import Picture
from binsight.line.film import Film
from binsight.line.ledger.database import open_database
from binsight.line.ledger.writer import LedgerWriter
from binsight.line.monitor import LineMonitor
from binsight.line.records import Blob, Box, EncoderReading, Frame, Piece, new_ulid
from binsight.line.run import SystemClock
from binsight.line.sources.push import PushSource
from binsight.line.track import Track

__all__ = ["FakeEngine", "WatchedLine", "film", "jpeg", "watched_config"]

NOON = dt.datetime(2026, 1, 2, 12, 0, tzinfo=dt.UTC)


def watched_config(**tables: Any) -> LineConfig:
    """Return a line with a lane for red and one for green; blue stays on the belt."""
    values: dict[str, Any] = {
        "line": {"name": "line1"},
        "lanes": [
            {"number": 1, "name": "Reds", "categories": ["red"], "distance_mm": 1200, "purity_target": 0.9},
            {"number": 2, "name": "Greens", "categories": ["green"], "distance_mm": 1800},
        ],
        "sorter": {"kind": "mqtt", "url": "mqtt://127.0.0.1"},
    }
    return parse_line_config(values | tables)


def jpeg(colour: tuple[int, int, int] = (200, 30, 30)) -> bytes:
    """Return a small picture's file."""
    stream = io.BytesIO()
    Image.new("RGB", (120, 90), colour).save(stream, "JPEG")
    return stream.getvalue()


def film() -> Film:
    """Return three views of a red piece, the last of them blurred."""
    said = {"category": "red", "decision": "accept", "reason": None, "unfamiliarity": 0.3}
    scores = {"red": 0.98, "green": 0.015, "blue": 0.005}
    frames = [jpeg((shade, 30, 30)) for shade in (220, 190, 160)]
    views = [
        {"frame": 40 + 2 * n, "at": f"2026-01-02T12:00:00.{n}00Z", "box": [10, 20, 90, 80], "sharpness": 0.4,
         "voted": n < 2, "bytes": len(frame), "scores": scores, **said}
        for n, frame in enumerate(frames)
    ]  # fmt: skip
    return Film(frames[0], tuple(views), b"".join(frames))


@dataclass
class FakeEngine:
    """Has what is looked at, and hears triggers."""

    alarms: Alarms
    picture: Picture | None = None
    triggers: list[EncoderReading | None] = field(default_factory=list)
    state: int = 6
    frames_dropped: int = 0

    def state_message(self) -> dict[str, Any]:
        return {
            "online": True, "state": self.state, "mode": 1, "camera": "ok", "frame_age_ms": 38, "ack_rtt_ms": 0.6,
            "model": "waste8 1.2.0",
        }  # fmt: skip

    def on_trigger(self, reading: EncoderReading | None) -> None:
        self.triggers.append(reading)


class WatchedLine:
    """Pieces come when the test says so.

    Args:
        folder: where the ledger lies.
        here: whether the line runs in this process; else its ledger is followed.
        clock: the line's.
        tables: of the configuration.
    """

    def __init__(self, folder: Path, *, here: bool = True, clock: Any = None, **tables: Any) -> None:
        self.config = watched_config(**tables)
        self.clock = clock or SystemClock()
        self.url = f"sqlite:///{folder / (self.config.line.name + '.sqlite')}"
        self.ledger = LedgerWriter(open_database(self.url), threaded=False)
        self.ledger.start(self.config.line.name, self.clock.utc())
        account = LineAccount(self.config, open_database(self.url), tiny_taxonomy())
        self.monitor = LineMonitor(account, self.clock)
        self.engine = FakeEngine(Alarms(self.clock.utc, self._alarm))
        self.source = PushSource(self.clock)
        self.here = here
        if here:
            self.monitor.attach(self, source=self.source)  # type: ignore[arg-type]
        self._seq = 0

    def post(self, call: Any) -> None:
        call()

    def close(self) -> None:
        self.ledger.close()
        self.monitor.account.database.dispose()

    def piece(self, **values: Any) -> Piece:
        """Let a piece come, with a life that is over unless said otherwise."""
        self._seq += 1
        at = self.clock.utc()
        piece = Piece(
            id=new_ulid(at), line=self.config.line.name, seq=self._seq, seen_at=at, status="confirmed", frames=3,
            category="red", confidence=0.98, scores={"red": 0.98, "green": 0.015, "blue": 0.005}, decision="accept",
            captured_at=at - dt.timedelta(milliseconds=18.5), decided_at=at + dt.timedelta(milliseconds=15),
            lane=1, target=884201, encoder=882134, commanded_at=at + dt.timedelta(milliseconds=20),
            acknowledged_at=at + dt.timedelta(milliseconds=21), ack_result="accepted",
            confirmed_at=at + dt.timedelta(seconds=3), confirm_result="ejected", latency_ms=38.5, model_name="tiny",
            model_version="1.0.0",
        )  # fmt: skip
        return self.change(replace(piece, **values))

    def change(self, piece: Piece, *, film: Film | None = None) -> Piece:
        """Let a piece be in another state."""
        self.ledger.put(piece)
        if piece.thumbnail is not None:
            self.ledger.keep(piece, film or Film(jpeg()))
        self.ledger.flush()
        if self.here:
            self.monitor.on_piece(piece)
        return piece

    def review(self, **values: Any) -> Piece:
        """Let a piece come that stays on the belt."""
        none: dict[str, Any] = dict.fromkeys(
            ("target", "commanded_at", "acknowledged_at", "ack_result", "confirmed_at", "confirm_result")
        )
        unsure = {"status": "fail_safe", "decision": "review", "reason": "low_confidence", "lane": 0, "confidence": 0.5}
        return self.piece(**none | unsure | values)

    def show(self, number: int, pieces: dict[int, Piece] | None = None) -> None:
        """Let the camera see the belt, with a track for each piece, and one that is none yet."""
        image = np.full((240, 320, 3), 60, np.uint8)
        tracks = []
        for track in (*(pieces or {}), 99):
            left = 10.0 + 70 * len(tracks)
            box = Box(left, 60, left + 50, 120)
            image[60:120, int(left) : int(left) + 50] = (200, 60, 40)
            tracks.append(Track(track, (0.0, 50.0), (0.0, 50.0), self.clock.now(), blob=Blob(box, 3000.0)))
        self.engine.picture = Picture(Frame(image, self.clock.now(), number), tuple(tracks), pieces or {})

    def _alarm(self, alarm: Alarm) -> None:
        self.ledger.event(self.config.line.name, alarm.code, active=alarm.active, detail=alarm.detail, at=alarm.at)
        self.ledger.flush()
        if self.here:
            self.monitor.on_alarm(alarm)
