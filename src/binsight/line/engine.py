"""The engine of a line: frames, belt, answers and ticks go in; pieces with an end come out.

One thread calls it, in real time or in virtual time. Nothing in it waits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass, replace
from typing import Any

from binsight.line.alarms import Alarm, Alarms, ShareAlarm
from binsight.line.belt import Belt
from binsight.line.camera import CameraWatch
from binsight.line.commands import Dispatcher
from binsight.line.detect import Detector
from binsight.line.inspection import Inspection
from binsight.line.ledger.configuration import stored_configuration
from binsight.line.messages import fault_message, piece_message
from binsight.line.packml import ControlCommand, StateMachine
from binsight.line.ports import Ports
from binsight.line.records import Ack, CameraState, Confirm, EncoderReading, Frame, Piece
from binsight.line.track import Track, Tracker
from binsight.line.vote import Vote
from binsight.predictor import StreamCheck
from binsight.probability.cusum import BernoulliCusum

__all__ = ["Engine", "Picture"]

_STARVED_S = 60.0
_KEEP_BELT_S = 300.0  # between two notes of what the empty belt looks like
_NEW = "every piece is left to a person until the camera is known to be familiar to the model, by 15 to 30 pieces"


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
        ports: settings, model, and the outside world.
        seed: of the audit's draw; None draws it from the system.
        on_piece: told of every new state of a piece.
        on_alarm: told of every alarm that comes or goes.
        empty_belt: as `keep_belt` was given it in an earlier life, so that no piece passes unseen while it is learnt.
        keep_belt: takes what is known of the empty belt, every few minutes; must not wait.
        is_new: nobody knows yet whether the camera is familiar to the model: until it is, nothing is accepted.
        keep_familiar: told when it is found familiar, and when it is not any more; must not wait.
    """

    def __init__(
        self,
        ports: Ports,
        *,
        seed: int | None = None,
        on_piece: Callable[[Piece], None] = lambda _: None,
        on_alarm: Callable[[Alarm], None] = lambda _: None,
        empty_belt: bytes | None = None,
        keep_belt: Callable[[bytes], None] = lambda _: None,
        is_new: bool = False,
        keep_familiar: Callable[[bool], None] = lambda _: None,
    ) -> None:
        self.config = config = ports.config
        clock, manifest = ports.clock, ports.predictor.bundle.manifest
        self.machine = StateMachine()
        self.belt = Belt(config.belt, started_s=clock.now())
        self.alarms = Alarms(clock.utc, self._tell_alarm)
        self.frames_dropped = 0
        self.picture: Picture | None = None
        self._manifest = manifest
        self._clock, self._sorter, self._ledger = clock, ports.sorter, ports.ledger
        self._on_alarm = on_alarm
        self._watch = CameraWatch()
        self._detector = Detector(**config.camera.view)
        if empty_belt is not None:
            self._detector.restore(empty_belt)
        self._keep_belt, self._keep_next_s = keep_belt, float("-inf")
        self._tracker = Tracker(line=config.camera.trigger_at, external=config.camera.trigger == "external")
        self.camera_state: CameraState = "starting"
        self._frame_s = clock.now()
        self._drift = BernoulliCusum()
        self._stream = StreamCheck(manifest, on_strange=config.line.strange, is_new=is_new)
        self._keep_familiar, self._was_familiar = keep_familiar, not is_new
        self._review, self._late = ShareAlarm(config.alarms.review_share), ShareAlarm(config.alarms.late_share)
        self.dispatcher = Dispatcher(
            config,
            clock=clock,
            belt=self.belt,
            sorter=ports.sorter,
            ledger=ports.ledger,
            post=ports.post,
            on_change=self._changed,
        )
        self._inspection = Inspection(
            ports,
            belt=self.belt,
            dispatcher=self.dispatcher,
            machine=self.machine,
            next_seq=self._open_account(stored_configuration(config, ports.predictor.taxonomy)),
            seed=seed,
            on_piece=on_piece,
            judge=self._judge,
        )

    def _open_account(self, configuration: Mapping[str, Any]) -> int:
        """Open the line's account; the sequence number of the next piece."""
        name, confirms = self.config.line.name, self._sorter.confirms
        return self._ledger.start(name, self._clock.utc(), confirms=confirms, configuration=configuration)

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
        return not self.dispatcher.outstanding and self._inspection.at_rest

    @property
    def pieces_seen(self) -> int:
        """Since the start."""
        return self._inspection.seen

    @property
    def since_crossing_mm(self) -> float:
        """How far the belt has come since the last piece was at the trigger line."""
        return self.belt.position_mm(self._clock.now()) - self._inspection.last_crossed_mm

    # What comes in.

    def on_frame(self, frame: Frame) -> None:
        """Look at one picture of the belt."""
        if frame.encoder is not None:
            self.belt.on_reading(EncoderReading(frame.encoder, frame.captured_s))
        self._frame_s = frame.captured_s
        self.on_camera(self._watch.look(frame))
        if self._watch.repeated:
            return
        travel_mm = self.belt.position_mm(frame.captured_s)
        # A belt that may stand teaches nothing about the empty belt.
        taught_mm = travel_mm if self.belt.is_known else 0.0
        blobs = [] if self._watch.blind else self._detector.find(frame, taught_mm)
        self.alarms.set("no_empty_belt", active=not self._detector.ready, detail="no empty belt was seen yet")
        if self._detector.ready and not self._watch.blind and self._clock.now() >= self._keep_next_s:
            self._keep_next_s = self._clock.now() + _KEEP_BELT_S
            self._keep_belt(self._detector.dump())
        if self._detector.field is None:
            return
        self._tracker.slip = 0.1 if self.belt.is_measured(frame.captured_s) else 1.0
        tracking = self._tracker.update(blobs, self._detector.field, travel_mm=travel_mm, at_s=frame.captured_s)
        self._inspection.follow(tracking, frame, travel_mm)
        self.picture = Picture(frame, tuple(copy(track) for track in tracking.tracks), dict(self._inspection.pieces))

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
        self.machine.fault = state not in {"ok", "blurred"}
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
        if track is None or not self._inspection.is_counted(track):  # else it was said twice of the same piece
            self._inspection.cross(track, travel_mm, captured_s=self._clock.now())

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
        self._inspection.decide_overdue()
        if self._is_silent:
            self.on_camera("stalled" if self.picture is not None else "absent")
            if self.belt.is_measured(now):  # else it may stand, and nothing have left
                self._inspection.forget(self._tracker.leave(self.belt.position_mm(now)))
        self.alarms.set("ledger", active=self._ledger.fault is not None, detail=self._ledger.fault or "")
        self.dispatcher.tick()
        self.machine.starved = now - self._inspection.last_seen_s > _STARVED_S

    def stop(self) -> None:
        """Give every piece its end, as good as it can be known now, and command nothing more."""
        self.machine.command(ControlCommand.STOP)
        self._inspection.decide_all()
        self._inspection.forget(self._tracker.leave(self.belt.position_mm(self._clock.now()), at_end=True))
        self.dispatcher.stop()

    # What goes out.

    def state_message(self) -> dict[str, Any]:
        """The `state` message."""
        age_ms = None if self.picture is None else 1000 * (self._clock.now() - self.picture.frame.captured_s)
        rtt_ms = self.dispatcher.ack_rtt_ms
        return {
            "online": True,
            "state": int(self.machine.state),
            "mode": int(self.machine.mode),
            "camera": self.camera_state,
            "frame_age_ms": None if age_ms is None else round(age_ms),
            "ack_rtt_ms": None if rtt_ms is None else round(rtt_ms, 1),
            "model": f"{self._manifest.name} {self._manifest.version}",
        }

    def _judge(self, found: Vote) -> Vote:
        """The vote as it is to be obeyed: of a strange or new camera nothing is accepted, unless so it is set."""
        for view in found.views[-1:]:  # one of them: the others show much the same
            if view.prediction is not None:
                self._stream.add(view.prediction)
        self._tell_stream()
        reviewed, reason = found.decision == "review", self._stream.reason
        if not reviewed and reason is not None:
            found = replace(found, decision="review", reason=reason)
        # What the model itself says of pieces; that all go to review is said by the alarm above.
        review, drift = self._review.add(reviewed), self._drift.add(reviewed)
        self.alarms.set("review_share", active=review, detail=f"{self._review.share:.0%} of the last pieces to review")
        usual = self._drift.p0 or 0.0
        self.alarms.set("drift", active=drift, detail=f"the share to review has risen beyond its usual {usual:.1%}")
        return found

    def _tell_stream(self) -> None:
        stream = self._stream
        self.alarms.set("camera_strange", active=stream.is_strange, detail=stream.warning)
        self.alarms.set("camera_new", active=stream.reason == "new_camera", detail=_NEW)
        is_familiar = stream.state == "familiar"
        if is_familiar != self._was_familiar:
            self._was_familiar = is_familiar
            self._keep_familiar(is_familiar)

    def _changed(self, piece: Piece) -> None:
        self._inspection.show(piece)
        if piece.status != "commanded":
            self._sorter.publish("piece", piece_message(piece))
            late = self._late.add(piece.status == "late") if piece.status != "fail_safe" else self._late.active
            self.alarms.set("late", active=late, detail=f"{self._late.share:.1%} of the last commands were late")

    def _tell_alarm(self, alarm: Alarm) -> None:
        line = self.config.line.name
        self._ledger.event(line, alarm.code, active=alarm.active, detail=alarm.detail, at=alarm.at)
        self._sorter.publish("fault", fault_message(alarm))
        self._on_alarm(alarm)
