"""Virtual time, the belt as it really runs, and the line that lives in it."""

from __future__ import annotations

import datetime as dt
import heapq
import itertools
from collections.abc import Callable, Sequence

import numpy as np
import sqlalchemy as sa

from binsight.line.config import LineConfig
from binsight.line.engine import Engine, Picture
from binsight.line.ledger.database import open_database
from binsight.line.ledger.writer import LedgerWriter
from binsight.line.ports import Ports, posted_events
from binsight.line.records import ENCODER_RANGE, EncoderReading, Frame, Piece, View, encoder_difference
from binsight.line.simulate.plan import Fault, PlannedPiece
from binsight.line.simulate.scene import Scene
from binsight.line.simulate.sorter import SimulatedSorter
from binsight.line.views import judge_views
from binsight.predictor import Predictor

__all__ = ["SimulatedLine"]

_CAMERA_S = 0.03  # from the exposure to the frame in memory
_STEPS = 4  # in which the belt's position is integrated between two ticks
_BLINDING = ("camera_stall", "camera_freeze", "camera_dark", "kill")
_BLIND_STATES = {"starting", "stalled", "frozen", "dark", "unstable", "absent"}
_SAME_PIECE_MM = 60.0  # what is counted further away from every true piece is none
_IDLE_FRAME_S = 0.5  # an empty belt is looked at less often: nothing changes on it
_CLASSIFY_S = 0.012  # virtual time of one view
_EPOCH = dt.datetime(2026, 1, 5, 6, 0, tzinfo=dt.UTC)
_START_COUNTS = ENCODER_RANGE - 50_000  # so that every run sees the counter wrap


