"""A sorter that is a file: one row for each command and each piece's end, for whoever reads along."""

from __future__ import annotations

import contextlib
import csv
import errno
import io
import logging
import os
from pathlib import Path
from typing import Any

from binsight.line.config import LineConfig
from binsight.line.messages import command_message, utc_text
from binsight.line.ports import Clock, SorterEvents
from binsight.line.records import Ack, Command
from binsight.line.sorters.base import BaseSorter
from binsight.system_errors import describe_os_error

__all__ = ["COLUMNS", "CsvSorter"]

_log = logging.getLogger(__name__)

COLUMNS = (
    "at", "topic", "id", "seq", "lane", "target", "fire_in_ms", "dwell_ms",
    "t", "encoder", "category", "confidence", "decision", "reason", "frames", "status",
)  # fmt: skip


class CsvSorter(BaseSorter):
    """A row that stands in the file is the acknowledgement of its command; see `ports.Sorter`.

    A row is written whole or not at all, and handed to the system at once. While it cannot be written (a full disk) the
    link is down and commands are refused; the next row that can brings it back.
    """

    confirms = False

    def __init__(self, config: LineConfig, *, clock: Clock) -> None:
        super().__init__(config, clock=clock)
        self._path = Path(config.sorter.url)

    def start(self, events: SorterEvents) -> None:
        """Open the file, or try again with each row."""
        self._events = events
        with self._lock:
            self._append([])

    def send(self, command: Command) -> bool:
        """Write a command's row, and answer for it; False when it cannot be written."""
        with self._lock:
            now = self._clock.now()
            written = self._append([self._row("cmd/sort", command_message(command, now))])
        if written and self._events is not None:
            self._events.on_ack(Ack(command.seq, "accepted", self._clock.now()))
        return written

    def publish(self, topic: str, payload: dict[str, object], *, retain: bool = False) -> None:  # noqa: ARG002
        """Write a row for each message about a piece; the rest is not for a file."""
        if topic == "piece":
            with self._lock:
                self._append([self._row(topic, payload)])

    def close(self, *, wait_s: float = 1.0) -> None:
        """Nothing is open between two rows."""

    def _row(self, topic: str, message: dict[str, Any]) -> list[Any]:
        values = {"at": utc_text(self._clock.utc()), "topic": topic, **message}
        return [values.get(column) for column in COLUMNS]

    def _append(self, rows: list[list[Any]]) -> bool:
        try:
            self._write(rows)
        except OSError as error:
            if self._up or not rows:
                _log.warning("csv: cannot write %s: %s", self._path, describe_os_error(error, named=False))
            self.dropped += len(rows)
            self._set_link(up=False)
            return False
        self._set_link(up=True)
        return True

    def _write(self, rows: list[list[Any]]) -> None:
        with self._path.open("a+b", buffering=0) as file:
            start = file.seek(0, os.SEEK_END)
            text = io.StringIO("\n" if start and _is_torn(file, start) else "", newline="")
            text.seek(0, os.SEEK_END)
            csv.writer(text, lineterminator="\n").writerows([COLUMNS, *rows] if start == 0 else rows)
            try:
                _write_all(file, text.getvalue().encode())
            except OSError:
                with contextlib.suppress(OSError):
                    file.truncate(start)
                raise


def _is_torn(file: io.FileIO, size: int) -> bool:
    """Whether the last row has no end: the machine went down while it was written."""
    file.seek(size - 1)
    return file.read(1) != b"\n"


def _write_all(file: io.FileIO, content: bytes) -> None:
    written = file.write(content)
    if written != len(content):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
