"""The queue: live photos that were kept to be labelled, and what users claimed of theirs.

DIR/queue.sqlite3         items, candidates, receipts, claims, leases, labels (append-only), tombstones, comparisons
DIR/photos/ab/<sha>.jpg   pixels only, named by the SHA-256 of the file
DIR/ledger.jsonl          what was frozen and forgotten
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import ClassVar, Final

from binsight.errors import BinsightError, InputError
from binsight.files import write_whole
from binsight.loop.ledger import Ledger, utc_now, utc_text
from binsight.loop.sampling import Chances, Stratum, draw
from binsight.loop.schema import SCHEMA, VERSION
from binsight.sqlite import read_only, transaction

__all__ = ["MOST_CANDIDATES", "Forgotten", "Queue", "TooManyClaimsError", "UnknownPhotoError"]

MOST_CANDIDATES: Final = 500
"""Photos that are kept for a while without waiting to be labelled; a newer one takes the place of the oldest."""

_KEPT: Final = "SELECT id, at FROM items UNION ALL SELECT item, at FROM candidates"
_TRAIN: Final = "train"
_ID = re.compile(r"[0-9a-f]{8,64}")
_MOST_OPEN_CLAIMS = 100
_HARD_SHARE, _DOUBLE_SHARE = 0.1, 0.1


class UnknownPhotoError(BinsightError, LookupError):
    """The queue has no such photo: it was never kept, has expired, or was forgotten."""

    code: ClassVar[str] = "unknown_photo"


class TooManyClaimsError(BinsightError, ValueError):
    """A client has sent more corrections than people have looked at."""

    code: ClassVar[str] = "feedback_full"


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What a photo had touched before it was forgotten.

    Attributes:
        versions: of the data set, by hash, that hold its label.
        models: that were trained on one of these, or begun from such a model, by hash.
    """

    versions: tuple[str, ...]
    models: tuple[str, ...]


