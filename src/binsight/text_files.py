"""Text files that people write, on whatever system, for every command that reads one."""

from __future__ import annotations

import codecs
import csv
import io
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path

from binsight.errors import InputError

__all__ = ["csv_text", "decode_text", "marked_encoding", "read_text", "wrong_encoding"]

# The longer marks first: that of UTF-32 begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_MAX_BYTES = 2_000_000_000
# Where a shell puts what it was asked to read from, as in `--config <(decrypt x)`.
_SHELL_PIPES = ("/dev/stdin", "/dev/fd/", "/proc/self/fd/")


def read_text(path: str | Path, *, keep_bytes: bool = False) -> str:
    """The text of a file in UTF-8, or in UTF-16 or UTF-32 with a byte-order mark; line ends stay as they are.

    Args:
        path: the file.
        keep_bytes: bytes that are not UTF-8 become lone surrogates, as in the names of files, instead of an error.

    Raises:
        InputError: it is missing, no regular file, too large, or in another encoding.
    """
    path = Path(path)
    try:
        status = path.stat()
        is_file = stat.S_ISREG(status.st_mode) or str(path).startswith(_SHELL_PIPES)
        data = path.read_bytes() if is_file and status.st_size <= _MAX_BYTES else None
    except (OSError, ValueError) as error:  # ValueError: a NUL character
        raise InputError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error
    if data is None:
        raise InputError(
            f"cannot read {path}: expected a file of at most {_MAX_BYTES:,} bytes, no folder, pipe or device"
        )
    return decode_text(data, where=str(path), keep_bytes=keep_bytes)


def decode_text(data: bytes, *, where: str, keep_bytes: bool = False) -> str:
    """`read_text` for bytes that were read already; `where` is named in the message.

    Raises:
        InputError: they are in another encoding.
    """
    encoding = marked_encoding(data)
    try:
        decoded = data.decode(encoding or "utf-8", "surrogateescape" if keep_bytes else "strict")
    except UnicodeDecodeError as error:
        if encoding in {"utf-16", "utf-32"}:
            raise InputError(f"{where}: begins as {encoding.upper()} but is damaged; save it as UTF-8") from error
        raise InputError(wrong_encoding(where, error.object[: error.start].count(b"\n") + 1)) from error
    if "\0" in decoded:
        raise InputError(f"{where}: expected UTF-8 text, got zero bytes (UTF-16 without its mark?); save it as UTF-8")
    return decoded


def csv_text(rows: Iterable[Sequence[object]]) -> str:
    """A header and rows as CSV with plain line ends."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def marked_encoding(start: bytes) -> str | None:
    """The encoding that a file says by its first four bytes; None where they say none."""
    return next((name for mark, name in _MARKS if start.startswith(mark)), None)


def wrong_encoding(where: str, line: int | None = None) -> str:
    """The message for text that is not UTF-8."""
    place = "" if line is None else f" on line {line}"
    return (
        f"{where}: expected UTF-8 text, got other bytes{place} (Windows-1252, also called cp1252 or ANSI?); save it as "
        "UTF-8, as in: iconv -f CP1252 -t UTF-8"
    )