class SimulatedLine:
    """Runs a line on a simulated belt, event by event.

    Args:
        config: of the line; its belt has an encoder.
        pieces: what really lies on the belt.
        speed: the belt's speed as a share of `speed_mm_s`, by the second.
        rng: draws what the equipment does.
        pace_s: between two ticks, and between two readings of the encoder.
        on_progress: told how far the belt has come, in pieces.
        on_picture: shown what the engine saw in every frame.
    """

    def __init__(
        self,
        config: LineConfig,
        *,
        predictor: Predictor,
        scene: Scene,
        pieces: Sequence[PlannedPiece],
        faults: Sequence[Fault] = (),
        ledger_url: str,
        speed: Callable[[float], float] = lambda _: 1.0,
        rng: np.random.Generator,
        pace_s: float = 0.02,
        on_progress: Callable[[int], None] = lambda _: None,
        on_picture: Callable[[Picture], None] = lambda _: None,
    ) -> None:
        self.config = config
        self._predictor, self._scene, self._speed, self._rng = predictor, scene, speed, rng
        self._pace_s = pace_s
        self._on_progress, self._on_picture = on_progress, on_picture
        self._now = 0.0
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._travel_mm, self._travel_s = 0.0, 0.0
        self._slip_mm = 0.0  # how much further than the belt the encoder has come
        self._waiting_for_counts: list[tuple[int, Callable[[], None]]] = []
        self._active: list[Fault] = []
        self._wall_jump_s = 0.0
        self._frame_number = 0
        self._frozen: Frame | None = None
        self._last_frame_s = -_IDLE_FRAME_S
        self._classifier_free_s = 0.0
        self._ledger_url = ledger_url
        self._empty_belt: bytes | None = None  # outlives the process, as its file does
        self._life = 0  # of the line's process
        self._engine: Engine | None = None
        self._writer: LedgerWriter | None = None
        self._centres = np.array([piece.centre_mm for piece in pieces])
        self._on_belt = np.ones(len(pieces), dtype=bool)
        self.pieces = pieces
        self.crossings: dict[int, int | None] = {}  # sequence number → the piece that really was on the trigger line
        self.blind_mm: list[tuple[float, float]] = []  # travel of the belt, from and to, that nobody looked at
        self.sorter = SimulatedSorter(config.lanes, world=self, rng=rng)
        for fault in faults:
            self.later(fault.at_s, lambda fault=fault: self._begin(fault))  # type: ignore[misc]  # bound now

    # Time.

    def now(self) -> float:
        """Virtual seconds."""
        return self._now

    def utc(self) -> dt.datetime:
        """The wall's time, which faults may set wrong."""
        return _EPOCH + dt.timedelta(seconds=self._now + self._wall_jump_s)

    def later(self, delay_s: float, call: Callable[[], None]) -> None:
        """Do something after a while."""
        heapq.heappush(self._queue, (self._now + delay_s, next(self._order), call))

    def run(self) -> None:
        """Run until all pieces have passed the last ejector and all answers are in."""
        self._start_line()
        self.later(0, self._take_frame)
        self.later(0, self._turn_encoder)
        self.later(0, self._tick)
        end_mm = float(self._centres[-1]) + max(lane.distance_mm for lane in self.config.lanes) + 500
        end_s: float | None = None
        while end_s is None or self._now < end_s:
            at_s, _, call = heapq.heappop(self._queue)
            before_mm = self._travel_mm
            self._move_belt(at_s)
            self._now = at_s
            call()
            self._write()
            self._note_blindness(before_mm)
            if end_s is None and self._travel_mm > end_mm:
                end_s = self._now + self.config.sorter.confirm_timeout_ms / 1000 + 1
        self.close()

    def close(self) -> None:
        """Write what is left."""
        if self._writer is not None:
            self._writer.close()

    # The belt.

    def when_counts(self, target: int, call: Callable[[], None]) -> None:
        """Do something when the encoder has come to `target`."""
        self._waiting_for_counts.append((target, call))

    def counts_passed(self, target: int) -> bool:
        """Whether it has."""
        return encoder_difference(self._counts(), target) >= 0

    def pieces_at(self, distance_mm: float, reach_mm: float) -> list[int]:
        """The pieces whose middle is `distance_mm` behind the trigger line, still on the belt."""
        near = np.abs(self._travel_mm - self._centres - distance_mm) <= reach_mm
        return [int(i) for i in np.flatnonzero(near & self._on_belt)]

    def take_off(self, piece: int) -> None:
        """It is in a lane now."""
        self._on_belt[piece] = False

    def _move_belt(self, until_s: float) -> None:
        while self._travel_s < until_s - 1e-9:
            step_s = min(self._pace_s / _STEPS, until_s - self._travel_s)
            moved = 0.0
            if not self._fails("belt_stop"):
                moved = self.config.belt.speed_mm_s * self._speed(self._travel_s) * step_s
            self._travel_mm += moved
            slip = self._value("belt_slip")
            self._slip_mm += 0.0 if slip is None else (slip - 1) * moved
            self._travel_s += step_s
            self._now = self._travel_s
            due = [call for target, call in self._waiting_for_counts if self.counts_passed(target)]
            if due:
                self._waiting_for_counts = [
                    (target, call) for target, call in self._waiting_for_counts if not self.counts_passed(target)
                ]
                for call in due:
                    call()

    def _counts(self) -> int:
        assert self.config.belt.counts_per_mm is not None  # noqa: S101 - the simulated belt has an encoder
        return (
            _START_COUNTS + round((self._travel_mm + self._slip_mm) * self.config.belt.counts_per_mm)
        ) % ENCODER_RANGE

    def _turn_encoder(self) -> None:
        if self._engine is not None and self.sorter.up:
            self._engine.on_encoder(EncoderReading(self._counts(), self._now))
        self.later(self._pace_s, self._turn_encoder)

    # The camera.

    def _take_frame(self) -> None:
        self.later(1 / self.config.camera.frames_per_second, self._take_frame)
        self._on_progress(int(np.searchsorted(self._centres, self._travel_mm)))
        empty = not self._scene.in_view(self._travel_mm)
        if (
            self._engine is None
            or self._fails("camera_stall")
            or (empty and self._now - self._last_frame_s < _IDLE_FRAME_S)
        ):
            return
        self._last_frame_s = self._now
        self._frame_number += 1
        if self._frozen is None:
            image = self._scene.render(
                self._travel_mm,
                light=0.02 if self._fails("camera_dark") else self._value("light_jump") or 1.0,
                doubled=self._fails("double_feed"),
            )
        else:
            image = self._frozen.image
        frame = Frame(image, self._now, self._frame_number)
        self._frozen = frame if self._fails("camera_freeze") else None
        self._post_frame(self._life, frame)

    def _post_frame(self, life: int, frame: Frame) -> None:
        def arrive() -> None:
            if life == self._life and self._engine is not None:
                self._engine.on_frame(frame)
                if self._engine.picture is not None:
                    self._on_picture(self._engine.picture)

        self.later(_CAMERA_S, arrive)

    def _is_blind(self) -> bool:
        if self._engine is None or not self._engine.ready or self._engine.camera_state in _BLIND_STATES:
            return True
        return any(self._fails(kind) for kind in _BLINDING)

    def _note_blindness(self, before_mm: float) -> None:
        if self._is_blind():
            if self.blind_mm and self.blind_mm[-1][1] >= before_mm:
                before_mm = self.blind_mm.pop()[0]
            self.blind_mm.append((before_mm, self._travel_mm))

    # The line's process.

    def _start_line(self) -> None:
        self._life += 1
        life = self._life
        self._writer = LedgerWriter(open_database(self._ledger_url), threaded=False)
        self._engine = Engine(
            Ports(
                self.config,
                self._predictor,
                self._classify,
                clock=self,
                sorter=self.sorter,
                ledger=self._writer,
                post=lambda call: self._post(life, call),
            ),
            seed=int(self._rng.integers(2**32)),
            on_piece=self._note_crossing,
            empty_belt=self._empty_belt,
            keep_belt=self._keep_belt,
        )
        self.sorter.start(posted_events(self._engine, lambda call: self._call(life, call)))

    def _keep_belt(self, data: bytes) -> None:
        self._empty_belt = data

    def _kill_line(self) -> None:
        self.sorter.close()
        self._life += 1
        if self._writer is not None:
            self._writer.abandon()
        self._engine = self._writer = None

    def _post(self, life: int, call: Callable[[], None]) -> None:
        self.later(0, lambda: self._call(life, call))

    def _call(self, life: int, call: Callable[[], None]) -> None:
        """Nothing reaches a process that has died."""
        if life == self._life and self._engine is not None:
            call()

    def _classify(self, views: Sequence[View], then: Callable[[Sequence[View]], None], *, urgent: bool) -> bool:
        if self._classifier_free_s - self._now > (6 if urgent else 2) * _CLASSIFY_S:
            return False
        judged = judge_views(self._predictor, views)
        self._classifier_free_s = max(self._classifier_free_s, self._now) + _CLASSIFY_S * len(views)
        life = self._life
        self.later(self._classifier_free_s - self._now, lambda: self._post(life, lambda: then(judged)))
        return True

    def _tick(self) -> None:
        self.later(self._pace_s, self._tick)
        if self._engine is not None:
            self._engine.tick()

    def _write(self) -> None:
        if self._writer is not None:
            self._writer.flush()

    def _note_crossing(self, piece: Piece) -> None:
        if piece.status != "seen":
            return
        assert self._engine is not None  # noqa: S101 - it has just told of the piece
        since_mm = self._engine.since_crossing_mm
        if piece.encoder is not None:  # what the ledger says counts
            since_mm = encoder_difference(self._counts(), piece.encoder) / (self.config.belt.counts_per_mm or 1)
        at_mm = self._travel_mm - since_mm
        off_mm = np.abs(self._centres - at_mm)
        nearest = int(off_mm.argmin())
        self.crossings[piece.seq] = nearest if off_mm[nearest] <= _SAME_PIECE_MM else None

    # Faults.

    def _begin(self, fault: Fault) -> None:
        self._active.append(fault)
        self.later(fault.for_s, lambda: self._end(fault))
        if fault.kind in {"broker_loss", "sorter_restart"}:
            self.sorter.set_link(up=False)
        if fault.kind == "sorter_restart":
            self.sorter.restart()
        if fault.kind == "clock_jump":
            self._wall_jump_s += fault.value
        if fault.kind == "kill":
            self._kill_line()
        if fault.kind == "disk_full":
            self._limit_disk(full=True)
        self._apply_answers()

    def _end(self, fault: Fault) -> None:
        self._active.remove(fault)
        if fault.kind in {"broker_loss", "sorter_restart"}:
            self.sorter.set_link(up=True)
        if fault.kind == "kill":
            self._start_line()
        if fault.kind == "disk_full":
            self._limit_disk(full=False)
        self._apply_answers()

    def _apply_answers(self) -> None:
        self.sorter.refusing = self._value("nack") or 0.0
        self.sorter.answer_delay_s = self._value("late_ack") or 0.0
        self.sorter.silent = self._fails("no_ack")

    def _limit_disk(self, *, full: bool) -> None:
        # SQLite's own limit of pages stands for the disk: beyond it every write fails as on a full one.
        if self._writer is not None:
            with self._writer.database.connect() as connection:
                pages = connection.execute(sa.text("PRAGMA page_count")).scalar() if full else 2**30
                connection.execute(sa.text(f"PRAGMA max_page_count={pages}"))

    def _fails(self, kind: str) -> bool:
        return any(fault.kind == kind for fault in self._active)

    def _value(self, kind: str) -> float | None:
        return next((fault.value for fault in self._active if fault.kind == kind), None)
