"""What two models said of the same live photos, and what the labels of those on which they differ say of the models.

Only photos on which they name different classes need labels. They count in the order in which they came, and only up
to the oldest that has no settled label yet: otherwise those that are labelled quickly would decide.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from binsight.loop.evidence import ROLL_BACK, proof_of_harm, proof_of_no_harm
from binsight.loop.fixed_set import PairedCounts
from binsight.loop.ledger import utc_text
from binsight.loop.queue import Queue
from binsight.loop.trials import Kind, Trial
from binsight.loop.votes import OTHERS, Photo, read_photos

__all__ = ["GONE", "MARGIN", "WINDOW", "Compared", "Comparison", "Difference", "Standing", "find_reason", "stand"]

MARGIN: Final = 0.005
"""By which share of live photos a challenger may be worse."""

WINDOW: Final = 200
"""Over so many photos their agreement is measured."""

GONE: Final = ""
"""Stands for a photo that nobody can label any more: it has expired, or was deleted."""

_LEAST_AGREEMENT, _MOST_TIME = 0.85, 1.5


@dataclass(frozen=True, slots=True)
class Compared:
    """One photo that both models have seen.

    Attributes:
        photo: the hash of its pixels.
        item: its id in the queue, where the two differ; `GONE` where it could not be kept; None: they agree.
        old: the class that the old model names; empty where it failed on the photo.
        new: the same of the new one.
    """

    photo: str
    item: str | None = None
    old: str = ""
    new: str = ""


@dataclass(frozen=True, slots=True)
class Difference:
    """A photo on which the two differ.

    Attributes:
        before: photos that came before it.
        lead: 1 where only the new model is right, -1 where only the old one is, 0 where neither is, or nobody can
            tell; None: it has no settled label yet.
    """

    before: int
    lead: int | None


@dataclass(frozen=True, slots=True)
class Standing:
    """How a comparison stands.

    Attributes:
        photos: that both have seen.
        differ: on which they name different classes.
        open: of these, without a settled label.
        counts: only the old right, only the new right, all; up to the oldest open one.
        agreement: share of the last 200 photos on which they agree; None: there are fewer.
        evidence: that the new model is not worse by half a point; 20 proves it.
        harm: that it is worse, the most there was after any photo; 100 proves it.
    """

    photos: int
    differ: int
    open: int
    counts: PairedCounts
    agreement: float | None
    evidence: float
    harm: float


def stand(photos: int, differences: Sequence[Difference], agreement: float | None = None) -> Standing:
    """The evidence of a comparison.

    Args:
        photos: that both have seen.
        differences: all photos on which they differ, in the order in which they came.
        agreement: of the last photos.
    """
    is_open = [each.lead is None for each in differences]
    first = is_open.index(True) if any(is_open) else len(differences)
    counted = photos if first == len(differences) else differences[first].before
    leads: NDArray[np.int_] = np.array([each.lead for each in differences[:first]], int)
    lost, won = np.cumsum(leads < 0), np.cumsum(leads > 0)
    b, c = (int(x[-1]) if first else 0 for x in (lost, won))
    harm = float(proof_of_harm(lost, won, lost + won).max()) if first else 1.0  # the others change nothing
    proof = float(proof_of_no_harm(b, c, counted, MARGIN))
    counts = PairedCounts(b, c, counted)
    return Standing(photos, len(differences), sum(is_open), counts, agreement, proof, harm)


def find_reason(kind: Kind, standing: Standing, times_s: Sequence[tuple[float, float]] = ()) -> str | None:
    """Why the new model must go: a challenger out of the shadow, a new champion back; None: nothing speaks for it.

    Args:
        kind: of the comparison.
        standing: how it stands.
        times_s: processor time of the old and the new model on the same photos; fewer than 200 say nothing.
    """
    if kind == "watch" and standing.harm >= ROLL_BACK:
        b, c, _ = standing.counts
        return (
            f"is worse, evidence {standing.harm:.3g}: {b:,} photos only the model before has right, {c:,} only this one"
        )
    if standing.agreement is not None and standing.agreement < _LEAST_AGREEMENT:
        return f"agrees with the other model on {standing.agreement:.0%} of {WINDOW} photos"
    if kind == "watch" and len(times_s) >= WINDOW:
        old, new = np.percentile(np.array(times_s), 95, axis=0)
        if new > _MOST_TIME * old:
            return f"is slow: {new / old:.1f} times the time of the model before, 95th percentile of {WINDOW} photos"
    return None


class Comparison:
    """The record of one comparison, in a loop's queue; threads and programs may share it.

    Args:
        queue: of the loop.
        trial: which comparison.
    """

    def __init__(self, queue: Queue, trial: Trial) -> None:
        self._queue, self.trial = queue, trial

    def begin(self, old: str, new: str) -> None:
        """Write down what is compared, under the names that people know; again changes nothing.

        Raises:
            OutputError: it cannot be written.
        """
        trial = self.trial
        with self._queue.changing() as queue:
            queue.execute(
                "INSERT OR IGNORE INTO trials (id, kind, old, new, began) VALUES (?, ?, ?, ?, ?)",
                (trial.id, trial.kind, old, new, trial.began),
            )
            queue.execute("UPDATE trials SET ended = NULL, outcome = '' WHERE id = ?", (trial.id,))

    def end(self, outcome: str) -> None:
        """Write down that it is over, and why.

        Raises:
            OutputError: it cannot be written.
        """
        with self._queue.changing() as queue:
            queue.execute(
                "UPDATE trials SET ended = ?, outcome = ? WHERE id = ? AND ended IS NULL",
                (utc_text(self._queue.now()), outcome, self.trial.id),
            )

    @staticmethod
    def going_on(queue: Queue) -> list[str]:
        """The ids of the comparisons of a queue that are not over."""
        with queue.reading() as tables:
            return [row["id"] for row in tables.execute("SELECT id FROM trials WHERE ended IS NULL")]

    def has(self, photo: str) -> bool:
        """Whether a photo counts already."""
        query = "SELECT 1 FROM compared WHERE trial = ? AND photo = ?"
        with self._queue.reading() as queue:
            return queue.execute(query, (self.trial.id, self._mark(photo))).fetchone() is not None

    def add(self, photos: Sequence[Compared]) -> None:
        """Write photos down, in their order; all or none; one that is there counts once.

        Raises:
            OutputError: they cannot be written.
        """
        rows = [(self.trial.id, self._mark(each.photo), each.item, each.old, each.new) for each in photos]
        with self._queue.changing() as queue:
            queue.executemany(
                "INSERT OR IGNORE INTO compared (trial, photo, item, old, new) VALUES (?, ?, ?, ?, ?)", rows
            )

    def standing(self) -> Standing:
        """How it stands, by the labels that there are now.

        Raises:
            InputError: the queue cannot be read.
        """
        own = (self.trial.id,)
        with self._queue.reading() as queue:
            (photos,) = queue.execute("SELECT COUNT(*) FROM compared WHERE trial = ?", own).fetchone()
            rows = queue.execute(
                "SELECT position, item, old, new FROM compared WHERE trial = ? AND item IS NOT NULL ORDER BY position",
                own,
            ).fetchall()
            labelled = {p.id: p for p in read_photos(queue, [row["item"] for row in rows])}
            differences, before, at = [], 0, 0
            for row in rows:
                query = "SELECT COUNT(*) FROM compared WHERE trial = ? AND position >= ? AND position < ?"
                before += queue.execute(query, (*own, at, row["position"])).fetchone()[0]
                at = row["position"]
                lead = _lead(labelled.get(row["item"]), row["old"], row["new"], self.trial.kind)
                differences.append(Difference(before, lead))
            last = queue.execute(
                "SELECT item FROM compared WHERE trial = ? ORDER BY position DESC LIMIT ?", (*own, WINDOW)
            ).fetchall()
        agreement = sum(row["item"] is None for row in last) / WINDOW if len(last) == WINDOW else None
        return stand(photos, differences, agreement)

    def _mark(self, photo: str) -> bytes:
        """What stands for a photo: nobody can tell from it which one it was."""
        return hmac.new(self._queue.key, f"compared:{photo}".encode(), hashlib.sha256).digest()[:8]


def _lead(photo: Photo | None, old: str, new: str, kind: Kind) -> int | None:
    if photo is None:
        # It would be as good as an agreement otherwise, and a model whose mistakes nobody labels would be proven.
        return -1 if kind == "challenge" else 0
    truth = photo.truth
    if truth is None:
        return None if photo.needed > 0 else 0  # three people, three answers
    return 0 if truth in OTHERS else (new == truth) - (old == truth)
