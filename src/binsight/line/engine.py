"""The engine of a line: frames, belt, answers and ticks go in; pieces with an end come out.

One thread calls it, in real time or in virtual time. Nothing in it waits.
"""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from typing import Any

from binsight.line.alarms import Alarm, Alarms, ShareAlarm
from binsight.line.belt import Belt
from binsight.line.camera import CameraWatch
from binsight.line.commands import Dispatcher
from binsight.line.config import LineConfig
from binsight.line.detect import Detector
from binsight.line.film import make_film
from binsight.line.ledger.configuration import stored_configuration
from binsight.line.messages import fault_message, piece_message, utc_text
from binsight.line.packml import ControlCommand, StateMachine
from binsight.line.ports import Classify, Clock, Ledger, Sorter
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
from binsight.line.vote import vote
from binsight.predictor import Predictor, StreamCheck
from binsight.probability.cusum import BernoulliCusum

__all__ = ["Engine", "Picture"]

_VIEWS = 4  # per piece, at most
_VIEW_SPACING = 0.08  # of the field, between two views of one piece: the same view twice says nothing new
_DECIDE_WITHIN_S = 0.5  # after the crossing, a piece is decided with the views that are there
_STARVED_S = 60.0
_STREAM = 200  # pieces by which a camera is found to be strange
_KEEP_BELT_S = 300.0  # between two notes of what the empty belt looks like


@dataclass(slots=True)
class _Candidate:
    """A track on its way to the trigger line and, from there on, a piece that waits for its decision."""

    judged: list[View] = field(default_factory=list)
    waiting: int = 0  # views that were asked for and have not come back
    last_view_mm: float = float("-inf")
    several: bool = False
    piece: Piece | None = None
    crossed_mm: float = 0.0
    crossed_s: float = 0.0  # capture of the frame in which it crossed


