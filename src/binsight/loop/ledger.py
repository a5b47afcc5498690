"""`ledger.jsonl`: what was done, one line each, every line bound to the one before it by its SHA-256.

A line is one JSON object: `event`, `at`, what belongs to the event, `previous` (the hash of the line before it, 64
zeros for the first) and `sha256` (of all the rest in canonical JSON). Lines are only ever appended, and are on disk
before anything that follows from them is done.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, Literal

from binsight.errors import BinsightError, InputError, OutputError
from binsight.sqlite import connect
from binsight.system_errors import describe_os_error

__all__ = ["Entry", "Event", "Ledger", "LedgerError", "utc_now", "utc_text"]

Event = Literal["add", "freeze", "train", "look", "retire", "gate", "shadow", "promote", "rollback", "forget", "push"]
_BEGINNING = "0" * 64
_LOCK_TIMEOUT_S = 30.0


class LedgerError(BinsightError, ValueError):
    """A ledger was altered, or is damaged before its last line."""

    code: ClassVar[str] = "ledger"


@dataclass(frozen=True, slots=True)
class Entry:
    """One line.

    Attributes:
        event: what was done.
        at: when, UTC, `YYYY-MM-DDThh:mm:ssZ`.
        details: what belongs to the event.
        previous: hash of the line before it.
        sha256: its own hash.
    """

    event: str
    at: str
    details: Mapping[str, Any]
    previous: str
    sha256: str

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form, as it stands in the file."""
        return {"event": self.event, "at": self.at, **self.details, "previous": self.previous, "sha256": self.sha256}


def utc_now() -> datetime:
    """The present moment, UTC."""
    return datetime.now(UTC)


def utc_text(moment: datetime) -> str:
    """A moment as it is written: `YYYY-MM-DDThh:mm:ssZ`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Ledger:
    """The ledger at `path`; threads and processes may share it.

    Args:
        path: of the file; it need not exist yet.
        now: the clock.
    """

    def __init__(self, path: Path, *, now: Callable[[], datetime] = utc_now) -> None:
        self.path, self.now = path, now

    def read(self) -> list[Entry]:
        """All whole lines, checked. A last line that a crash cut short is passed over.

        Raises:
            InputError: the file cannot be read.
            LedgerError: a line is not bound to the one before it.
        """
        return self._parse()[0]

    @contextmanager
    def writing(self) -> Iterator[Ledger]:
        """Alone until the end of the block, in this process and others; first a torn last line is cut off.

        Raises:
            OutputError: the folder cannot be written, or another program holds it for too long.
            LedgerError: as `read`.
        """
        lock = self.path.with_suffix(".lock")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with closing(connect(lock, timeout_s=_LOCK_TIMEOUT_S)) as held:
                held.execute("BEGIN EXCLUSIVE")  # the system gives it back when a process is killed
                self._repair()
                yield self
        except (sqlite3.Error, OSError) as error:
            if isinstance(error, BinsightError):
                raise
            reason = describe_os_error(error, named=False) if isinstance(error, OSError) else str(error)
            raise OutputError(f"cannot write {self.path}: {reason}") from error

    def append(self, event: Event, **details: Any) -> Entry:
        """Write a line, inside `writing`; it is on disk when this returns."""
        entries = self.read()
        body = {"event": event, "at": utc_text(self.now()), **details}
        body["previous"] = entries[-1].sha256 if entries else _BEGINNING
        line = _canonical({**body, "sha256": _digest(body)}) + b"\n"
        handle = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o644)
        before = os.fstat(handle).st_size
        try:
            written = 0
            while written < len(line):
                written += os.write(handle, line[written:])
            os.fsync(handle)
        except OSError:
            os.truncate(handle, before)  # a full disk must not leave half a line for the next one to be added to
            raise
        finally:
            os.close(handle)
        return _entry(json.loads(line))

    def _parse(self) -> tuple[list[Entry], int]:
        """The whole lines, and how many bytes they take."""
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return [], 0
        except OSError as error:
            raise InputError(f"{self.path}: {describe_os_error(error, named=False)}") from error
        entries: list[Entry] = []
        size = 0
        for number, line in enumerate(data.splitlines(keepends=True), start=1):
            if size + len(line) == len(data) and not line.endswith(b"\n"):
                break  # torn: its writer was killed before anything followed from it
            entry = _read_line(line)
            if entry is None or entry.previous != (entries[-1].sha256 if entries else _BEGINNING):
                raise LedgerError(
                    f"{self.path}: line {number} was altered, or lines before it are missing; bring back a copy of the "
                    "file as it was"
                )
            entries.append(entry)
            size += len(line)
        return entries, size

    def _repair(self) -> None:
        _, size = self._parse()
        if self.path.exists() and self.path.stat().st_size > size:
            os.truncate(self.path, size)


def _canonical(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")


def _digest(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(_canonical(body)).hexdigest()


def _read_line(line: bytes) -> Entry | None:
    """The entry of a line; None where it is none, or its hash is another's."""
    try:
        body = json.loads(line)
    except ValueError:
        return None
    if not isinstance(body, dict) or not {"event", "at", "previous", "sha256"} <= body.keys():
        return None
    rest = {key: value for key, value in body.items() if key != "sha256"}
    return _entry(body) if _digest(rest) == body["sha256"] else None


def _entry(body: dict[str, Any]) -> Entry:
    details = {key: value for key, value in body.items() if key not in {"event", "at", "previous", "sha256"}}
    return Entry(body["event"], body["at"], details, body["previous"], body["sha256"])
