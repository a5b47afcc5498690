"""Pieces followed along the belt: one id, one count."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from binsight.errors import SettingsError
from binsight.line.association import Association, Boxes, associate
from binsight.line.field import Field, Span
from binsight.line.odometry import fit_shift
from binsight.line.records import Blob

__all__ = ["Track", "Tracker", "Tracking"]

_SIZE_RANGE = (0.6, 1.6)  # times the known length: beyond, it is a fragment, or has something else stuck to it
_EDGE_MM = 8.0  # nearer than this to an end of the field a box is cut off
_SLACK_MM = 10.0  # by which a box may be off where it is expected, whatever the travel
_FORGET_S = 1.0  # an unconfirmed track without sighting is forgotten
_MIN_SIGHTINGS = 3
_HYSTERESIS_MM = 3.0  # beyond the line a piece counts
_CONFIRM_MM = 20.0  # by which a track must be seen to move


@dataclass(slots=True)
class Track:
    """One piece on the belt.

    Attributes:
        number: 1, 2, …, in the order of first sight.
        along: trailing and leading edge in millimetres from where pieces come in; beyond the field where it was
            measured before, or is predicted.
        across: its sides in millimetres.
        last_s: when it was last seen.
        measured: it was seen in the last frame; else its place is predicted by the belt's travel.
        blob: what was seen of it alone in the last frame; None when it was not seen, or only together with others, or
            in parts.
        tail_open: it has not come in whole yet: how far it reaches back is not known.
        sightings: frames in which it was seen.
        moved_mm: how far it was seen to move along the belt.
        confirmed: it was seen often enough, and to move: it is a piece.
        beyond: it was first seen beyond the line, and did not come in since the frame before: it was counted earlier,
            by a line that was started anew or together with a piece it touched, or it passed unseen. It never counts.
        counted: it has crossed the line, seen.
        crossed_mm: the belt's travel when its centre was on the line, or must have been; None before.
    """

    number: int
    along: Span
    across: Span
    last_s: float
    measured: bool = True
    blob: Blob | None = None
    tail_open: bool = False
    sightings: int = 1
    moved_mm: float = 0.0
    confirmed: bool = False
    beyond: bool = False
    counted: bool = False
    crossed_mm: float | None = None
    _looks: list[bool] = field(default_factory=list)  # whole views: whether it looked like several pieces

    @property
    def centre_mm(self) -> float:
        """Halfway between its edges, in millimetres from where pieces come in."""
        return (self.along[0] + self.along[1]) / 2

    @property
    def several(self) -> bool:
        """Whether at least half of its whole views look like pieces that touch each other."""
        return any(self._looks) and 2 * sum(self._looks) >= len(self._looks)

    def shift(self, step_mm: float) -> None:
        """Move it with the belt, unseen."""
        self.along = (self.along[0] + step_mm, self.along[1] + step_mm)

    def see(self, seen: Span, across: Span, blobs: Sequence[Blob], *, step_mm: float, length_mm: float) -> None:
        """Take over where it was seen, after it was shifted by `step_mm`; edges that are cut off stay as known."""
        tail, head = self.along
        tail_cut, head_cut = seen[0] < _EDGE_MM, seen[1] > length_mm - _EDGE_MM
        known = head - tail
        if self.tail_open or tail_cut:
            new = (
                seen[0] if self.tail_open else min(seen[0], seen[1] - known),
                max(seen[1], head if head_cut else 0.0),
            )
            moved = new[1] - head
        elif head_cut:
            new = (seen[0], max(seen[1], seen[0] + known))
            moved = seen[0] - tail
        else:
            new, moved = seen, (seen[0] + seen[1]) / 2 - (tail + head) / 2
            if not _SIZE_RANGE[0] * known <= seen[1] - seen[0] <= _SIZE_RANGE[1] * known:
                # A fragment, or stuck to something: it is where it was expected; its size follows if that lasts.
                grown = 0.1 * (seen[1] - seen[0] - known) / 2
                new, moved = (tail - grown, head + grown), -step_mm
        self.tail_open = self.tail_open and tail_cut
        self.along, self.moved_mm = new, self.moved_mm + step_mm + moved
        self.across = (
            (min(self.across[0], across[0]), max(self.across[1], across[1])) if tail_cut or head_cut else across
        )
        if not tail_cut and not head_cut:
            self._looks.append(len(blobs) > 1 or blobs[0].several)
        self.blob = blobs[0] if len(blobs) == 1 else None


@dataclass(frozen=True, slots=True)
class Tracking:
    """What one frame brought.

    Attributes:
        tracks: all that are known, the furthest on the belt first.
        crossed: those counted in this frame, in the order in which they crossed the line.
        gone: those that left the field, were forgotten, or turned out to be part of another; none comes back.
        missed: those of the gone that are pieces and passed the line unseen, in the order in which they must have
            crossed it.
    """

    tracks: list[Track]
    crossed: list[Track]
    gone: list[Track]
    missed: list[Track]


class Tracker:
    """Follows pieces in the one dimension in which they move, predicted by the belt's own travel.

    A piece does not move on the belt: its place in the next frame is its place in this one plus the travel. What is
    known ages in millimetres of belt; only what was never confirmed is forgotten after a second. A track is confirmed,
    and may be counted, once it was seen in three frames and was seen to move along; it is counted once, when its *seen*
    centre has passed the line by the hysteresis. It is followed until it has left the field, unseen if need be, so that
    no gap makes a second piece of it.

    Args:
        line: where pieces are counted, as a share of the field along the belt, in (0, 1).
        slip: by which share the true travel may differ from the given one: 0.1 with an encoder; 1 for a belt without,
            which may stand still, or run twice as fast, while its speed says that it moves. How far it came is then
            read off the pieces; those that are alike and follow each other closer than that on their strip of the
            belt, with nothing else in view, cannot be told from their neighbours.
        external: something outside says when a piece is at the line (`nearest`); the camera counts none.

    Raises:
        SettingsError: `line` is out of range.
    """

    def __init__(self, *, line: float = 0.5, slip: float = 0.1, external: bool = False) -> None:
        if not 0 < line < 1:
            raise SettingsError(f"expected the counting line as a share of the field between 0 and 1, got {line}")
        self._line, self.slip = line, slip
        self._external = external
        self._tracks: list[Track] = []
        self._travel_mm: float | None = None
        self._length_mm: float | None = None
        self._unseen_mm = 0.0  # by which the belt moved since the last frame, as far as `leave` knows
        self._last_number = 0
        self._doubt_mm = 0.0  # by how much the belt's travel may be off since pieces were last recognised

    def update(self, blobs: Sequence[Blob], view: Field, *, travel_mm: float, at_s: float) -> Tracking:
        """Follow the pieces into one more frame.

        Args:
            blobs: what was found in it.
            view: the field, for millimetres.
            travel_mm: how far the belt has come (`Odometer`).
            at_s: when the frame was captured.
        """
        step = 0.0 if self._travel_mm is None else travel_mm - self._travel_mm
        unseen = self._unseen_mm
        self._travel_mm, self._length_mm, self._unseen_mm = travel_mm, view.length_mm, 0.0
        seen = np.array([[*view.along(blob.box), *view.across(blob.box)] for blob in blobs]).reshape(-1, 4)
        step = self._true_step(step, seen, view.length_mm)
        expected = self._expected(step, view.length_mm)
        for track in self._tracks:
            track.shift(step)
            track.measured, track.blob = False, None
        found = associate(expected, seen)
        gone = self._absorb(found)
        self._see(found, blobs, seen, step=step, length_mm=view.length_mm, at_s=at_s)
        gone += [track for track in self._tracks if self._is_gone(track, view.length_mm, at_s)]
        self._forget(gone)
        unknown = [(blobs[s], seen[s]) for s in range(len(blobs)) if s not in found.owners]
        self._begin(unknown, view.length_mm, at_s, entered_mm=step + unseen)
        self._tracks.sort(key=lambda track: -track.centre_mm)
        crossed, missed = self._count(view.length_mm, travel_mm), self._missed(gone, travel_mm)
        return Tracking(list(self._tracks), crossed, gone, missed)

    def leave(self, travel_mm: float, *, at_end: bool = False) -> Tracking:
        """Let those go that have left the field, now that the belt has come to `travel_mm` and no frame shows it.

        Args:
            travel_mm: how far the belt has come.
            at_end: no frame will come any more: those beyond the line go, too.
        """
        if self._travel_mm is None or self._length_mm is None:
            return Tracking([], [], [], [])
        step, self._travel_mm = travel_mm - self._travel_mm, travel_mm
        self._unseen_mm += step
        self._doubt_mm += self.slip * abs(step)
        for track in self._tracks:
            track.shift(step)
            track.measured, track.blob = False, None
        line = self._line * self._length_mm
        gone = [t for t in self._tracks if t.along[0] > self._length_mm + _SLACK_MM or (at_end and t.centre_mm > line)]
        self._forget(gone)
        return Tracking(list(self._tracks), [], gone, self._missed(gone, travel_mm))

    def nearest(self, travel_mm: float) -> Track | None:
        """The piece at the counting line now that the belt has come to `travel_mm`; it is counted with this.

        For a trigger outside of the camera. Of those not counted yet, the one whose centre is nearest; None where none
        was seen at most half its length and a twelfth of the field away from the line.
        """
        if self._travel_mm is None or self._length_mm is None:
            return None
        line, step = self._line * self._length_mm, travel_mm - self._travel_mm
        reach = self._length_mm / 12
        at_line = [
            track
            for track in self._tracks
            if not track.counted
            and track.sightings >= _MIN_SIGHTINGS
            and track.along[0] - reach <= line - step <= track.along[1] + reach
        ]
        track = min(at_line, key=lambda track: abs(track.centre_mm + step - line), default=None)
        if track is not None:
            track.counted, track.crossed_mm = True, travel_mm
        return track

    def _expected(self, step: float, length_mm: float) -> Boxes:
        """Where the tracks should be seen after `step`, as far as they are inside the field."""
        boxes = np.array([[*track.along, *track.across] for track in self._tracks]).reshape(-1, 4)
        boxes[:, :2] = np.clip(boxes[:, :2] + step, 0, length_mm)
        return boxes

    def _true_step(self, step: float, seen: Boxes, length_mm: float) -> float:
        """How far the belt really came, by what is seen; in doubt the longer, the longer no piece was recognised."""
        self._doubt_mm += self.slip * abs(step)
        reach = self._doubt_mm + _SLACK_MM
        sure = [track for track in self._tracks if track.sightings > 1 or self.slip >= 1]
        places = [(np.nan if t.tail_open else t.along[0] + step, t.along[1] + step, *t.across) for t in sure]
        known = np.array(places).reshape(-1, 4)
        shift, met = fit_shift(known, seen, -reach, reach, step_mm=step, length_mm=length_mm)
        if met >= 1 or not sure:
            self._doubt_mm = 0.0
        return step + shift

    def _absorb(self, found: Association) -> list[Track]:
        """Where one sight shows several tracks, keep those that were seen apart as whole pieces; the others go."""
        absorbed: list[Track] = []
        for owners in found.owners.values():
            whole = [k for k in owners if self._tracks[k].confirmed and not self._tracks[k].tail_open]
            kept = whole or [min(owners, key=lambda k: self._tracks[k].number)]
            for k in set(owners) - set(kept):
                found.sights.pop(k, None)
                self._tracks[k].confirmed = False
                absorbed.append(self._tracks[k])
            owners[:] = kept
        return absorbed

    def _see(
        self, found: Association, blobs: Sequence[Blob], seen: Boxes, *, step: float, length_mm: float, at_s: float
    ) -> None:
        for k, sights in found.sights.items():
            track = self._tracks[k]
            track.measured, track.last_s = True, at_s
            track.sightings += 1
            if len(found.owners[sights[0]]) > 1:
                continue  # somewhere in there: where it was expected
            boxes = seen[sights]
            along = (float(boxes[:, 0].min()), float(boxes[:, 1].max()))
            across = (float(boxes[:, 2].min()), float(boxes[:, 3].max()))
            track.see(along, across, [blobs[s] for s in sights], step_mm=step, length_mm=length_mm)
            if track.sightings >= _MIN_SIGHTINGS and track.moved_mm >= _CONFIRM_MM:
                track.confirmed = True

    def _begin(
        self, unknown: Sequence[tuple[Blob, Boxes]], length_mm: float, at_s: float, *, entered_mm: float
    ) -> None:
        for blob, box in unknown:
            tail, head, side, other = (float(value) for value in box)
            tail_cut = tail < _EDGE_MM
            if head > length_mm - _EDGE_MM and not tail_cut:
                continue  # on its way out: whatever it is, it cannot be counted any more
            self._last_number += 1
            # The slack: where the belt's travel is only estimated, it may have come in all the same.
            beyond = (tail + head) / 2 >= self._line * length_mm and tail > entered_mm * (1 + self.slip) + _SLACK_MM
            self._tracks.append(
                Track(
                    self._last_number, (tail, head), (side, other), at_s, blob=blob, tail_open=tail_cut, beyond=beyond
                )
            )

    def _is_gone(self, track: Track, length_mm: float, at_s: float) -> bool:
        if track.along[0] > length_mm + _SLACK_MM or track.along[1] < -_SLACK_MM:
            return True
        return not track.counted and not track.confirmed and at_s - track.last_s > _FORGET_S

    def _forget(self, gone: Sequence[Track]) -> None:
        self._tracks = [track for track in self._tracks if not any(track is other for other in gone)]

    def _missed(self, gone: Sequence[Track], travel_mm: float) -> list[Track]:
        """Those that were seen before the line and are beyond it now; what moved out backwards did not pass it."""
        if self._external or self._length_mm is None:
            return []
        line = self._line * self._length_mm
        missed = [t for t in gone if t.confirmed and not t.counted and not t.beyond and t.centre_mm > line]
        for track in missed:
            track.crossed_mm = travel_mm - (track.centre_mm - line)
        return sorted(missed, key=lambda track: track.crossed_mm or 0.0)

    def _count(self, length_mm: float, travel_mm: float) -> list[Track]:
        line, crossed = self._line * length_mm, list[Track]()
        if self._external:
            return crossed
        for track in self._tracks:
            if track.counted or track.beyond or not track.measured or not track.confirmed:
                continue
            whole = not track.tail_open and track.centre_mm >= line + _HYSTERESIS_MM
            if whole or track.along[1] >= length_mm - _EDGE_MM:  # longer than the field: it is now or never
                track.counted, track.crossed_mm = True, travel_mm - (track.centre_mm - line)
                crossed.append(track)
        return sorted(crossed, key=lambda track: track.crossed_mm or 0.0)