@dataclass(frozen=True, slots=True)
class Picture:
    """What the engine saw in the last frame, for those who look on.

    Attributes:
        frame: as it came.
        tracks: what moves on the belt.
        pieces: those of them that are pieces by now, by the number of their track.
    """

    frame: Frame
    tracks: tuple[Track, ...]
    pieces: Mapping[int, Piece]


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
        empty_belt: as `keep_belt` was given it in an earlier life, so that no piece passes unseen while it is learnt.
        keep_belt: takes what is known of the empty belt, every few minutes; must not wait.
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
        empty_belt: bytes | None = None,
        keep_belt: Callable[[bytes], None] = lambda _: None,
    ) -> None:
        self.config = config
        self.machine = StateMachine()
        self.belt = Belt(config.belt, started_s=clock.now())
        self.alarms = Alarms(clock.utc, self._tell_alarm)
        self.pieces_seen = 0
        self.frames_dropped = 0
        self.picture: Picture | None = None
        self._predictor = predictor
        self._classify = classify
        self._clock, self._sorter, self._ledger = clock, sorter, ledger
        self._on_piece, self._on_alarm = on_piece, on_alarm
        self._random = random.Random(seed)  # noqa: S311 - draws a sample, keeps no secret
        camera = config.camera
        self._watch = CameraWatch()
        self._detector = Detector(region=camera.region, direction=camera.direction, field_mm=camera.field_mm)
        if empty_belt is not None:
            self._detector.restore(empty_belt)
        self._keep_belt, self._keep_next_s = keep_belt, float("-inf")
        self._tracker = Tracker(line=camera.trigger_at, external=camera.trigger == "external")
        self._candidates: dict[int, _Candidate] = {}
        self._pieces: dict[int, Piece] = {}  # by the number of their track, as long as that is followed
        self._numbers: dict[int, int] = {}  # sequence number → that of the track
        self._unseen = 0
        self.camera_state: CameraState = "starting"
        self._frame_s = self._last_piece_s = clock.now()
        self._drift = BernoulliCusum()
        self._stream = StreamCheck(predictor.bundle.manifest, window=_STREAM)
        self._review, self._late = ShareAlarm(config.alarms.review_share), ShareAlarm(config.alarms.late_share)
        self.dispatcher = Dispatcher(
            config, clock=clock, belt=self.belt, sorter=sorter, ledger=ledger, post=post, on_change=self._changed
        )
        self._next_seq = ledger.start(
            config.line.name,
            clock.utc(),
            confirms=sorter.confirms,
            configuration=stored_configuration(config, predictor.taxonomy),
        )

    @property
    def _is_silent(self) -> bool:
        return self._clock.now() - self._frame_s > self.config.camera.stalled_after_ms / 1000

    @property
    def ready(self) -> bool:
        """Whether the empty belt is known, so that pieces can be found."""
        return self._detector.ready

    @property
    def at_rest(self) -> bool:
        """Whether every piece that was seen has its end."""
        return not self.dispatcher.outstanding and all(c.piece is None for c in self._candidates.values())

    # What comes in.

    def on_frame(self, frame: Frame) -> None:
        """Look at one picture of the belt."""
        if frame.encoder is None:
            frame = replace(frame, encoder=self.belt.counts(frame.captured_s))
        self._frame_s = frame.captured_s
        self.on_camera(self._watch.look(frame))
        if self._watch.repeated:
            return
        travel_mm = self.belt.position_mm(frame.captured_s)
        blobs = [] if self._watch.blind else self._detector.find(frame, travel_mm)
        self.alarms.set("no_empty_belt", active=not self._detector.ready, detail="no empty belt was seen yet")
        if self._detector.ready and not self._watch.blind and self._clock.now() >= self._keep_next_s:
            self._keep_next_s = self._clock.now() + _KEEP_BELT_S
            self._keep_belt(self._detector.dump())
        if self._detector.field is None:
            return
        self._tracker.slip = 0.1 if self.belt.is_measured(frame.captured_s) else 1.0
        tracking = self._tracker.update(blobs, self._detector.field, travel_mm=travel_mm, at_s=frame.captured_s)
        self._follow(tracking, frame, travel_mm)
        self.picture = Picture(frame, tuple(copy(track) for track in tracking.tracks), dict(self._pieces))

    def on_camera(self, state: CameraState) -> None:
        """The camera is in another state, or still in the same.

        One that gives nothing is `stalled`, or `absent`, until it gives a picture: that it is tried anew ends no alarm.
        """
        if state == "starting" and self._is_silent:
            state = "absent" if self.picture is None else "stalled"
        if state == "stalled" and self.camera_state == "absent":
            return
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
        if self.picture is None:
            return
        travel_mm = self.belt.position_mm(self._clock.now())
        track = self._tracker.nearest(travel_mm)
        waiting = None if track is None else self._candidates.get(track.number)
        if track is not None and waiting is not None and waiting.piece is not None:
            return  # said twice of the same piece
        self._unseen -= 1  # numbers of pieces that the camera never saw
        number = self._unseen if track is None else track.number
        self._cross(number, travel_mm, travel_mm, replace(self.picture.frame, captured_s=self._clock.now()))

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
                self._decide(number)
        if self._is_silent:
            self.on_camera("stalled" if self.picture is not None else "absent")
        self.alarms.set("ledger", active=self._ledger.fault is not None, detail=self._ledger.fault or "")
        self.dispatcher.tick()
        self.machine.set_starved(active=now - self._last_piece_s > _STARVED_S)

    def stop(self) -> None:
        """Give every piece its end, as good as it can be known now, and command nothing more."""
        self.machine.command(ControlCommand.STOP)
        for number in [number for number, candidate in self._candidates.items() if candidate.piece is not None]:
            self._decide(number)
        self.dispatcher.stop()

    # From a track to a decided piece.

    def _follow(self, tracking: Tracking, frame: Frame, travel_mm: float) -> None:
        crossed = {track.number for track in tracking.crossed}
        for track in tracking.tracks:
            if not track.counted or track.number in crossed:
                self._look(track, frame, now_or_never=track.number in crossed)
        if self.config.camera.trigger == "camera":
            for track in tracking.crossed:
                self._cross(track.number, track.crossed_mm or travel_mm, travel_mm, frame)
        for track in tracking.gone:
            piece = self._pieces.pop(track.number, None)
            if piece is not None:
                del self._numbers[piece.seq]
            candidate = self._candidates.get(track.number)
            if candidate is not None and candidate.piece is None:
                del self._candidates[track.number]

    def _look(self, track: Track, frame: Frame, *, now_or_never: bool) -> None:
        candidate = self._candidates.setdefault(track.number, _Candidate())
        candidate.several = track.several
        field_mm = self.config.camera.field_mm
        looked = len(candidate.judged) + candidate.waiting
        due = track.centre_mm - candidate.last_view_mm >= _VIEW_SPACING * field_mm
        if track.blob is None or not (looked == 0 if now_or_never else due and looked < _VIEWS):
            return
        view = cut_view(frame, track.blob, margin=self.config.camera.margin)
        urgent = looked == 0
        if view.votes and self._classify([view], lambda views: self._judged(track.number, views), urgent=urgent):
            candidate.last_view_mm = track.centre_mm
            candidate.waiting += 1

    def _judged(self, number: int, views: Sequence[View]) -> None:
        candidate = self._candidates.get(number)
        if candidate is None:
            return  # decided without this view
        candidate.judged += views
        candidate.waiting -= len(views)
        if candidate.piece is not None and candidate.waiting == 0:
            self._decide(number)

    def _cross(self, number: int, crossed_mm: float, travel_mm: float, frame: Frame) -> None:
        """A piece: from here on it is accounted for."""
        candidate = self._candidates.setdefault(number, _Candidate())
        candidate.crossed_mm, candidate.crossed_s = crossed_mm, frame.captured_s
        encoder = None
        if frame.encoder is not None and self.config.belt.counts_per_mm is not None:
            encoder = round(frame.encoder - (travel_mm - crossed_mm) * self.config.belt.counts_per_mm) % ENCODER_RANGE
        at = self._clock.utc()
        manifest = self._predictor.bundle.manifest
        candidate.piece = Piece(
            id=new_ulid(at, self._random.getrandbits(80)),
            line=self.config.line.name,
            seq=self._next_seq,
            seen_at=at,
            captured_at=self._utc(frame.captured_s),
            encoder=encoder,
            shift=self.config.shift_at(at.astimezone()),
            model_name=manifest.name,
            model_version=manifest.version,
        )
        self._next_seq += 1
        self.pieces_seen += 1
        self._last_piece_s = self._clock.now()
        if number > 0:
            self._numbers[candidate.piece.seq] = number
        self._ledger.put(candidate.piece)
        self._show(candidate.piece)
        if candidate.waiting == 0:
            self._decide(number)

    def _decide(self, number: int) -> None:
        candidate = self._candidates.pop(number)
        assert candidate.piece is not None  # noqa: S101 - only pieces are decided
        taxonomy = self._predictor.taxonomy
        found = vote(
            candidate.judged,
            self._predictor.bundle.manifest.review,
            biodegradable_mask=taxonomy.biodegradable_mask,
            several=candidate.several,
        )
        share = self.config.audit.accepted_share if found.decision == "accept" else self.config.audit.reviewed_share
        drawn = self._random.random() < share
        keeps_picture = bool(candidate.judged) and (self.config.ledger.thumbnails or drawn)
        piece = replace(
            candidate.piece,
            status="decided",
            decided_at=self._clock.utc(),
            frames=len(found.views),
            category=found.category,
            confidence=found.confidence,
            scores=found.scores,
            decision=found.decision,
            reason=found.reason,
            audit_probability=share if drawn else None,
            thumbnail=candidate.piece.id if keeps_picture else None,
            latency_ms=1000 * (self._clock.now() - candidate.crossed_s),
        )
        self._ledger.put(piece)
        self._show(piece)
        review = self._review.add(found.decision == "review")
        self.alarms.set("review_share", active=review, detail=f"{self._review.share:.0%} of the last pieces to review")
        drift = self._drift.add(found.decision == "review")
        usual = self._drift.p0 or 0.0
        self.alarms.set("drift", active=drift, detail=f"the share to review has risen beyond its usual {usual:.1%}")
        for view in found.views[-1:]:  # one of them: the others show much the same
            if view.prediction is not None:
                self._stream.add(view.prediction)
        self.alarms.set("camera_strange", active=self._stream.is_said, detail=self._stream.warning)
        self._route(piece, candidate)
        if keeps_picture:  # when the command is on its way
            voted = {view.frame for view in found.views}
            self._ledger.keep(piece, make_film(candidate.judged, voted, at=lambda s: utc_text(self._utc(s))))

    def _route(self, piece: Piece, candidate: _Candidate) -> None:
        lane = None
        if piece.category is not None:
            taxonomy = self._predictor.taxonomy
            lane = self.config.lane_of(piece.category, taxonomy.classes[taxonomy.index(piece.category)].stream)
        if piece.decision == "review":
            self.dispatcher.end(piece, "fail_safe", piece.reason)
        elif self.config.sorter.kind == "none":
            self.dispatcher.end(piece, "fail_safe", "look_only")
        elif lane is None:
            self.dispatcher.end(piece, "fail_safe", "no_lane")
        elif not self.machine.sorts:
            self.dispatcher.end(piece, "fail_safe", self.machine.state.name.lower())
        else:
            self.dispatcher.command(piece, lane, crossed_mm=candidate.crossed_mm, captured_s=candidate.crossed_s)

    def _utc(self, at_s: float) -> dt.datetime:
        """When that was, as the wall clock has it now."""
        return self._clock.utc() - dt.timedelta(seconds=self._clock.now() - at_s)

    # What goes out.

    def state_message(self) -> dict[str, Any]:
        """The `state` message."""
        age_ms = None if self.picture is None else 1000 * (self._clock.now() - self.picture.frame.captured_s)
        rtt_ms = self.dispatcher.ack_rtt_ms
        manifest = self._predictor.bundle.manifest
        return {
            "online": True,
            "state": int(self.machine.state),
            "mode": int(self.machine.mode),
            "camera": self.camera_state,
            "frame_age_ms": None if age_ms is None else round(age_ms),
            "ack_rtt_ms": None if rtt_ms is None else round(rtt_ms, 1),
            "model": f"{manifest.name} {manifest.version}",
        }

    def _show(self, piece: Piece) -> None:
        number = self._numbers.get(piece.seq)
        if number is not None:
            self._pieces[number] = piece
        self._on_piece(piece)

    def _changed(self, piece: Piece) -> None:
        self._show(piece)
        if piece.status != "commanded":
            self._sorter.publish("piece", piece_message(piece))
            late = self._late.add(piece.status == "late") if piece.status != "fail_safe" else self._late.active
            self.alarms.set("late", active=late, detail=f"{self._late.share:.1%} of the last commands were late")

    def _tell_alarm(self, alarm: Alarm) -> None:
        line = self.config.line.name
        self._ledger.event(line, alarm.code, active=alarm.active, detail=alarm.detail, at=alarm.at)
        self._sorter.publish("fault", fault_message(alarm))
        self._on_alarm(alarm)