class Queue:
    """The queue in a loop's folder; threads and programs may share it.

    Args:
        directory: the folder.
        create: make it when it is missing.
        now: the clock.

    Raises:
        InputError: there is none, and `create` is false.
        OutputError: it cannot be written.
    """

    def __init__(self, directory: Path, *, create: bool = False, now: Callable[[], datetime] = utc_now) -> None:
        self.directory, self.now = directory, now
        self.path, self.ledger = directory / "queue.sqlite3", Ledger(directory / "ledger.jsonl", now=now)
        if not create and not self.path.is_file():
            raise InputError(f"no queue in {directory}: expected the folder given to `binsight serve --loop`")
        with self.changing() as queue:
            if queue.execute("SELECT 1 FROM secret").fetchone() is None:
                queue.execute("INSERT INTO secret VALUES (?)", (secrets.token_bytes(32),))
            self.key: bytes = queue.execute("SELECT key FROM secret").fetchone()["key"]
        self._finish_forgetting()

    @contextmanager
    def changing(self) -> Iterator[sqlite3.Connection]:
        """The tables with the write lock held; kept on success, undone on any error."""
        with transaction(self.path, SCHEMA, VERSION) as queue:
            yield queue

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """The tables, to be read."""
        with read_only(self.path) as queue:
            yield queue

    def photo(self, item: str) -> Path:
        """The file of a photo."""
        return self.directory / "photos" / item[:2] / f"{item}.jpg"

    def pseudonym(self, client: str) -> str:
        """What stands for a client: the same each time, and nobody can tell from it who it is."""
        return hmac.new(self.key, f"client:{client}".encode(), hashlib.sha256).hexdigest()[:16]

    def put(
        self,
        jpeg: bytes,
        *,
        model: str,
        stratum: Stratum,
        confidence: float,
        chances: Chances,
        is_random: bool,
        is_review: bool,
        receipt: str,
        is_disagreement: bool = False,
        is_candidate: bool = False,
    ) -> str | None:
        """Keep a photo; one that is there gets a further receipt.

        Args:
            jpeg: the stored file, see `stored_jpeg`.
            model: name and version of what classified it.
            stratum: what it said.
            confidence: of that, in [0, 1].
            chances: with which the photo was drawn.
            is_random: drawn at random.
            is_review: drawn as one to review.
            receipt: by which its sender can have it deleted.
            is_disagreement: two models said different things of it.
            is_candidate: nobody is to label it yet, see `take_candidate`.

        A photo that is none of these is for training only.

        Returns:
            The photo's id; None where it was forgotten before, and is not kept again.

        Raises:
            OutputError: it cannot be written; nothing is kept then.
        """
        item = hashlib.sha256(jpeg).hexdigest()
        with self.changing() as queue:
            if self._is_forgotten(queue, item):
                return None
            self._store(item, jpeg)
            if is_candidate:
                self._offer(queue, item, (model, *stratum, confidence))
            else:
                flags = (is_random, is_review, False, is_disagreement)
                self._insert(queue, item, model, stratum, confidence, chances, flags)
            queue.execute("INSERT OR IGNORE INTO receipts VALUES (?, ?)", (receipt, item))
        return item

    def take_candidate(self, item: str) -> bool:
        """Let a candidate wait to be labelled, for training only; whether it is there still."""
        with self.changing() as queue:
            row = queue.execute("SELECT * FROM candidates WHERE item = ?", (item,)).fetchone()
            if row is not None:
                stratum, flags = Stratum(row["decision"], row["category"]), (False,) * 4
                self._insert(queue, item, row["model"], stratum, row["confidence"], Chances(0, 0), flags)
        return row is not None

    def claim(self, jpeg: bytes, *, client: str, corrected: str, predicted: str, model: str) -> tuple[str, bool]:
        """Keep what a user says of a photo: in quarantine, until two labellers have looked at it.

        Args:
            jpeg: the stored file.
            client: who, as the server tells clients apart; only a pseudonym is kept.
            corrected: what the user says it is.
            predicted: what the model had said.
            model: name and version.

        Returns:
            The photo's id, and whether the claim is new.

        Raises:
            TooManyClaimsError: this client has sent more than people have looked at.
            UnknownPhotoError: the photo was forgotten, and is not kept again.
            OutputError: it cannot be written; nothing is kept then.
        """
        item, who = hashlib.sha256(jpeg).hexdigest(), self.pseudonym(client)
        with self.changing() as queue:
            if self._is_forgotten(queue, item):
                raise UnknownPhotoError("this photo was deleted for good, and is not kept again")
            if self._open_claims(queue, who, item) >= _MOST_OPEN_CLAIMS:
                raise TooManyClaimsError(f"{_MOST_OPEN_CLAIMS} corrections of this client wait to be looked at")
            self._store(item, jpeg)
            flags = (False, False, True, False)
            self._insert(queue, item, model, Stratum("claim", predicted), 0.0, Chances(0, 0), flags)
            known = queue.execute(
                "SELECT corrected FROM claims WHERE item = ? AND client = ? ORDER BY id DESC", (item, who)
            ).fetchone()
            is_new = known is None or known["corrected"] != corrected
            if is_new:
                queue.execute(
                    "INSERT INTO claims (item, client, corrected, predicted, at) VALUES (?, ?, ?, ?, ?)",
                    (item, who, corrected, predicted, utc_text(self.now())),
                )
        return item, is_new

    def withdraw(self, client: str) -> int:
        """Take back all claims of a client, by its pseudonym; the number of photos that go with them.

        A photo stays where it was drawn, or where somebody else claims something of it.
        """
        with self.changing() as queue:
            queue.execute("UPDATE claims SET withdrawn = 1 WHERE client = ?", (client,))
            rows = queue.execute(
                "SELECT id FROM items i WHERE is_correction AND NOT (is_random OR is_review OR is_disagreement) AND "
                "EXISTS (SELECT 1 FROM claims c WHERE c.item = i.id AND c.client = ?) AND "
                "NOT EXISTS (SELECT 1 FROM claims c WHERE c.item = i.id AND NOT c.withdrawn)",
                (client,),
            ).fetchall()
            for row in rows:
                self._remove(queue, row["id"])
        return len(rows)

    def find(self, reference: str) -> str:
        """The id of the photo meant by a receipt, an id, or the beginning of an id (8 digits or more).

        Raises:
            UnknownPhotoError: none, or several.
        """
        with self.reading() as queue:
            row = queue.execute("SELECT item FROM receipts WHERE receipt = ?", (reference,)).fetchone()
            if row is not None:
                return str(row["item"])
            rows = []
            if _ID.fullmatch(reference):
                query = f"SELECT id FROM ({_KEPT}) WHERE id LIKE ? LIMIT 2"  # noqa: S608 - a constant
                rows = queue.execute(query, (reference + "%",)).fetchall()
        if len(rows) != 1:
            raise UnknownPhotoError(f"no photo {reference[:64]!r}: never kept, expired, or forgotten")
        return str(rows[0]["id"])

    def forget(self, reference: str, *, reason: str = "") -> Forgotten:
        """Delete a photo and all rows about it; a keyed mark stays, so that it is not kept again.

        The ledger says so first: who is killed on the way has it finished by the next who opens the queue.

        Args:
            reference: as for `find`.
            reason: why; recorded.

        Raises:
            UnknownPhotoError: there is none.
            OutputError: it cannot be written.
        """
        item = self.find(reference)
        versions, models = self._touched(item)
        with self.ledger.writing():
            mark = self._mark(item)
            self.ledger.append("forget", mark=mark, reason=reason, versions=versions, models=models)
        self._erase(item)
        return Forgotten(tuple(versions), tuple(models))

    def forgotten(self, items: Iterable[str]) -> list[str]:
        """Which of these photos the ledger says are forgotten."""
        marks = {e.details["mark"] for e in self.ledger.read() if e.event == "forget"}
        return [item for item in items if self._mark(item) in marks] if marks else []

    def expire(self, days: float) -> int:
        """Delete photos that nobody has labelled for so many days; how many."""
        before = utc_text(self.now() - timedelta(days=days))
        with self.changing() as queue:
            labelled = "SELECT item FROM events WHERE kind = 'label'"
            query = f"SELECT id FROM ({_KEPT}) WHERE at < ? AND id NOT IN ({labelled})"  # noqa: S608 - constants
            rows = queue.execute(query, (before,)).fetchall()
            for row in rows:
                self._remove(queue, row["id"])
        return len(rows)

    def _store(self, item: str, jpeg: bytes) -> None:
        if not self.photo(item).is_file():
            write_whole(self.photo(item), jpeg)

    def _insert(
        self,
        queue: sqlite3.Connection,
        item: str,
        model: str,
        stratum: Stratum,
        confidence: float,
        chances: Chances,
        flags: tuple[bool, bool, bool, bool],
    ) -> None:
        drawn, is_claim = any(flags[:2]), flags[2]
        is_double = is_claim or flags[3] or draw(self.key, "double", item, _DOUBLE_SHARE)
        known = queue.execute("SELECT * FROM items WHERE id = ?", (item,)).fetchone()
        offered = queue.execute("SELECT at FROM candidates WHERE item = ?", (item,)).fetchone()
        queue.execute("DELETE FROM candidates WHERE item = ?", (item,))
        if known is None:
            at = offered["at"] if offered else utc_text(self.now())  # until when it is kept was told then
            values = (item, at, model, *stratum, confidence, *chances, *flags)
            marks = ", ".join("?" * (len(values) + 2))
            queue.execute(f"INSERT INTO items VALUES ({marks})", (*values, self._deal(item, flags), is_double))  # noqa: S608
            return
        if drawn and not (known["is_random"] or known["is_review"]):  # it was there as a claim only
            queue.execute(
                "UPDATE items SET model = ?, decision = ?, category = ?, confidence = ?, chance_random = ?, "
                "chance_review = ?, is_random = ?, is_review = ? WHERE id = ?",
                (model, *stratum, confidence, *chances, *flags[:2], item),
            )
        queue.execute(
            "UPDATE items SET is_correction = max(is_correction, ?), is_disagreement = max(is_disagreement, ?), "
            "is_double = max(is_double, ?) WHERE id = ?",
            (*flags[2:], is_double, item),
        )

    def _offer(self, queue: sqlite3.Connection, item: str, said: tuple[str | float, ...]) -> None:
        if queue.execute("SELECT 1 FROM items WHERE id = ?", (item,)).fetchone() is None:
            values = (item, utc_text(self.now()), *said)
            queue.execute("INSERT OR IGNORE INTO candidates VALUES (?, ?, ?, ?, ?, ?)", values)
        query = "SELECT item FROM candidates ORDER BY at DESC, item LIMIT -1 OFFSET ?"
        for row in queue.execute(query, (MOST_CANDIDATES,)).fetchall():
            self._remove(queue, row["item"])

    def _deal(self, item: str, flags: tuple[bool, bool, bool, bool]) -> str:
        """The split of a photo, dealt once: half of the random ones are locked, a tenth of others hard, no claim is.

        Nor is a photo without a reason: it was chosen for training.
        """
        if not any(flags):
            return _TRAIN
        if flags[0]:
            return "locked" if draw(self.key, "split", item, 0.5) else _TRAIN
        return "hard" if not flags[2] and draw(self.key, "split", item, _HARD_SHARE) else _TRAIN

    def _open_claims(self, queue: sqlite3.Connection, client: str, item: str) -> int:
        row = queue.execute(
            "SELECT COUNT(DISTINCT item) FROM claims WHERE client = ? AND NOT withdrawn AND item != ? AND "
            "item NOT IN (SELECT item FROM events WHERE kind = 'label')",
            (client, item),
        ).fetchone()
        return int(row[0])

    def _mark(self, item: str) -> str:
        return hmac.new(self.key, f"forgotten:{item}".encode(), hashlib.sha256).hexdigest()

    def _is_forgotten(self, queue: sqlite3.Connection, item: str) -> bool:
        return queue.execute("SELECT 1 FROM tombstones WHERE mark = ?", (self._mark(item),)).fetchone() is not None

    def _erase(self, item: str) -> None:
        with self.changing() as queue:
            queue.execute("INSERT OR IGNORE INTO tombstones VALUES (?, ?)", (self._mark(item), utc_text(self.now())))
            self._remove(queue, item)

    def _remove(self, queue: sqlite3.Connection, item: str) -> None:
        """The photo first: what is killed in between leaves rows, which the next deletes, and no photo."""
        self.photo(item).unlink(missing_ok=True)
        queue.execute("DELETE FROM items WHERE id = ?", (item,))
        queue.execute("UPDATE compared SET item = '' WHERE item = ?", (item,))
        for table in ("receipts", "claims", "leases", "events", "candidates"):
            queue.execute(f"DELETE FROM {table} WHERE item = ?", (item,))  # noqa: S608 - constants

    def _finish_forgetting(self) -> None:
        with self.reading() as queue:
            items = [row["id"] for row in queue.execute(_KEPT)]
        for item in self.forgotten(items):
            self._erase(item)

    def _touched(self, item: str) -> tuple[list[str], list[str]]:
        """The versions of the data set that hold a photo, and the models trained on them."""
        versions = [
            path.stem for path in sorted((self.directory / "datasets").glob("*.csv")) if item in path.read_text("utf-8")
        ]
        models: list[str] = []
        for entry in self.ledger.read():
            if entry.event == "train" and (entry.details["version"] in versions or entry.details.get("base") in models):
                models.append(entry.details["model"])
        return versions, models
