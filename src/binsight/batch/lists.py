"""Lists of photos, read row by row: text, CSV, JSON lines or Parquet, here or in an object store."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

import pyarrow as pa
import pyarrow.parquet as pq

from binsight.errors import DatasetError, InputError
from binsight.stores import is_remote, open_bucket, split_address, translated
from binsight.system_errors import describe_os_error
from binsight.text_files import marked_encoding, wrong_encoding

__all__ = ["LIST_SUFFIXES", "as_text", "list_addresses", "opened", "read_csv", "read_parquet"]

LIST_SUFFIXES = (".txt", ".lst", ".list", ".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")
_COLUMNS = ("source", "path", "uri", "url", "address", "file", "filename", "file_name", "image")
_BUCKET_KEYS = (("bucket", "key", "s3"), ("bucket", "name", "gs"))
_ROWS_AT_ONCE = 10_000


def list_addresses(address: str, base: Path) -> Iterator[str]:
    """The photos that a list names, in its order.

    In a table (CSV, JSON lines, Parquet), they stand in a column such as `source`, `path` or `uri`, or in `bucket` and
    `key`. Relative paths start from the working folder in a plain text, and from the table's folder in a table.

    Raises:
        InputError: it cannot be read.
        DatasetError: it has no such column, or a row is damaged.
        StoreError: its store refuses.
    """
    name = address.lower().removesuffix(".gz")
    if name.endswith(".parquet"):
        with opened(address) as file:
            yield from (_based(_address_of(row, address), base) for row in read_parquet(file, address))
        return
    with opened(address) as file, as_text(file, address) as text:
        if name.endswith((".csv", ".tsv")):
            rows = read_csv(text, address, delimiter="\t" if name.endswith(".tsv") else ",")
        elif name.endswith((".jsonl", ".ndjson")):
            rows = _read_json_lines(text, address)
        else:
            yield from _lines(text, address)
            return
        yield from (_based(_address_of(row, address), base) for row in rows)


@contextmanager
def opened(address: str) -> Iterator[IO[bytes]]:
    """A file of this machine or an object store, unpacked where its name ends in `.gz`.

    Raises:
        InputError: there is none, or it cannot be read.
        StoreError: its store refuses.
    """
    try:
        with _open(address) as raw, _unpacked(raw, address) as file:
            yield file
    except (gzip.BadGzipFile, EOFError) as error:
        raise InputError(f"{address}: damaged: {error}") from error
    except OSError as error:
        if isinstance(error, InputError) or type(error).__module__.startswith("binsight"):
            raise
        raise InputError(f"cannot read {address}: {describe_os_error(error, named=False)}") from error


def _open(address: str) -> IO[bytes]:
    if not is_remote(address):
        return Path(address).open("rb")
    root, key = split_address(address)
    with translated(address):
        from obstore import open_reader  # noqa: PLC0415 - only object stores need it

        return io.BufferedReader(_Remote(open_reader(open_bucket(root), key), address), 1 << 20)


class _Remote(io.RawIOBase):
    """What obstore reads, as a file of the standard library."""

    def __init__(self, reader: Any, address: str) -> None:
        self._reader, self._address = reader, address

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        return int(self._reader.seek(offset, whence))

    def readinto(self, buffer: Any) -> int:
        with translated(self._address):
            data = bytes(self._reader.read(len(buffer)))
        buffer[: len(data)] = data
        return len(data)


@contextmanager
def _unpacked(raw: IO[bytes], address: str) -> Iterator[IO[bytes]]:
    if not address.lower().endswith(".gz"):
        yield raw
        return
    with gzip.GzipFile(fileobj=raw) as file:
        yield cast("IO[bytes]", file)


@contextmanager
def as_text(file: IO[bytes], address: str) -> Iterator[Iterable[str]]:
    """The lines of a file as people's programs write it; bytes of names that are no UTF-8 come through.

    Raises:
        InputError: it is no text.
    """
    buffered = cast("io.BufferedReader", file)  # or one that reads as well
    start = buffered.peek(4)[:4]
    encoding = marked_encoding(start) or "utf-8-sig"
    if b"\0" in start and encoding == "utf-8-sig":
        raise InputError(f"{address}: expected UTF-8 text, got zero bytes; save it as UTF-8")
    errors = "surrogateescape" if encoding == "utf-8-sig" else "strict"
    text = io.TextIOWrapper(buffered, encoding, errors, newline="")
    try:
        yield text
    finally:
        text.detach()  # whoever has opened the file closes it


def _lines(text: Iterable[str], address: str) -> Iterator[str]:
    try:
        for line in text:
            if name := line.rstrip("\r\n"):
                yield name
    except UnicodeDecodeError as error:
        raise InputError(wrong_encoding(address)) from error


def read_csv(
    text: Iterable[str], address: str, *, columns: Sequence[str] | None = None, delimiter: str = ","
) -> Iterator[dict[str, Any]]:
    """The rows of a table, under the names of its first line, or under `columns` where it has none."""
    reader = csv.reader(text, delimiter=delimiter)
    try:
        names = list(columns or next(reader, []))
        for cells in reader:
            if len(cells) == len(names):
                yield dict(zip(names, cells, strict=True))
            elif cells:
                raise DatasetError(
                    f"{address}: line {reader.line_num}: expected {len(names)} columns, got {len(cells)}"
                )
    except (csv.Error, UnicodeDecodeError) as error:
        raise DatasetError(f"{address}: line {reader.line_num}: {error}") from error


def _read_json_lines(text: Iterable[str], address: str) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(text, start=1):
        if line.strip():
            try:
                row = json.loads(line)
            except ValueError as error:
                raise DatasetError(f"{address}: line {number}: no JSON: {error}") from error
            if not isinstance(row, dict):
                raise DatasetError(f"{address}: line {number}: expected an object, got {line.strip()[:40]}")
            yield row


def read_parquet(file: IO[bytes], address: str) -> Iterator[dict[str, Any]]:
    """The rows of a Parquet file, those columns of it that can name a photo."""
    try:
        table = pq.ParquetFile(file)
        wanted = {*_COLUMNS, *(word for words in _BUCKET_KEYS for word in words[:2]), "is_latest", "is_delete_marker"}
        names = [name for name in table.schema_arrow.names if name.lower() in wanted]
        if not names and len(table.schema_arrow.names) == 1:
            names = table.schema_arrow.names
        for batch in table.iter_batches(_ROWS_AT_ONCE, columns=names):
            yield from batch.to_pylist()
    except pa.ArrowException as error:
        raise InputError(f"{address}: expected a Parquet file: {str(error).splitlines()[0]}") from error


def _address_of(row: dict[str, Any], address: str) -> str:
    row = {str(name).strip().lower(): value for name, value in row.items()}
    for name in _COLUMNS:
        if row.get(name):
            return str(row[name])
    for bucket, key, scheme in _BUCKET_KEYS:
        if row.get(bucket) and row.get(key):
            return f"{scheme}://{row[bucket]}/{row[key]}"
    if len(row) == 1 and (value := next(iter(row.values()))):
        return str(value)
    columns = ", ".join(row) or "none"
    raise DatasetError(f"{address}: expected a photo in a column {' or '.join(_COLUMNS[:3])}; there are {columns}")


def _based(photo: str, base: Path) -> str:
    return photo if is_remote(photo) or os.path.isabs(photo) else os.path.join(base, photo)  # noqa: PTH117, PTH118
