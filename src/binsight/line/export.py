"""Finished hours of a line as Parquet, for DuckDB, pyarrow and others: `line=NAME/date=YYYY-MM-DD/hour-HH.parquet`.

An hour's file has a fixed name and appears whole; it holds each piece that was seen in that hour (UTC) once, and its
footer says what it holds. So who is killed goes on, and an hour of which the ledger says more by now (a late answer, an
auditor's word, rows that waited while the database was away) gets a new file in the place of the old one. An hour of
which the ledger has fewer pieces than the file, because it forgets, stays as it is.
"""

from __future__ import annotations

import datetime as dt
import io
import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa

from binsight import __version__
from binsight.errors import BinsightError, InputError
from binsight.line.ledger.reading import Span, hours_of, read_pieces
from binsight.line.ledger.schema import pieces
from binsight.line.records import Piece
from binsight.stores import Store
from binsight.taxonomy import Taxonomy

__all__ = ["GRACE", "SCHEMA", "Exported", "export_line", "export_name"]

GRACE = dt.timedelta(minutes=5)  # after an hour's end, for its last pieces to get theirs

_HOUR = dt.timedelta(hours=1)
_EVER = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_KNOWN = "_exported.json"  # spares reading a footer of each hour; readers pass over what begins with _
_FOOTER_BYTES = 1 << 16
_WORD, _TIME = pa.dictionary(pa.int32(), pa.string()), pa.timestamp("us", tz="UTC")
_ANSWERS = ("acknowledged_at", "confirmed_at", "audited_at")
_COLUMNS: dict[str, pa.DataType] = {
    "id": pa.string(), "seq": pa.int64(), "seen_at": _TIME, "captured_at": _TIME, "decided_at": _TIME,
    "category": _WORD, "biodegradable": pa.bool_(), "confidence": pa.float32(), "scores": pa.list_(pa.float32()),
    "decision": _WORD, "reason": _WORD, "stream": _WORD, "status": _WORD, "lane": pa.int32(), "frames": pa.int32(),
    "encoder": pa.int64(), "target": pa.int64(), "commanded_at": _TIME, "acknowledged_at": _TIME, "ack_result": _WORD,
    "confirmed_at": _TIME, "confirm_result": _WORD, "latency_ms": pa.float32(), "model": _WORD, "shift": _WORD,
    "audit_probability": pa.float64(), "true_category": _WORD, "audited_at": _TIME, "audited_by": _WORD,
}  # fmt: skip
SCHEMA = pa.schema(list(_COLUMNS.items()))

State = dict[str, list[Any]]  # by status: pieces, audited ones, and when the last answer of each kind came


@dataclass(slots=True)
class Exported:
    """What became of a line's hours.

    Attributes:
        written: hours that were not there.
        replaced: of which the ledger says more by now.
        unchanged: that were there.
        rows: pieces written.
    """

    written: int = 0
    replaced: int = 0
    unchanged: int = 0
    rows: int = 0


def export_name(line: str, hour: dt.datetime) -> str:
    """The file of an hour, below the place of the export."""
    return f"line={line}/date={hour:%Y-%m-%d}/hour-{hour:%H}.parquet"


def export_line(
    database: sa.Engine,
    line: str,
    store: Store,
    *,
    taxonomy: Taxonomy | None = None,
    since: dt.datetime | None = None,
    until: dt.datetime,
    tell: Callable[[str], None] = lambda _: None,
) -> Exported:
    """Export the hours of a line that ended, as far as they are not there as they are now.

    Args:
        database: the ledger.
        line: its name.
        store: where the files go.
        taxonomy: of the line's model, for `stream` and `biodegradable`, and the order of `scores`.
        since: only hours that begin then or later.
        until: only hours that ended by then; `now - GRACE`.
        tell: told of each file that was written.

    Raises:
        StoreError, OutputError: it cannot be written; what was written stays, and the next call goes on.
        InputError: a file of that name is no hour of this line.
    """
    found, known, now_known = Exported(), _read_known(store, line), dict[str, State]()
    until = until.astimezone(dt.UTC).replace(minute=0, second=0, microsecond=0)
    since = _EVER if since is None else _ceil(since.astimezone(dt.UTC))
    states = _states(database, Span(line, since, until))
    try:
        for date, hours in groupby(sorted(states), key=lambda hour: hour.date()):
            there = {entry.name for entry in store.list(f"line={line}/date={date}")}
            for hour in hours:
                name, key = export_name(line, hour), f"{hour:%Y-%m-%dT%H}"
                is_there = name.rpartition("/")[2] in there
                before = (known.get(key) or _read_state(store, name)) if is_there else None
                if before is not None and _has_all(before, states[hour]):
                    found.unchanged += 1
                else:
                    before = _write_hour(database, Span(line, hour, hour + _HOUR), store, taxonomy)
                    found.rows += _count(before)
                    found.written, found.replaced = found.written + (not is_there), found.replaced + is_there
                    tell(name)
                now_known[key] = before
    finally:
        if since > _EVER:
            now_known = known | now_known
        if now_known != known:
            store.write(f"line={line}/{_KNOWN}", json.dumps(now_known).encode())
    return found


def _has_all(file: State, ledger: State) -> bool:
    """Whether a file has what the ledger has, or more than it has kept."""
    return file == ledger or _count(ledger) < _count(file)


def _count(state: State) -> int:
    return sum(values[0] for values in state.values())


def _ceil(at: dt.datetime) -> dt.datetime:
    hour = at.replace(minute=0, second=0, microsecond=0)
    return hour if hour == at else hour + _HOUR


def _states(database: sa.Engine, span: Span) -> dict[dt.datetime, State]:
    """What the ledger has of each hour, in one question."""
    found: dict[dt.datetime, State] = defaultdict(dict)
    last = [sa.func.max(pieces.c[name]) for name in _ANSWERS]
    for hour, status, *values in hours_of(database, span, pieces.c.status, sa.func.count(pieces.c.audited_at), *last):
        number, audited, *times = values
        found[hour][status] = [number, audited, *map(_text, times)]
    return found


def _state_of(rows: Sequence[Piece]) -> State:
    """The same, of what was read."""
    by_status: dict[str, list[Piece]] = defaultdict(list)
    for row in rows:
        by_status[row.status].append(row)
    return {
        status: [
            len(some),
            sum(row.audited_at is not None for row in some),
            *(_text(max(filter(None, (getattr(row, name) for row in some)), default=None)) for name in _ANSWERS),
        ]
        for status, some in by_status.items()
    }


def _text(at: dt.datetime | None) -> str | None:
    return None if at is None else at.isoformat()


def _write_hour(database: sa.Engine, span: Span, store: Store, taxonomy: Taxonomy | None) -> State:
    rows = read_pieces(database, span)
    labels = list(taxonomy.ids) if taxonomy else []
    labels += sorted({label for row in rows for label in row.scores or ()} - set(labels))
    classes = {} if taxonomy is None else {entry.id: entry for entry in taxonomy.classes}
    state = _state_of(rows)
    about = {
        "binsight": __version__,
        "schema_version": "1",
        "line": span.line,
        "hour": span.since.isoformat(),
        "labels": json.dumps(labels),
        "state": json.dumps(state),
    }
    table = pa.Table.from_pylist([_values(row, labels, classes) for row in rows], schema=SCHEMA)
    file = io.BytesIO()
    words = [field.name for field in SCHEMA if field.type == _WORD]
    pq.write_table(table.replace_schema_metadata(about), file, compression="zstd", use_dictionary=words)
    store.write(export_name(span.line, span.since), file.getvalue())
    return state


def _values(row: Piece, labels: Sequence[str], classes: dict[str, Any]) -> dict[str, Any]:
    entry = classes.get(row.category or "")
    return {name: getattr(row, name, None) for name in _COLUMNS} | {
        "scores": None if row.scores is None else [row.scores.get(label) for label in labels],
        "biodegradable": None if entry is None else entry.biodegradable,
        "stream": None if entry is None else entry.stream,
        "model": None if row.model_name is None else f"{row.model_name} {row.model_version}",
    }


def _read_known(store: Store, line: str) -> dict[str, State]:
    try:
        known = json.loads(store.read(f"line={line}/{_KNOWN}"))
    except (InputError, ValueError):
        return {}  # it is the first time, or the file is damaged: the footers know as well
    return known if isinstance(known, dict) else {}


def _read_state(store: Store, name: str) -> State:
    where = f"{store.address}/{name}"
    try:
        data = store.read_end(name, _FOOTER_BYTES)
        # Beginning with the magic word, the end of a file is read as one that has lost its rows.
        about = pq.read_schema(io.BytesIO(b"PAR1" + data)).metadata or {}
        state: State = json.loads(about[b"state"])
    except BinsightError:
        raise
    except (pa.ArrowException, OSError, KeyError, ValueError) as error:
        raise InputError(f"{where}: damaged, or no export of a line; delete it and export again") from error
    return state
