"""The engine of a line: frames, belt, answers and ticks go in; pieces with an end come out.

One thread calls it, in real time or in virtual time. Nothing in it waits.
"""

from __future__ import annotations

import io
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from PIL import Image

from binsight.line.alarms import Alarm, Alarms, ShareAlarm
from binsight.line.belt import Belt
from binsight.line.camera import CameraWatch
from binsight.line.commands import Dispatcher
from binsight.line.config import LineConfig
from binsight.line.detect import Detector
from binsight.line.messages import fault_message, piece_message
from binsight.line.packml import StateMachine
from binsight.line.ports import Clock, Ledger, Sorter
from binsight.line.records import (
    ENCODER_RANGE,
    Ack,
    CameraState,
    Confirm,
    EncoderReading,
    Frame,
    Piece,
    View,
    new_ulid,
)
from binsight.line.track import Track, Tracker, Tracking
from binsight.line.views import cut_view
from binsight.line.vote import Vote, vote
from binsight.predictor import Predictor

__all__ = ["Classify", "Engine", "Picture"]

# Takes views and calls back, on the engine's thread, with the same views and their predictions.
Classify = Callable[[Sequence[View], Callable[[Sequence[View]], None]], None]

_VIEWS = 4  # per piece, at most
_VIEW_SPACING = 0.08  # of the field, between two views of one piece: the same view twice says nothing new
_DECIDE_WITHIN_S = 1.0  # after this a piece is decided with the views that are there
_STARVED_S = 60.0
_THUMBNAIL_SIDE = 192


@dataclass(slots=True)
class _Candidate:
    """A track on its way to the trigger line and, from there, a piece that waits for its decision."""

    views: list[View] = field(default_factory=list)
    asked: int = 0
    last_view_mm: float = float("-inf")
    piece: Piece | None = None
    crossed_mm: float = 0.0
    captured_s: float = 0.0
    crossed_s: float = 0.0
    several: bool = False


@dataclass(frozen=True, slots=True)
class Picture:
    """What the engine saw in the last frame, for those who look on."""

    frame: Frame
    tracks: tuple[Track, ...]
    sequence: dict[int, Piece]  # by the number of its track


