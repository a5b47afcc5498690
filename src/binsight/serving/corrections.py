"""Corrections from people, kept with their photos in the layout of a data set: the next model's training data.

    DIR/photos/<corrected class>/<sha256 of the file>.jpg
    DIR/feedback.sqlite3       what the model had said, which model, and when

The folders are the truth and the index adds to them: a photo that an operator moves into another class's folder counts
as that class from then on, one that is deleted is gone, whatever the index still says.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import sqlite3
import stat
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from binsight.errors import BinsightError, DiskFullError, OutputError
from binsight.files import write_whole
from binsight.imaging import ImageLimits, read_photo, stored_jpeg
from binsight.sqlite import FileBusyError, read_only, transaction
from binsight.taxonomy import Taxonomy

__all__ = [
    "Copied",
    "Correction",
    "FeedbackError",
    "FeedbackFullError",
    "FeedbackStore",
    "Outcome",
    "export_corrections",
    "read_corrections",
]

Copied = Literal["new", "present", "moved"]
Outcome = Literal["stored", "known", "moved"]

_log = logging.getLogger("binsight.serving")

_INDEX = "feedback.sqlite3"
_PHOTOS = "photos"
# What a small file takes on a disk all the same.
_BLOCK = 4096
_LOCK_TIMEOUT_S = 10.0
_MODEL_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_FILE_NAME = re.compile(r"([0-9a-f]{64})\.jpg")
_DRAFT_NAME = re.compile(r"\.[0-9a-f]{32}.*")  # of `write_whole`, in this version or another
_COLUMNS = ("sha256", "corrected", "predicted", "model_name", "model_version", "created", "size")
_SCHEMA = """
CREATE TABLE IF NOT EXISTS corrections (
    sha256 TEXT PRIMARY KEY, corrected TEXT NOT NULL, predicted TEXT, model_name TEXT, model_version TEXT,
    created TEXT NOT NULL, size INTEGER NOT NULL
) WITHOUT ROWID;
"""


class FeedbackError(BinsightError, ValueError):
    """A correction is malformed or names a class that the model does not have."""

    code = "feedback"


class FeedbackFullError(DiskFullError):
    """The store has reached its size cap; it deletes nothing to make room."""

    code = "feedback_full"


@dataclass(frozen=True, slots=True)
class Correction:
    """What a person said about one photo.

    Attributes:
        sha256: of the stored file, 64 hex digits.
        corrected: id of the class the person named.
        predicted: id of the class the model had named; None where only the file is known.
        model_name: the model that had predicted; None likewise.
        model_version: its version; None likewise.
        created: UTC, `YYYY-MM-DDThh:mm:ssZ`: when the correction last changed.
        size: of the stored file, in bytes.
    """

    sha256: str
    corrected: str
    predicted: str | None
    model_name: str | None
    model_version: str | None
    created: str
    size: int


class FeedbackStore:
    """A folder of corrected photos that never grows past a cap. Threads and processes may share one folder.

    Args:
        directory: where to keep them; made when missing. Must be on a local disk: SQLite's write-ahead log does not
            work over a network file system.
        max_bytes: the photos together take at most this much, counted in disk blocks of 4 KiB.
        now: the clock, for the date of a correction.

    Raises:
        OutputError: the folder cannot be made or written.
    """

    def __init__(
        self,
        directory: Path,
        *,
        max_bytes: int = 1_000_000_000,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.directory = directory
        self.max_bytes = max_bytes
        self._now = now
        self._lock = threading.Lock()
        try:
            (directory / _PHOTOS).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"cannot keep corrections in {directory}: {error.strerror or error}") from error
        try:
            self._reconcile()
        except (DiskFullError, FileBusyError) as error:
            # Photos can be classified all the same; corrections are refused until there is room.
            _log.warning("corrections in %s were not looked through: %s", directory, error)

    def add(
        self,
        photo: bytes,
        *,
        taxonomy: Taxonomy,
        predicted: str,
        corrected: str,
        model_name: str,
        model_version: str,
        limits: ImageLimits | None = None,
    ) -> tuple[Correction, Outcome]:
        """Keep a photo with the class a person named; one that is already there takes the newest word.

        The photo is stored upright, as a JPEG of at most 1600 pixels a side, without any metadata: a phone writes into
        them where its owner was.

        Returns:
            What is stored, and whether it is new, was known as the same class, or moved from another class.

        Raises:
            FeedbackError: a class is not in the taxonomy, or the model's name or version is none.
            FeedbackFullError: there is no room for it below the cap.
            DiskFullError: there is none on the disk.
            FileBusyError: another process holds the index.
            ImageError: the photo was refused; see `decode_image`.
            OutputError: it cannot be written. Then, as with the three before, nothing of it is kept.
        """
        if faults := _faults(taxonomy, (predicted, corrected), (model_name, model_version)):
            raise FeedbackError("; ".join(faults))
        # Also around the decoder: one large photo in memory at a time.
        if not self._lock.acquire(timeout=_LOCK_TIMEOUT_S):
            raise FileBusyError("others are being stored; try again")
        try:
            data = stored_jpeg(photo, limits=limits)
            created = self._now().strftime("%Y-%m-%dT%H:%M:%SZ")
            sha256 = hashlib.sha256(data).hexdigest()
            correction = Correction(sha256, corrected, predicted, model_name, model_version, created, len(data))
            with self._transaction() as index:
                return self._put(index, correction, data)
        finally:
            self._lock.release()

    def _put(self, index: sqlite3.Connection, correction: Correction, data: bytes) -> tuple[Correction, Outcome]:
        target = _photo_path(self.directory / _PHOTOS, correction)
        places = _files(self.directory / _PHOTOS, target.name)
        rows = _rows(index, "WHERE sha256 = ?", correction.sha256)
        if target in places and rows:
            return replace(rows[0], corrected=correction.corrected), "known"
        if not places:
            self._check_room(index, correction.size)
        _save(index, correction)
        write_whole(target, data)
        try:
            index.execute("COMMIT")
        except sqlite3.Error:
            if target not in places:
                target.unlink(missing_ok=True)
            raise
        for other in places:
            if other != target:
                other.unlink(missing_ok=True)
        return correction, "moved" if places else "stored"

    def _check_room(self, index: sqlite3.Connection, size: int) -> None:
        used = sum(_on_disk(c.size) for c in _rows(index))
        if used + _on_disk(size) > self.max_bytes:
            raise FeedbackFullError(
                f"the store for corrections is full: {used:,} of {self.max_bytes:,} bytes; export it with "
                "`binsight feedback export` and empty it, or allow more"
            )

    def _reconcile(self) -> None:
        # Inside the write lock, so that no other process is between writing a file and its row.
        with self._transaction() as index:
            for draft in _files(self.directory / _PHOTOS, ".*"):
                if _DRAFT_NAME.fullmatch(draft.name):
                    draft.unlink(missing_ok=True)
            before = _rows(index)
            after = _reconciled(before, _scan(self.directory))
            index.executemany(
                "DELETE FROM corrections WHERE sha256 = ?",
                [(gone,) for gone in {c.sha256 for c in before} - {c.sha256 for c in after}],
            )
            for correction in set(after) - set(before):
                _save(index, correction)

    def _transaction(self) -> AbstractContextManager[sqlite3.Connection]:
        return transaction(self.directory / _INDEX, _SCHEMA)


def read_corrections(directory: Path) -> list[Correction]:
    """All corrections in a store, by class and then by date, without changing anything.

    Raises:
        InputError: there is no store in `directory`, or it cannot be read.
    """
    with read_only(directory / _INDEX, given_to="binsight serve --feedback") as index:
        rows = _rows(index)
    return sorted(_reconciled(rows, _scan(directory)), key=lambda c: (c.corrected, c.created, c.sha256))


def export_corrections(directory: Path, out: Path) -> list[tuple[Correction, Copied]]:
    """Copy a store's photos into `out/<class>/`, the layout of a data set; running it again brings only what is new.

    Returns:
        Every correction, and whether its photo is new in `out`, was present, or moved there from another class's folder
        because the correction changed since.

    Raises:
        InputError: there is no store in `directory`, or it cannot be read.
        OutputError: `out` cannot be written.
    """
    done: list[tuple[Correction, Copied]] = []
    for correction in read_corrections(directory):
        target = _photo_path(out, correction)
        places = _files(out, target.name)
        if target not in places:
            write_whole(target, read_photo(_photo_path(directory / _PHOTOS, correction)))
        others = [place for place in places if place != target]
        for other in others:
            other.unlink(missing_ok=True)
        done.append((correction, "moved" if others else "present" if places else "new"))
    return done


def _faults(taxonomy: Taxonomy, classes: Iterable[str], words: Iterable[str]) -> list[str]:
    known = ", ".join(taxonomy.ids)
    faults = [f"expected one of {known}, got {c[:64]!r}" for c in classes if c not in taxonomy.ids]
    return faults + [
        f"expected a model's name and version, got {w[:64]!r}" for w in words if not _MODEL_WORD.fullmatch(w)
    ]


def _photo_path(folders: Path, correction: Correction) -> Path:
    return folders / correction.corrected / f"{correction.sha256}.jpg"


def _files(folders: Path, name: str) -> dict[Path, os.stat_result]:
    """Files of that name, or pattern, in the class folders; no pipes, folders or links to nothing."""
    found = {}
    for path in sorted(folders.glob(f"*/{name}")):
        with suppress(OSError):  # it is gone, or may not be looked at
            status = path.stat()
            if stat.S_ISREG(status.st_mode):
                found[path] = status
    return found


def _scan(directory: Path) -> dict[str, tuple[Path, os.stat_result]]:
    """SHA-256 → file, for every photo in the class folders; where one lies in several, the newest."""
    found: dict[str, tuple[Path, os.stat_result]] = {}
    for path, status in _files(directory / _PHOTOS, "*.jpg").items():
        if match := _FILE_NAME.fullmatch(path.name):
            other = found.get(match[1])
            if other is None or status.st_mtime_ns > other[1].st_mtime_ns:
                found[match[1]] = path, status
    return found


def _reconciled(rows: Iterable[Correction], files: Mapping[str, tuple[Path, os.stat_result]]) -> list[Correction]:
    """What the folders say, with what the index adds."""
    known = {c.sha256: c for c in rows}
    return [
        replace(known[sha256], corrected=path.parent.name) if sha256 in known else _from_file(sha256, path, status)
        for sha256, (path, status) in files.items()
    ]


def _from_file(sha256: str, path: Path, status: os.stat_result) -> Correction:
    created = datetime.fromtimestamp(status.st_mtime, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return Correction(sha256, path.parent.name, None, None, None, created, status.st_size)


def _rows(index: sqlite3.Connection, where: str = "", *values: str) -> list[Correction]:
    rows = index.execute(f"SELECT {', '.join(_COLUMNS)} FROM corrections {where}", values)  # noqa: S608 - constants
    return [Correction(*row) for row in rows]


def _save(index: sqlite3.Connection, c: Correction) -> None:
    values = (c.sha256, c.corrected, c.predicted, c.model_name, c.model_version, c.created, c.size)
    index.execute(f"INSERT OR REPLACE INTO corrections ({', '.join(_COLUMNS)}) VALUES (?, ?, ?, ?, ?, ?, ?)", values)  # noqa: S608 - constants


def _on_disk(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK
