"""From a track to a decided piece: looks at it on its way to the trigger line, one decision, and where it goes."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

from binsight.line.belt import Belt
from binsight.line.commands import Dispatcher
from binsight.line.film import make_film
from binsight.line.messages import utc_text
from binsight.line.packml import StateMachine
from binsight.line.ports import Ports
from binsight.line.records import EndReason, Frame, Piece, View, new_ulid
from binsight.line.track import Track, Tracking
from binsight.line.views import cut_view
from binsight.line.vote import Vote, vote

__all__ = ["Inspection"]

_VIEWS = 4  # per piece, at most
_VIEW_SPACING = 0.08  # of the field, between two views of one piece: the same view twice says nothing new
_DECIDE_WITHIN_S = 0.5  # after the crossing, a piece that no view was seen of is decided without one
_ADD_WITHIN_S = 0.1  # and one that has views waits no longer than this for those that would add to them


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


class Inspection:
    """Looks at what the tracker follows; each piece is accounted for from the trigger line on, and decided once.

    Args:
        ports: settings, model, and the outside world.
        dispatcher: takes each decided piece to its end.
        machine: says whether the line sorts.
        next_seq: sequence number of the first piece.
        seed: of the audit's draw; None draws it from the system.
        on_piece: told of a piece that was seen or decided.
        judge: given each vote that can still be obeyed, gives it as it is to be.
    """

    def __init__(
        self,
        ports: Ports,
        *,
        belt: Belt,
        dispatcher: Dispatcher,
        machine: StateMachine,
        next_seq: int,
        seed: int | None,
        on_piece: Callable[[Piece], None],
        judge: Callable[[Vote], Vote],
    ) -> None:
        self._config, self._predictor, self._classify = ports.config, ports.predictor, ports.classify
        self._clock, self._belt, self._ledger = ports.clock, belt, ports.ledger
        self._dispatcher, self._machine = dispatcher, machine
        self._next_seq = next_seq
        self._random = random.Random(seed)  # noqa: S311 - draws a sample, keeps no secret
        self._on_piece, self._judge = on_piece, judge
        self._candidates: dict[int, _Candidate] = {}
        self._numbers: dict[int, int] = {}  # sequence number → that of the track
        self._never_tracked = 0
        self.pieces: dict[int, Piece] = {}  # by the number of their track, as long as that is followed
        self.seen = 0
        self.last_seen_s = ports.clock.now()
        self.last_crossed_mm = 0.0  # the belt's position when the last piece was at the trigger line

    @property
    def at_rest(self) -> bool:
        """Whether every piece that was seen is decided."""
        return all(candidate.piece is None for candidate in self._candidates.values())

    def follow(self, tracking: Tracking, frame: Frame, travel_mm: float) -> None:
        """Take what one frame brought: look, account for what crossed, forget what is gone."""
        crossed = {track.number for track in tracking.crossed}
        for track in tracking.tracks:
            if not track.counted or track.number in crossed:
                self._look(track, frame, now_or_never=track.number in crossed)
        for track in tracking.crossed:
            self.cross(track, track.crossed_mm or travel_mm, captured_s=frame.captured_s)
        self.forget(tracking)

    def forget(self, tracking: Tracking) -> None:
        """What is gone comes no more; what passed the line unseen is too late to command, and accounted for."""
        for track in tracking.missed:
            self._decide(self._begin(track, track.crossed_mm or 0.0, track.last_s), missed=True)
        for track in tracking.gone:
            piece = self.pieces.pop(track.number, None)
            if piece is not None:
                del self._numbers[piece.seq]
            candidate = self._candidates.get(track.number)
            if candidate is not None and candidate.piece is None:
                del self._candidates[track.number]

    def cross(self, track: Track | None, crossed_mm: float, *, captured_s: float) -> None:
        """A piece is at the trigger line: from here on it is accounted for. Its track is None where none was seen."""
        number = self._begin(track, crossed_mm, captured_s)
        if self._candidates[number].waiting == 0:
            self._decide(number)

    def is_counted(self, track: Track) -> bool:
        """Whether a piece was made of it that waits for its decision."""
        candidate = self._candidates.get(track.number)
        return candidate is not None and candidate.piece is not None

    def decide_overdue(self) -> None:
        """What waited for its views for too long is decided with those that are there."""
        now = self._clock.now()
        for number, candidate in list(self._candidates.items()):
            patience_s = _ADD_WITHIN_S if candidate.judged else _DECIDE_WITHIN_S
            if candidate.piece is not None and now - candidate.crossed_s > patience_s:
                self._decide(number)

    def decide_all(self) -> None:
        """Wait for no more views."""
        for number in [number for number, candidate in self._candidates.items() if candidate.piece is not None]:
            self._decide(number)

    def show(self, piece: Piece) -> None:
        """A piece is in a new state."""
        number = self._numbers.get(piece.seq)
        if number is not None:
            self.pieces[number] = piece
        self._on_piece(piece)

    # Looks.

    def _look(self, track: Track, frame: Frame, *, now_or_never: bool) -> None:
        candidate = self._candidates.setdefault(track.number, _Candidate())
        candidate.several = track.several
        field_mm = self._config.camera.field_mm
        looked = len(candidate.judged) + candidate.waiting
        due = track.centre_mm - candidate.last_view_mm >= _VIEW_SPACING * field_mm
        if track.blob is None or not (looked == 0 if now_or_never else due and looked < _VIEWS):
            return
        view = cut_view(frame, track.blob, margin=self._config.camera.margin)
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

    # Pieces.

    def _begin(self, track: Track | None, crossed_mm: float, captured_s: float) -> int:
        if track is None:
            self._never_tracked -= 1  # numbers that no track has
        number = self._never_tracked if track is None else track.number
        candidate = self._candidates.setdefault(number, _Candidate())
        candidate.crossed_mm, candidate.crossed_s = crossed_mm, captured_s
        self.last_crossed_mm = crossed_mm
        candidate.piece = self._new_piece(self._belt.counts_at_mm(crossed_mm), captured_s)
        if track is not None:
            self._numbers[candidate.piece.seq] = number
        self._ledger.put(candidate.piece)
        self.show(candidate.piece)
        return number

    def _new_piece(self, encoder: int | None, captured_s: float) -> Piece:
        at = self._clock.utc()
        manifest = self._predictor.bundle.manifest
        piece = Piece(
            id=new_ulid(at, self._random.getrandbits(80)),
            line=self._config.line.name,
            seq=self._next_seq,
            seen_at=at,
            captured_at=self._utc(captured_s),
            encoder=encoder,
            shift=self._config.shift_at(at.astimezone()),
            model_name=manifest.name,
            model_version=manifest.version,
        )
        self._next_seq += 1
        self.seen += 1
        self.last_seen_s = self._clock.now()
        return piece

    def _decide(self, number: int, *, missed: bool = False) -> None:
        candidate = self._candidates.pop(number)
        assert candidate.piece is not None  # noqa: S101 - only pieces are decided
        found = vote(
            candidate.judged,
            self._predictor.bundle.manifest.review,
            biodegradable_mask=self._predictor.taxonomy.biodegradable_mask,
            several=candidate.several,
        )
        if not missed:
            found = self._judge(found)
        share = self._config.audit.accepted_share if found.decision == "accept" else self._config.audit.reviewed_share
        drawn = self._random.random() < share
        keeps_picture = bool(candidate.judged) and (self._config.ledger.thumbnails or drawn)
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
            latency_ms=None if missed else 1000 * (self._clock.now() - candidate.crossed_s),
        )
        self._ledger.put(piece)
        self.show(piece)
        if missed:
            self._dispatcher.end(piece, "fail_safe", "passed_unseen")
        else:
            self._route(piece, candidate, found)
        if keeps_picture:  # when the command is on its way
            voted = {view.frame for view in found.views}
            self._ledger.keep(piece, make_film(candidate.judged, voted, at=lambda s: utc_text(self._utc(s))))

    def _route(self, piece: Piece, candidate: _Candidate, found: Vote) -> None:
        lane = None
        if piece.category is not None:
            taxonomy = self._predictor.taxonomy
            lane = self._config.lane_of(piece.category, taxonomy.classes[taxonomy.index(piece.category)].stream)
        if piece.decision == "review":
            self._dispatcher.end(piece, "fail_safe", found.reason)
        elif self._config.sorter.kind == "none":
            self._dispatcher.end(piece, "fail_safe", "look_only")
        elif lane is None:
            self._dispatcher.end(piece, "fail_safe", "no_lane")
        elif not self._machine.sorts:
            self._dispatcher.end(piece, "fail_safe", cast(EndReason, self._machine.state.name.lower()))
        else:
            self._dispatcher.command(piece, lane, crossed_mm=candidate.crossed_mm, captured_s=candidate.crossed_s)

    def _utc(self, at_s: float) -> dt.datetime:
        """When that was, as the wall clock has it now."""
        return self._clock.utc() - dt.timedelta(seconds=self._clock.now() - at_s)
