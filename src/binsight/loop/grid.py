"""Many photos at once: those that a model takes for one class, of which people tap what is something else.

The class is on the screen, so who looks agrees too often: two tiles are planted, on which two people had agreed that
they are something else, and who misses one labels single photos again. Such labels are for training only: no locked or
hard photo is in a grid, and a photo that was in one never counts for the accuracy.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import sqlite3
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from binsight.loop.labelling import LEASE_S, AnswerError, place_of
from binsight.loop.ledger import utc_text
from binsight.loop.queue import Queue
from binsight.loop.votes import Photo, read_photos

__all__ = ["GRID", "Grid", "answer_grid", "offer_grid", "shown_in_grids"]

GRID: Final = "grid"
"""The mode of such labels."""

_PLANTED, _LEAST, _MOST = 2, 6, 10  # tiles
_PENANCE = 20  # single labels after a missed tile


@dataclass(frozen=True, slots=True)
class Grid:
    """Photos that may all be of one class.

    Attributes:
        category: the class.
        items: their ids, the planted ones among them.
        ticket: proves that this labeller was given just these.
    """

    category: str
    items: tuple[str, ...]
    ticket: str


def offer_grid(queue: Queue, labeller: str, classes: Collection[str]) -> Grid | None:
    """Lease photos that a model takes for one class, the class with the most; None: there are too few, or not yet.

    Args:
        queue: of the loop.
        labeller: who.
        classes: the model's.
    """
    now = queue.now()
    with queue.changing() as rows:
        if _must_look_closer(rows, labeller):
            return None
        photos = read_photos(rows)
        rows.execute("DELETE FROM leases WHERE until <= ?", (utc_text(now),))
        taken = {row["item"] for row in rows.execute("SELECT item FROM leases WHERE labeller != ?", (labeller,))}
        own = _alike([p for p in photos if p.id not in taken | shown_in_grids(rows)], classes)
        if len(own) < _LEAST:
            return None
        category = own[0].stratum.category
        query = "SELECT item FROM events WHERE labeller = ? AND kind = ?"
        seen = {row["item"] for row in rows.execute(query, (labeller, GRID))}
        planted = [p for p in photos if _is_planted(p, category) and p.truth in classes and p.id not in seen]
        if len(planted) < _PLANTED:
            return None
        chosen = _first(queue, labeller, own, _MOST) + _first(queue, labeller, planted, _PLANTED)
        chosen.sort(key=lambda item: place_of(queue, f"{labeller}:{GRID}", item))
        until = utc_text(now + timedelta(seconds=LEASE_S))
        rows.executemany("INSERT OR REPLACE INTO leases VALUES (?, ?, ?)", [(item, labeller, until) for item in chosen])
    return Grid(category, tuple(chosen), _ticket(queue, labeller, category, chosen))


def answer_grid(queue: Queue, labeller: str, grid: Grid, wrong: Collection[str], *, event: str) -> bool:
    """Write what a labeller says of a grid: all but those tapped are of the class; the same `event` changes nothing.

    Those tapped are looked at one by one, later.

    Args:
        queue: of the loop.
        labeller: who.
        grid: as it was offered.
        wrong: ids of those that are something else.
        event: names this answer.

    Returns:
        Whether the planted tiles were found; if not, nothing is taken for labelled.

    Raises:
        AnswerError: this labeller was not given this grid.
        OutputError: it cannot be written; nothing is kept then.
    """
    if not hmac.compare_digest(grid.ticket, _ticket(queue, labeller, grid.category, grid.items)):
        raise AnswerError("expected a grid as it was given to this labeller; ask for another")
    with queue.changing() as rows:
        before = rows.execute("SELECT answer FROM events WHERE token = ?", (event,)).fetchone()
        if before is not None:
            return bool(before["answer"] == "found")
        photos = read_photos(rows, grid.items)
        planted = [p for p in photos if _is_planted(p, grid.category)]
        is_found = len(planted) == _PLANTED and all(p.id in wrong for p in planted)
        at = utc_text(queue.now())
        write = (
            "INSERT INTO events (token, item, labeller, at, kind, answer, mode, is_gold, saw) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, 0, 'class')"
        )
        rows.executemany(
            write,
            [(event if n == 0 else None, p.id, labeller, at, GRID, "found" if is_found else "missed", "")
             for n, p in enumerate(planted)],
        )  # fmt: skip
        for p in photos:
            if p not in planted and p.needed > 0 and labeller not in p.votes:
                is_label = is_found and p.id not in wrong
                kind, answer = ("label", grid.category) if is_label else ("skip", None)
                rows.execute(write, (f"{event}:{p.id}", p.id, labeller, at, kind, answer, GRID))
        rows.executemany("DELETE FROM leases WHERE item = ? AND labeller = ?", [(i, labeller) for i in grid.items])
    return is_found


def shown_in_grids(rows: sqlite3.Connection) -> set[str]:
    """The photos that were in an answered grid, planted ones aside."""
    return {row["item"] for row in rows.execute("SELECT DISTINCT item FROM events WHERE mode = ?", (GRID,))}


def _must_look_closer(rows: sqlite3.Connection, labeller: str) -> bool:
    """Whether the last grid's planted tiles were missed, and few single photos were labelled since."""
    query = "SELECT id, answer FROM events WHERE labeller = ? AND kind = ? ORDER BY id DESC LIMIT 1"
    last = rows.execute(query, (labeller, GRID)).fetchone()
    if last is None or last["answer"] == "found":
        return False
    query = "SELECT COUNT(*) FROM events WHERE labeller = ? AND kind = 'label' AND id > ?"
    return bool(rows.execute(query, (labeller, last["id"])).fetchone()[0] < _PENANCE)


def _alike(photos: Iterable[Photo], classes: Collection[str]) -> list[Photo]:
    """Open photos that may be in a grid, of the class that has the most."""
    free = [
        p for p in photos
        if p.split == "train" and p.model and not (p.is_double or p.votes) and p.stratum.category in classes
    ]  # fmt: skip
    count = Counter(p.stratum.category for p in free)
    most = min(count, key=lambda name: (-count[name], name), default="")
    return [p for p in free if p.stratum.category == most]


def _is_planted(photo: Photo, category: str) -> bool:
    return photo.truth not in (None, category) and len(photo.votes) > 1


def _first(queue: Queue, labeller: str, photos: Sequence[Photo], count: int) -> list[str]:
    return sorted((p.id for p in photos), key=lambda item: place_of(queue, labeller, item))[:count]


def _ticket(queue: Queue, labeller: str, category: str, items: Sequence[str]) -> str:
    text = json.dumps([GRID, labeller, category, list(items)])
    return hmac.new(queue.key, text.encode(), hashlib.sha256).hexdigest()
