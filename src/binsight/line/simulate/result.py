"""What came of a simulated shift: the ledger, the sorter's books and the truth, compared piece by piece."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from binsight.line.records import ENDS, Piece, Status
from binsight.line.settings import Lane
from binsight.line.simulate.sorter import Entry

__all__ = ["LaneResult", "SimulationResult", "Truth", "compare"]

_NEVER_COMMANDED: frozenset[Status] = frozenset({"fail_safe", "late", "dropped"})


@dataclass(frozen=True, slots=True)
class Truth:
    """What only the simulator knows.

    Attributes:
        categories: of each piece on the belt; None where no class of the model is right.
        centres_mm: where each lies.
        crossings: sequence number → the piece that was at the trigger line; None where none was near.
        blind_mm: stretches of the belt's travel, from and to, during which nobody could see the trigger line.
        piece_mm: two pieces whose middles are nearer than this may touch.
        approach_mm: how much belt a piece runs in view of the camera before the trigger line, and a little beyond.
    """

    categories: Sequence[str | None]
    centres_mm: Sequence[float]
    crossings: Mapping[int, int | None]
    blind_mm: Sequence[tuple[float, float]]
    piece_mm: float
    approach_mm: tuple[float, float]


@dataclass(frozen=True, slots=True)
class LaneResult:
    """One lane: what really lies in it.

    Attributes:
        number, name: of the configuration.
        pieces: that were ejected into it.
        right: those of a category that belongs there.
    """

    number: int
    name: str
    pieces: int
    right: int

    @property
    def purity(self) -> float | None:
        """Share of right pieces, in [0, 1]; None for an empty lane."""
        return self.right / self.pieces if self.pieces else None


@dataclass(frozen=True, slots=True)
class SimulationResult:
    """The account of a simulated shift.

    Attributes:
        pieces: that lay on the belt.
        seen: rows of the ledger.
        counted_once: of the pieces on the belt.
        with_others: never counted, but they touched one that was.
        unseen_blind: never counted, because the camera or the line was away.
        unseen: never counted for no reason.
        counted_twice: more than once.
        phantoms: rows without a piece.
        ends: status → rows.
        reasons: reason of the end → rows.
        commanded: commands that reached the sorter.
        fired: times that an ejector opened.
        missed: times that it hit nothing.
        disagreements: one sentence for each contradiction between ledger and sorter; what is doubled is among them.
        accepted: pieces of a known category that the model was sure of.
        accepted_right: those of them with the right category.
        lanes: what lies in them.
        latency_ms: percentile → milliseconds from the capture of the deciding frame to the command, in virtual time.
        virtual_s: length of the shift.
    """

    pieces: int
    seen: int
    counted_once: int
    with_others: int
    unseen_blind: int
    unseen: int
    counted_twice: int
    phantoms: int
    ends: dict[str, int]
    reasons: dict[str, int]
    commanded: int
    fired: int
    missed: int
    disagreements: tuple[str, ...]
    accepted: int
    accepted_right: int
    lanes: tuple[LaneResult, ...]
    latency_ms: dict[str, float]
    virtual_s: float

    @property
    def faults(self) -> list[str]:
        """What must not be, whatever fails on the line; empty when the account is right."""
        found = list(self.disagreements)
        if sum(self.ends.values()) != self.seen or set(self.ends) - set(ENDS):
            found.append(f"{self.seen} pieces were seen, and their ends are {self.ends}")
        if self.counted_twice:
            found.append(f"{self.counted_twice} pieces were counted more than once")
        return found

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        lanes = [{**asdict(lane), "purity": lane.purity} for lane in self.lanes]
        return {**asdict(self), "lanes": lanes, "faults": self.faults}


def compare(
    rows: Sequence[Piece],
    books: Mapping[int, Entry],
    truth: Truth,
    *,
    lanes: Sequence[tuple[Lane, frozenset[str]]],
    virtual_s: float,
) -> SimulationResult:
    """Hold the ledger against the sorter's books and the truth.

    Args:
        rows: of the ledger, one a piece.
        books: of the sorter, by sequence number.
        truth: what really was.
        lanes: of the line, each with the categories that belong there.
        virtual_s: length of the shift.
    """
    counts = Counter(piece for piece in truth.crossings.values() if piece is not None)
    missing = [i for i in range(len(truth.centres_mm)) if i not in counts]
    touching = {i for i in missing if _touches(i, counts, truth)}
    blind = {i for i in missing if i not in touching and _was_blind(i, truth)}
    right = [_is_right(row, truth) for row in rows if row.decision == "accept"]
    known = [value for value in right if value is not None]
    latencies = [row.latency_ms for row in rows if row.commanded_at is not None and row.latency_ms is not None]
    hits = [hit for entry in books.values() for hit in [entry.hit] * bool(entry.fired)]
    return SimulationResult(
        pieces=len(truth.centres_mm),
        seen=len(rows),
        counted_once=sum(count == 1 for count in counts.values()),
        with_others=len(touching),
        unseen_blind=len(blind),
        unseen=len(missing) - len(touching) - len(blind),
        counted_twice=sum(count > 1 for count in counts.values()),
        phantoms=sum(piece is None for piece in truth.crossings.values()),
        ends=dict(Counter(row.status for row in rows)),
        reasons=dict(Counter(row.reason for row in rows if row.reason is not None)),
        commanded=len(books),
        fired=sum(entry.fired for entry in books.values()),
        missed=sum(not hit for hit in hits),
        disagreements=tuple(_disagreements(rows, books)),
        accepted=len(known),
        accepted_right=sum(known),
        lanes=tuple(_lane_result(lane, categories, books, truth) for lane, categories in lanes),
        latency_ms={f"p{q}": float(np.percentile(latencies, q)) for q in (50, 95, 99)} if latencies else {},
        virtual_s=virtual_s,
    )


def _touches(piece: int, counts: Mapping[int, int], truth: Truth) -> bool:
    """Whether a neighbour that was counted lies so near that both may be one in the picture."""
    near = (piece - 1, piece + 1)
    return any(i in counts and abs(truth.centres_mm[i] - truth.centres_mm[piece]) < truth.piece_mm for i in near)


def _was_blind(piece: int, truth: Truth) -> bool:
    before, after = truth.approach_mm
    low, high = truth.centres_mm[piece] - before, truth.centres_mm[piece] + after
    return any(begin < high and end > low for begin, end in truth.blind_mm)


def _is_right(row: Piece, truth: Truth) -> bool | None:
    piece = truth.crossings.get(row.seq)
    category = None if piece is None else truth.categories[piece]
    return None if category is None else row.category == category


def _lane_result(lane: Lane, belongs: frozenset[str], books: Mapping[int, Entry], truth: Truth) -> LaneResult:
    inside = [truth.categories[piece] for entry in books.values() if entry.lane == lane.number for piece in entry.hit]
    return LaneResult(lane.number, lane.name, len(inside), sum(category in belongs for category in inside))


def _disagreements(rows: Sequence[Piece], books: Mapping[int, Entry]) -> list[str]:
    found = []
    numbers = Counter(row.seq for row in rows)
    found += [f"seq {seq}: {count} rows" for seq, count in numbers.items() if count > 1]
    found += [
        f"seq {seq}: the sorter was commanded, and the ledger knows nothing of it" for seq in books.keys() - numbers
    ]
    for row in rows:
        entry = books.get(row.seq)
        found += [f"seq {row.seq} ({row.status}, {row.reason}): {text}" for text in _contradictions(row, entry)]
    return found


def _contradictions(row: Piece, entry: Entry | None) -> list[str]:
    """What the two accounts of one piece say against each other."""
    if row.status in _NEVER_COMMANDED:
        return ["the sorter received it"] if entry is not None else []
    if entry is None:
        return [] if row.status == "unknown" else ["the sorter never received it"]
    found = []
    if entry.received > 1:
        found.append(f"received {entry.received} times")
    if entry.fired > 1:
        found.append(f"fired {entry.fired} times")
    if entry.fired and entry.answer != "accepted":
        found.append(f"fired although it answered {entry.answer}")
    if row.status == "refused" and (entry.answer != row.ack_result or entry.fired):
        found.append(f"the sorter answered {entry.answer} and fired {entry.fired} times")
    if row.status == "confirmed":
        meant = {"missed": not entry.hit, "ejected": len(entry.hit) == 1, "double": len(entry.hit) > 1}
        if entry.fired != 1 or not meant[row.confirm_result or "missed"]:
            found.append(f"confirmed as {row.confirm_result}, fired {entry.fired} times, hit {len(entry.hit)} pieces")
        if entry.lane != row.lane:
            found.append(f"lane {row.lane} in the ledger, lane {entry.lane} in the sorter's books")
    return found
