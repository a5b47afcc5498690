"""Labelling: who gets which photo, what was said, undo, hidden checks.

Labels are events that are only ever added. A photo is leased to one labeller for five minutes, so that nobody looks at
it in vain; some are looked at by two people, who do not know of each other, and a third decides where they differ.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

from binsight.errors import BinsightError
from binsight.loop.ledger import utc_text
from binsight.loop.queue import Queue, UnknownPhotoError
from binsight.loop.sampling import draw
from binsight.loop.votes import OTHERS, PERSON, Photo, read_photo, read_photos

__all__ = ["LEASE_S", "AlreadyLabelledError", "AnswerError", "Item", "Labelling", "place_of"]

LEASE_S = 300
"""A photo is one labeller's for so long."""

_UNDO = 20
_GOLD_SHARE = 0.05
_CLIENT_SHARE = 0.1


class AnswerError(BinsightError, ValueError):
    """An answer cannot be taken."""

    code: ClassVar[str] = "label"


class AlreadyLabelledError(AnswerError):
    """As many people as needed have labelled the photo meanwhile."""

    code = "already_labelled"


@dataclass(frozen=True, slots=True)
class Item:
    """A photo to label: nothing that tells what a model said.

    Attributes:
        id: of the photo.
        until: when the lease ends.
    """

    id: str
    until: str


def place_of(queue: Queue, labeller: str, item: str) -> float:
    """Where a photo stands in a labeller's own random order, in [0, 1)."""
    return sum(2.0 ** -(i + 1) for i in range(24) if draw(queue.key, f"order:{labeller}:{i}", item, 0.5))


