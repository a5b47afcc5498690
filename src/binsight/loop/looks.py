"""Looks at locked photos are counted: whoever looks often enough finds a model that only seems better.

Looks follow the photos: a set that shares most of its photos with one that was looked at has been looked at, too.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Collection, Iterator
from typing import ClassVar, Final

from binsight.errors import BinsightError
from binsight.loop.grid import shown_in_grids
from binsight.loop.ledger import Ledger
from binsight.loop.queue import Queue
from binsight.loop.versions import read_all_splits

__all__ = ["MOST_LOOKS", "SpentError", "digest_of", "record_look", "retire"]

MOST_LOOKS: Final = 10
_MARK: Final = 12  # hexadecimal digits that tell photos apart: two of a million are alike by chance in 0.2 % of cases


class SpentError(BinsightError, ValueError):
    """Locked photos were looked at as often as they may be."""

    code: ClassVar[str] = "spent"


def digest_of(photos: Collection[str]) -> str:
    """The name of a set of photos, whatever their order, from the SHA-256 of each."""
    return hashlib.sha256("\n".join(sorted(photos)).encode()).hexdigest()


def record_look(ledger: Ledger, *, photos: Collection[str], challenger: str, champion: str) -> int:
    """Write down that two models are about to be compared on locked photos; the number of the look.

    Args:
        ledger: where looks are recorded.
        photos: the SHA-256 of each.
        challenger: what the new model is called.
        champion: what the old one is called.

    Raises:
        SpentError: they, or most of them, were looked at ten times.
        OutputError: the look cannot be recorded; then there is none.
    """
    digest, own = digest_of(photos), _marks(photos)
    with ledger.writing():
        looks = list(_looks(ledger))
        before = sum(name == digest or _share_most(own, marks) for name, marks in looks)
        if before >= MOST_LOOKS:
            raise SpentError(
                f"these locked photos, or most of them, were looked at {before} times, after which they prove nothing: "
                "let them go to train, and lock newer ones; in a loop, `binsight data freeze DIR --retire` does it"
            )
        is_new = all(name != digest for name, _ in looks)
        which = {"photos": sorted(own)} if is_new else {}
        ledger.append("look", locked=digest, number=before + 1, challenger=challenger, champion=champion, **which)
    return before + 1


def retire(queue: Queue) -> int:
    """Let the locked photos that were looked at go to `train`, and lock newer ones; how many are retired.

    The newer ones are all labelled photos drawn at random that are in no version yet, so that no model can have learned
    from them; but for those with claims, and those that were in a grid. The next version has it so.

    Args:
        queue: of the loop.

    Raises:
        OutputError: it cannot be written; nothing is changed then.
    """
    with queue.ledger.writing(), queue.changing() as rows:
        seen = {mark for _, marks in _looks(queue.ledger) for mark in marks}
        splits = read_all_splits(queue)
        locked = {row["id"] for row in rows.execute("SELECT id FROM items WHERE split = 'locked'")}
        old = sorted(item for item in locked & splits.get("locked", set()) if item[:_MARK] in seen)
        if not old:
            return 0
        new = sorted(_labelled_at_random(rows).difference(locked, *splits.values()))
        queue.ledger.append("retire", photos=len(old), locked=len(new))
        for split, items in (("train", old), ("locked", new)):
            rows.executemany("UPDATE items SET split = ? WHERE id = ?", [(split, item) for item in items])
    return len(old)


def _labelled_at_random(rows: sqlite3.Connection) -> set[str]:
    query = (
        "SELECT id FROM items WHERE is_random AND NOT is_correction AND "
        "id IN (SELECT item FROM events WHERE kind = 'label')"
    )
    return {row["id"] for row in rows.execute(query)} - shown_in_grids(rows)


def _looks(ledger: Ledger) -> Iterator[tuple[str, frozenset[str]]]:
    """The looks so far: the digest of the photos, and their marks; none where an earlier version wrote it."""
    marks: dict[str, frozenset[str]] = {}
    for entry in ledger.read():
        if entry.event == "look":
            digest = entry.details["locked"]
            marks.setdefault(digest, frozenset(entry.details.get("photos", ())))
            yield digest, marks[digest]


def _marks(photos: Collection[str]) -> frozenset[str]:
    return frozenset(photo[:_MARK] for photo in photos)


def _share_most(one: Collection[str], other: Collection[str]) -> bool:
    """Whether more than half of one of them are in the other."""
    return 2 * len(set(one) & set(other)) > min(len(one), len(other)) > 0