class Engine:
    """See the module.

    Args:
        config: of the line.
        predictor: its taxonomy, thresholds and name; `classify` runs it.
        classify: asks for predictions without waiting for them.
        clock, sorter, ledger: the outside world.
        post: hands a call over to the engine's thread.
        seed: of the audit's draw; None draws it from the system.
        on_piece: told of every new state of a piece.
        on_alarm: told of every alarm that comes or goes.
    """

    def __init__(
        self,
        config: LineConfig,
        *,
        predictor: Predictor,
        classify: Classify,
        clock: Clock,
        sorter: Sorter,
        ledger: Ledger,
        post: Callable[[Callable[[], None]], None],
        seed: int | None = None,
        on_piece: Callable[[Piece], None] = lambda _: None,
        on_alarm: Callable[[Alarm], None] = lambda _: None,
    ) -> None:
        self.config = config
        self.machine = StateMachine()
        self.belt = Belt(config.belt, started_s=clock.now())
        self.alarms = Alarms(clock.utc, self._tell_alarm)
        self.pieces_seen = 0
        self.picture: Picture | None = None
        self._predictor = predictor
        self._classify = classify
        self._clock, self._sorter, self._ledger = clock, sorter, ledger
        self._on_piece, self._on_alarm = on_piece, on_alarm
        self._random = random.Random(seed)  # noqa: S311 - draws a sample, keeps no secret
        camera = config.camera
        self._watch = CameraWatch()
        self._detector = Detector(region=camera.region, direction=camera.direction, field_mm=camera.field_mm)
        self._tracker = Tracker(line=camera.trigger_at, slip=0.1 if self.belt.has_encoder else 1.0)
        self._candidates: dict[int, _Candidate] = {}
        self._last_piece_s = clock.now()
        self._review, self._late = ShareAlarm(config.alarms.review_share), ShareAlarm(config.alarms.late_share)
        self.dispatcher = Dispatcher(
            config, clock=clock, belt=self.belt, sorter=sorter, ledger=ledger, post=post, on_change=self._changed
        )
        self._next_seq = ledger.start(config.line.name, clock.utc(), confirms=sorter.confirms)

    # What comes in.

    def on_frame(self, frame: Frame) -> None:
        """Look at one picture of the belt."""
        if frame.encoder is None:
            frame = replace(frame, encoder=self.belt.counts(frame.captured_s))
        self.on_camera(self._watch.look(frame))
        travel_mm = self.belt.position_mm(frame.captured_s)
        blobs = [] if self._watch.blind else self._detector.find(frame, travel_mm)
        self.alarms.set("no_empty_belt", active=not self._detector.ready, detail="no empty belt was seen yet")
        if self._detector.field is None:
            return
        tracking = self._tracker.update(blobs, self._detector.field, travel_mm=travel_mm, at_s=frame.captured_s)
        self._follow(tracking, frame, travel_mm)
        pieces = {number: c.piece for number, c in self._candidates.items() if c.piece is not None}
        self.picture = Picture(frame, tuple(tracking.tracks), pieces)

    def on_camera(self, state: CameraState) -> None:
        """The camera is in another state, or still in the same."""
        for bad in ("absent", "stalled", "frozen", "dark", "blurred", "unstable"):
            self.alarms.set(f"camera_{bad}", active=state == bad, detail=f"the camera is {bad}")
        self.machine.set_fault(active=state not in {"ok", "blurred"})
        self.camera_state = state

    def on_encoder(self, reading: EncoderReading) -> None:
        """The belt is here."""
        self.belt.on_reading(reading)

    def on_trigger(self, reading: EncoderReading | None) -> None:
        """Something outside says: a piece is at the trigger line now. Only where the configuration asks for it."""
        if self.config.camera.trigger != "external":
            return
        if reading is not None:
            self.belt.on_reading(reading)
        now = self._clock.now()
        travel_mm = self.belt.position_mm(now)
        track = self._tracker.nearest(travel_mm)
        if track is None:
            candidate = _Candidate(crossed_mm=travel_mm, captured_s=now, crossed_s=now)
            self._see(candidate)
            self._decide(candidate)
        elif self._candidates[track.number].piece is None:
            self._cross(track, travel_mm, now)

    def on_ack(self, ack: Ack) -> None:
        """The sorter answered a command."""
        self.dispatcher.on_ack(ack)

    def on_confirm(self, confirm: Confirm) -> None:
        """The sorter says what became of one."""
        self.dispatcher.on_confirm(confirm)

    def on_control(self, command: int) -> None:
        """A PackML command came."""
        self.machine.command(command)

    def on_link(self, *, up: bool) -> None:
        """The connection to the equipment came or went."""
        self.alarms.set("link", active=not up, detail="no connection to the sorter")

    def tick(self) -> None:
        """Time passed; to be called at least every 50 ms."""
        now = self._clock.now()
        for number, candidate in list(self._candidates.items()):
            if candidate.piece is not None and now - candidate.crossed_s > _DECIDE_WITHIN_S:
                self._candidates.pop(number)
                self._decide(candidate)
        self.dispatcher.tick()
        self.machine.set_starved(active=now - self._last_piece_s > _STARVED_S)

    # From a track to a piece.

    def _follow(self, tracking: Tracking, frame: Frame, travel_mm: float) -> None:
        views: list[View] = []
        for track in tracking.tracks:
            candidate = self._candidates.setdefault(track.number, _Candidate()) if not track.counted else None
            candidate = candidate or self._candidates.get(track.number)
            if candidate is not None:
                views += self._look(track, candidate, frame, travel_mm)
        if views:
            self._classify([view for view in views], self._judged(tracking, views))
        if self.config.camera.trigger == "camera":
            for track in tracking.crossed:
                self._cross(track, travel_mm, frame.captured_s)
        for track in tracking.gone:
            candidate = self._candidates.get(track.number)
            if candidate is not None and candidate.piece is None:
                del self._candidates[track.number]