class Labelling:
    """The labelling of a queue.

    Args:
        queue: of the loop.
        classes: the model's class ids.
    """

    def __init__(self, queue: Queue, classes: Sequence[str]) -> None:
        self._queue, self._classes = queue, tuple(classes)

    def next(self, labeller: str, *, count: int = 1, skip: Collection[str] = ()) -> list[Item]:
        """Lease photos to a labeller, in an order that is random and his or her own; those skipped come last.

        Args:
            labeller: who.
            count: how many at most.
            skip: ids not to give now.
        """
        now = self._queue.now()
        until = utc_text(now + timedelta(seconds=LEASE_S))
        with self._queue.changing() as queue:
            photos = read_photos(queue)
            queue.execute("DELETE FROM leases WHERE until <= ?", (utc_text(now),))
            held = Counter(
                row["item"] for row in queue.execute("SELECT item FROM leases WHERE labeller != ?", (labeller,))
            )
            skipped = {
                row["item"]
                for row in queue.execute("SELECT item FROM events WHERE labeller = ? AND kind = 'skip'", (labeller,))
            }
            crowded = self._crowded(queue, photos)
            free = [
                p
                for p in photos
                if p.id not in skip and labeller not in p.votes and p.needed > held[p.id] and p.id not in crowded
            ]
            free.sort(key=lambda p: (p.id in skipped, place_of(self._queue, labeller, p.id)))
            chosen = [p.id for p in free[:count]]
            self._hide_gold(queue, labeller, photos, chosen, skip)
            for item in chosen:
                queue.execute("INSERT OR REPLACE INTO leases VALUES (?, ?, ?)", (item, labeller, until))
        return [Item(item, until) for item in chosen]

    def answer(
        self,
        labeller: str,
        item: str,
        answer: str,
        *,
        event: str,
        ms: int | None = None,
        mode: str = "single",
        revealed: bool = False,
    ) -> None:
        """Write what a labeller says; the same `event` again changes nothing.

        Args:
            labeller: who.
            item: the photo.
            answer: a class, `not_waste`, `several`, `unclear`, or `person`, which deletes the photo.
            event: names this answer, so that one that was sent twice counts once.
            ms: how long it took.
            mode: how it was asked.
            revealed: whether the labeller had seen what the model said.

        Raises:
            AnswerError: no such answer.
            UnknownPhotoError: no such photo.
            AlreadyLabelledError: it needs no label of this labeller any more.
            OutputError: it cannot be written; nothing is kept then.
        """
        if answer not in (*self._classes, *OTHERS):
            raise AnswerError(f"expected one of {', '.join((*self._classes, *OTHERS))}, got {answer[:64]!r}")
        with self._queue.changing() as queue:
            if queue.execute("SELECT 1 FROM events WHERE token = ?", (event,)).fetchone():
                return
            photo = read_photo(queue, item)
            if answer != PERSON:
                is_gold = photo.needed <= 0 and photo.truth is not None and labeller not in photo.votes
                is_leased = queue.execute(
                    "SELECT 1 FROM leases WHERE item = ? AND labeller = ?", (item, labeller)
                ).fetchone()
                if labeller not in photo.votes and photo.needed <= 0 and not (is_gold and is_leased):
                    raise AlreadyLabelledError("others were faster: it needs no label any more")
                saw = "prediction" if revealed else "photo"
                queue.execute(
                    "INSERT INTO events (token, item, labeller, at, kind, answer, mode, ms, is_gold, saw) "
                    "VALUES (?, ?, ?, ?, 'label', ?, ?, ?, ?, ?)",
                    (event, item, labeller, utc_text(self._queue.now()), answer, mode, ms, is_gold, saw),
                )
                queue.execute("DELETE FROM leases WHERE item = ? AND labeller = ?", (item, labeller))
        if answer == PERSON:
            self._queue.forget(item, reason="a person is visible")

    def skip(self, labeller: str, item: str) -> None:
        """Leave a photo open; it comes to this labeller again when all others are done.

        Raises:
            UnknownPhotoError: no such photo.
        """
        with self._queue.changing() as queue:
            read_photo(queue, item)
            queue.execute(
                "INSERT INTO events (item, labeller, at, kind, mode, is_gold, saw) VALUES (?, ?, ?, 'skip', '', 0, '')",
                (item, labeller, utc_text(self._queue.now())),
            )
            queue.execute("DELETE FROM leases WHERE item = ? AND labeller = ?", (item, labeller))

    def undo(self, labeller: str) -> Item | None:
        """Take back the labeller's last label, of the last 20, and lease the photo again; None: there is none."""
        until = utc_text(self._queue.now() + timedelta(seconds=LEASE_S))
        with self._queue.changing() as queue:
            row = queue.execute(
                "SELECT id, item FROM (SELECT * FROM events WHERE labeller = ? AND kind = 'label' ORDER BY id DESC "
                "LIMIT ?) e WHERE NOT EXISTS (SELECT 1 FROM events u WHERE u.undoes = e.id) LIMIT 1",
                (labeller, _UNDO),
            ).fetchone()
            if row is None:
                return None
            queue.execute(
                "INSERT INTO events (item, labeller, at, kind, mode, is_gold, saw, undoes) "
                "VALUES (?, ?, ?, 'undo', '', 0, '', ?)",
                (row["item"], labeller, utc_text(self._queue.now()), row["id"]),
            )
            queue.execute("INSERT OR REPLACE INTO leases VALUES (?, ?, ?)", (row["item"], labeller, until))
        return Item(row["item"], until)

    def reveal(self, item: str) -> tuple[str, float]:
        """What the model said, and how sure it was.

        Raises:
            UnknownPhotoError: no such photo.
        """
        with self._queue.reading() as queue:
            row = queue.execute("SELECT category, confidence FROM items WHERE id = ?", (item,)).fetchone()
        if row is None:
            raise UnknownPhotoError("no such photo")
        return row["category"], row["confidence"]

    def _crowded(self, queue: sqlite3.Connection, photos: Iterable[Photo]) -> set[str]:
        """Photos that are there only for claims of clients that have had their tenth of the labels."""
        labelled = [p for p in photos if p.votes]
        room = max(1, int(_CLIENT_SHARE * len(labelled)))
        claimed: dict[str, set[str]] = {}
        for row in queue.execute("SELECT item, client FROM claims WHERE NOT withdrawn"):
            claimed.setdefault(row["item"], set()).add(row["client"])
        used = Counter(client for p in labelled for client in claimed.get(p.id, ()) if p.reasons == ("correction",))
        leased = {row["item"] for row in queue.execute("SELECT item FROM leases")}
        used.update(client for item in leased for client in claimed.get(item, ()))
        return {
            p.id
            for p in photos
            if p.reasons == ("correction",)
            and not p.votes
            and p.id not in leased
            and all(used[client] >= room for client in claimed.get(p.id, ()))
        }

    def _hide_gold(
        self,
        queue: sqlite3.Connection,
        labeller: str,
        photos: Iterable[Photo],
        chosen: list[str],
        skip: Collection[str],
    ) -> None:
        """Put a photo of which two people agreed in the place of some: the labeller does not know which."""
        own = [row["item"] for row in queue.execute("SELECT item FROM events WHERE labeller = ?", (labeller,))]
        passed = {*own, *skip}
        gold = [p.id for p in photos if p.truth is not None and len(p.votes) > 1 and p.id not in passed]
        gold.sort(key=lambda item: place_of(self._queue, labeller, item))
        for place in range(len(chosen)):
            if gold and draw(self._queue.key, f"gold:{labeller}", str(len(own) + place), _GOLD_SHARE):
                chosen[place] = gold.pop(0)
