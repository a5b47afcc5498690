"""What was said of each kept photo, and whether it is settled what it is."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from binsight.loop.queue import UnknownPhotoError
from binsight.loop.sampling import Chances, Stratum, chance_of_any

__all__ = ["LABELS", "NOT_WASTE", "OTHERS", "PERSON", "SEVERAL", "UNCLEAR", "Photo", "read_photo", "read_photos"]

NOT_WASTE: Final = "not_waste"
SEVERAL: Final = "several"
UNCLEAR: Final = "unclear"
PERSON: Final = "person"
"""A person is visible: the photo is deleted."""

OTHERS: Final = (NOT_WASTE, SEVERAL, UNCLEAR, PERSON)
"""Answers beside the classes."""

_LABELS: Final = """
SELECT item, labeller, answer, is_gold, mode FROM events e
WHERE kind = 'label' AND NOT EXISTS (SELECT 1 FROM events u WHERE u.undoes = e.id)"""

LABELS: Final = f"{_LABELS} ORDER BY id"
"""Labels that stand, in order."""


@dataclass(frozen=True, slots=True)
class Photo:
    """A kept photo.

    Attributes:
        id: of the photo.
        model: name and version of what classified it.
        stratum: what that said.
        chance: with which it was drawn at random or to review; 0 where it was not.
        is_double: two people are to look.
        reasons: why it is here.
        split: dealt once: `train`, `locked` or `hard`.
        votes: labeller → answer, in order.
    """

    id: str
    model: str
    stratum: Stratum
    chance: float
    is_double: bool
    reasons: tuple[str, ...]
    split: str
    votes: dict[str, str]

    @property
    def needed(self) -> int:
        """How many more people must look."""
        answers = list(self.votes.values())
        if not self.is_double:
            return 1 - len(answers)
        if len(answers) < 2:
            return 2 - len(answers)
        return int(len(answers) == 2 and answers[0] != answers[1])

    @property
    def truth(self) -> str | None:
        """What it is, where that is settled."""
        if self.needed > 0 or not self.votes:
            return None
        answer, count = Counter(self.votes.values()).most_common(1)[0]
        return answer if count > len(self.votes) / 2 else None


def read_photos(queue: sqlite3.Connection, among: Collection[str] | None = None) -> list[Photo]:
    """All photos of a queue, or those of the given ids that are there."""
    chosen = () if among is None else (json.dumps(list(among)),)
    labels, items = f"{_LABELS} AND NOT is_gold", "SELECT * FROM items"
    if chosen:
        labels += " AND item IN (SELECT value FROM json_each(?))"
        items += " WHERE id IN (SELECT value FROM json_each(?))"
    votes: dict[str, dict[str, str]] = {}
    for row in queue.execute(f"{labels} ORDER BY id", chosen):
        votes.setdefault(row["item"], {})[row["labeller"]] = row["answer"]
    return [_read(row, votes.get(row["id"], {})) for row in queue.execute(f"{items} ORDER BY id", chosen)]


def read_photo(queue: sqlite3.Connection, item: str) -> Photo:
    """One photo.

    Raises:
        UnknownPhotoError: there is none.
    """
    if not (found := read_photos(queue, [item])):
        raise UnknownPhotoError("no such photo: it has expired, or was deleted")
    return found[0]


def _read(row: sqlite3.Row, votes: dict[str, str]) -> Photo:
    reasons = tuple(name for name in ("random", "review", "correction", "disagreement") if row[f"is_{name}"])
    # Those without any of these were chosen for being unlike the others, or came from outside, where no model spoke.
    reasons = reasons or (("diverse",) if row["model"] else ("imported",))
    chances = Chances(row["chance_random"], row["chance_review"])
    chance = chance_of_any(chances) if row["is_random"] or row["is_review"] else 0.0
    stratum = Stratum(row["decision"], row["category"])
    is_double = bool(row["is_double"])
    return Photo(row["id"], row["model"], stratum, chance, is_double, reasons, row["split"], votes)
