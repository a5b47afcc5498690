"""What is known of a line at this moment, for those who look on: counts of the shift, alarms, the newest frame."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from binsight.errors import BinsightError
from binsight.imaging import small_jpeg
from binsight.line.account import LineAccount, event_entry, piece_entry
from binsight.line.alarms import Alarm
from binsight.line.following import LedgerFollower
from binsight.line.lane_purity import LanePurity
from binsight.line.ledger.reading import Span, count_pieces, latency_percentiles
from binsight.line.live_frame import frame_message
from binsight.line.messages import purity_message, utc_text
from binsight.line.packml import Mode, State
from binsight.line.ports import Clock
from binsight.line.records import ENDS, FAIL_SAFE_LANE, EncoderReading, Piece
from binsight.line.remote import RemoteLine
from binsight.line.run import LineRunner
from binsight.line.shifts import Period, last_periods
from binsight.line.sources.push import PushSource
from binsight.line.tally import Tally

__all__ = ["LineMonitor", "NotHereError"]

_CHANGED = 500  # pieces whose news wait to be asked for
_POLL_S = 0.5
_OVERVIEW_S = 1.0
_FRAME_S = 0.2
_NEWEST = 30
_PURITY_S = 30.0
_FORGET_S = 120.0  # a ledger that nobody asked about for so long is read anew
_NEVER_CONFIRM = frozenset({"webhook", "csv", "none"})


class NotHereError(BinsightError, RuntimeError):
    """The line does not run in this program, or does not take this."""

    code = "not_here"


@dataclass(frozen=True, slots=True)
class _Here:
    """What belongs to a line that runs in this process."""

    line: LineRunner
    push: PushSource | None


class LineMonitor:
    """Told of pieces and alarms as they change, asked by whoever looks; from any thread, and nobody waits for long.

    Without `attach` the line runs in another program, and its ledger is followed while somebody asks; with `listen` its
    broker tells how it is.
    """

    def __init__(self, account: LineAccount, clock: Clock) -> None:
        self.account = account
        self.config = account.config
        self.name = self.config.line.name
        self._clock = clock
        self._lock = threading.RLock()
        self._here: _Here | None = None
        self._remote: RemoteLine | None = None
        self._follower: LedgerFollower | None = None
        self._polled_s = self._told_s = self._measured_s = float("-inf")
        self._frame_told = -1
        self._jpeg: tuple[float, bytes] | None = None  # when it was encoded
        self._changed: dict[str, Piece] = {}
        self._alarms: dict[str, Alarm] = {}
        self._news: list[Alarm] = []
        self.alarm_counts: dict[str, int] = {}
        self.total = Tally(clock.now())  # since this object was made
        self._period: Period | None = None
        self._shift = Tally(clock.now())
        self.purities: Mapping[int, LanePurity] = {}
        self._streams = {entry.id: entry.stream for entry in account.taxonomy.classes}

    @property
    def is_here(self) -> bool:
        """Whether the line runs in this process."""
        return self._here is not None

    def attach(self, line: LineRunner, *, source: object = None) -> None:
        """The line runs in this process; to be called before its engine gets the first event.

        Args:
            line: it.
            source: its camera; frames can be pushed where it is a `PushSource`.
        """
        self._here = _Here(line, source if isinstance(source, PushSource) else None)
        with self._lock:
            self._begin_period(anew=True)

    def listen(self) -> None:
        """The line runs in another program: hear how it is over its broker, where it has one."""
        if self.config.sorter.kind == "mqtt":
            self._remote = RemoteLine(self.config, self._clock, tell_fault=self._on_fault)
            self._remote.start()

    def close(self) -> None:
        """Stop listening, and let go of the ledger."""
        if self._remote is not None:
            self._remote.close()
        self.account.database.dispose()

    # What the line tells, on its engine's thread.

    def on_piece(self, piece: Piece) -> None:
        """A piece is in a new state."""
        with self._lock:
            if self._has_ended(piece.status):
                self._begin_period()
                now = self._clock.now()
                self.total.add(piece, now)
                self._shift.add(piece, now)
            self._changed.pop(piece.id, None)
            self._changed[piece.id] = piece
            if len(self._changed) > _CHANGED:
                del self._changed[next(iter(self._changed))]

    def on_alarm(self, alarm: Alarm) -> None:
        """An alarm came or went."""
        with self._lock:
            was_active = alarm.code in self._alarms
            if alarm.active:
                self._alarms[alarm.code] = alarm
                self.alarm_counts[alarm.code] = self.alarm_counts.get(alarm.code, 0) + (not was_active)
            else:
                self._alarms.pop(alarm.code, None)
            if alarm.active != was_active:  # broker and ledger both tell of it
                self._news = [*self._news[-_CHANGED:], alarm]

    def _on_fault(self, code: str, active: bool) -> None:
        """The broker says so; the ledger will tell the details."""
        with self._lock:
            if active != (code in self._alarms):
                self.on_alarm(Alarm(code, active, "", self._clock.utc()))

    # What others ask.

    def anew(self) -> dict[str, Any]:
        """All that counts: the overview, and the newest pieces."""
        return {"overview": self.overview(), "newest": self.account.pieces(limit=_NEWEST)["pieces"]}

    def news(self) -> list[tuple[str, Any, bool]]:
        """What happened since this was last called: name, data, and whether the next of that name replaces it."""
        self._follow()
        now = self._clock.now()
        with self._lock:
            pieces, self._changed = list(self._changed.values()), {}
            alarms, self._news = self._news, []
        found: list[tuple[str, Any, bool]] = []
        if pieces:
            found.append(("pieces", [piece_entry(piece) for piece in pieces], False))
        found += [("alarm", event_entry(alarm), False) for alarm in alarms]
        if now - self._told_s >= _OVERVIEW_S or alarms:
            self._told_s = now
            found.append(("overview", self.overview(), True))
        frame = self._new_frame()
        return found if frame is None else [*found, ("frame", frame, True)]

    def overview(self) -> dict[str, Any]:
        """The figures of the running shift, and the state."""
        self._follow()
        with self._lock:
            self._begin_period()
            now, shift, period = self._clock.now(), self._shift, self._period
            assert period is not None  # noqa: S101 - it has begun
            rates, pieces = shift.per_minute(now), shift.pieces
            numbers = [*(lane.number for lane in self.config.lanes), FAIL_SAFE_LANE]
            return {
                "name": self.name,
                "site": self.config.line.site,
                "here": self.is_here,
                "at": utc_text(self._clock.utc()),
                "state": self._state(),
                "remote": None if self._remote is None else self._remote.presence(),
                "shift": {"name": period.name, "began": utc_text(period.began)},
                "pieces": pieces,
                "per_minute": rates.total(),
                "review_share": shift.reviewed / pieces if pieces else None,
                "latency_ms": shift.latency_percentiles(),
                "ends": shift.by_status,
                "lanes": [self._lane(number, rates[number]) for number in numbers],
                "categories": [
                    {"category": category, "pieces": count} for category, count in shift.categories.most_common()
                ],
                "alarms": [event_entry(alarm) for alarm in self._alarms.values()],
            }

    def jpeg(self) -> bytes | None:
        """The newest frame, encoded at most five times a second; None where there is none, or the line is elsewhere."""
        picture = self._here.line.engine.picture if self._here is not None else None
        if picture is None:
            return None
        with self._lock:
            now = self._clock.now()
            if self._jpeg is None or now - self._jpeg[0] >= _FRAME_S:
                self._jpeg = now, small_jpeg(picture.frame.image)
            return self._jpeg[1]

    def about(self) -> dict[str, Any]:
        """What does not change while the line runs: name, lanes, classes."""
        lanes = [{"number": lane.number, "name": lane.name} for lane in self.config.lanes]
        classes = [{"id": c.id, "title": c.title, "stream": c.stream} for c in self.account.taxonomy.classes]
        return {
            "name": self.name,
            "site": self.config.line.site,
            "here": self.is_here,
            "lanes": lanes,
            "classes": classes,
        }

    def figures(self) -> dict[str, Any]:
        """For metrics; counters count from when this object was made.

        Those of `Tally.figures`; `alarms` by code (1 for on), `alarm_counts` by code, `purities` by (lane, bound),
        `targets` and `audited` by lane; None where it is not known: `up`, `state`, `frame_age_s`, `ack_rtt_s`,
        `frames_dropped`.
        """
        self._follow()
        with self._lock:
            targets = {number: found.target for number, found in self.purities.items()}
            return {
                **self._presence(),
                **self.total.figures(),
                "alarms": {code: int(code in self._alarms) for code in self.alarm_counts},
                "alarm_counts": dict(self.alarm_counts),
                "targets": {lane.number: lane.purity_target for lane in self.config.lanes if lane.purity_target},
                "audited": {number: found.audited for number, found in targets.items()},
                "purities": {
                    (number, bound): getattr(found, bound)
                    for number, found in targets.items()
                    for bound in ("low", "purity", "high")
                    if found.purity is not None
                },
            }

    def shifts(self, count: int) -> dict[str, Any]:
        """Sums for the last shifts, the newest first."""
        return self.account.shifts(count, self._clock.utc())

    # What others bring.

    def push(self, data: bytes, *, device: str, sequence: int | None, age_s: float, encoder: int | None = None) -> bool:
        """Take a frame for a camera that is `push`; whether it is the newest.

        Raises:
            NotHereError: the line runs elsewhere, or has another camera.
            ImageError: no picture.
            InputError: the age cannot be.
        """
        if self._here is None:
            raise NotHereError(f"{self.name} runs in another program: send frames to that one")
        if self._here.push is None:
            raise NotHereError(f'{self.name} has a camera of its own; only one with source = "push" takes frames')
        return self._here.push.push(data, device=device, sequence=sequence, age_s=age_s, encoder=encoder)

    def trigger(self, encoder: int | None) -> None:
        """Something outside says: a piece is at the trigger line now.

        Raises:
            NotHereError: the line runs elsewhere, or is not triggered from outside.
        """
        if self._here is None:
            raise NotHereError(f"{self.name} runs in another program")
        if self.config.camera.trigger != "external":
            raise NotHereError(f'{self.name} finds its pieces itself; triggers count where trigger = "external"')
        line, at_s = self._here.line, self._clock.now()
        reading = None if encoder is None else EncoderReading(encoder, at_s)
        line.post(lambda: line.engine.on_trigger(reading))

    def label(self, piece_id: str, category: str, auditor: str) -> dict[str, int]:
        """Take what an auditor said; see `LineAccount.label`."""
        return self.account.label(piece_id, category, auditor, self._clock.utc())

    def measure_purities(self) -> Mapping[int, LanePurity]:
        """Ask the ledger how pure the lanes are in this shift; for `overview`, too."""
        with self._lock:
            self._begin_period()
            period = self._period
        assert period is not None  # noqa: S101 - it has begun
        self._measured_s = self._clock.now()
        self.purities = self.account.purities(period)
        return self.purities

    def _lane(self, number: int, per_minute: int) -> dict[str, Any]:
        lane = next((lane for lane in self.config.lanes if lane.number == number), None)
        found = self.purities.get(number)
        contents = [
            category for category, stream in self._streams.items() if self.config.lane_of(category, stream) is lane
        ]
        return {
            "number": number,
            "name": "" if lane is None else lane.name,
            "categories": contents,
            "pieces": self._shift.reached[number],
            "per_minute": per_minute,
            "purity_target": None if lane is None else lane.purity_target,
            "purity": None if found is None else purity_message(found.target),
        }

    def _state(self) -> dict[str, Any] | None:
        if self._here is not None:
            message: dict[str, Any] | None = self._here.line.engine.state_message()
        else:
            message = None if self._remote is None else self._remote.state()
        return message and {
            **message,
            "state_name": State(message["state"]).name.lower(),
            "mode_name": Mode(message["mode"]).name.lower(),
        }

    def _presence(self) -> dict[str, float | None]:
        state = self._state() or {}
        age_ms, rtt_ms = state.get("frame_age_ms"), state.get("ack_rtt_ms")
        online = True if self._here is not None else None if self._remote is None else self._remote.presence()["online"]
        return {
            "up": None if online is None else float(online),
            "state": state.get("state"),
            "frame_age_s": None if age_ms is None else age_ms / 1000,
            "ack_rtt_s": None if rtt_ms is None else rtt_ms / 1000,
            "frames_dropped": None if self._here is None else self._here.line.engine.frames_dropped,
        }

    def _has_ended(self, status: str) -> bool:
        sorter = self.config.sorter
        confirms = sorter.confirms and sorter.kind not in _NEVER_CONFIRM
        return status in ENDS or (status == "acknowledged" and not confirms)

    def _begin_period(self, *, anew: bool = False) -> None:
        """At a change of shift the counts begin anew; at first, what the ledger has of it already is counted."""
        now = self._clock.utc()
        if not anew and self._period is not None and self._period.began <= now < self._period.ended:
            return
        counts_ledger = anew or self._period is None
        self._period = last_periods(self.config.shifts, now, 1)[0]
        self._shift = Tally(self._clock.now())
        span = Span(self.name, self._period.began, self._period.ended)
        if not counts_ledger:
            return
        self._shift.earlier_ms = latency_percentiles(self.account.database, span, (50, 95, 99)) or {}
        for count in count_pieces(self.account.database, span):
            if self._has_ended(count.status):
                self._shift.add_count(count)

    def _follow(self) -> None:
        """Read the ledger of a line that runs elsewhere, if it was not read just now."""
        if self._here is not None:
            return
        with self._lock:
            now = self._clock.now()
            if self._follower is None or now - self._polled_s > _FORGET_S:
                self._follower = LedgerFollower(
                    self.account.database,
                    self.name,
                    has_ended=lambda piece: self._has_ended(piece.status),
                    tell_piece=self.on_piece,
                    tell_alarm=self.on_alarm,
                )
                self._begin_period(anew=True)
                self.measure_purities()
            elif now - self._polled_s < _POLL_S:
                return
            self._polled_s = now
            self._follower.poll()
            if now - self._measured_s > _PURITY_S:
                self.measure_purities()

    def _new_frame(self) -> dict[str, Any] | None:
        picture = self._here.line.engine.picture if self._here is not None else None
        if picture is None or picture.frame.number == self._frame_told:
            return None
        self._frame_told = picture.frame.number
        return frame_message(picture, self.config, age_s=self._clock.now() - picture.frame.captured_s)
