"""The result: a Parquet file of one row per photo, with all that explains it in its footer."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from binsight import __version__
from binsight.batch.job import Job
from binsight.batch.summary import Summary, plain_text
from binsight.errors import BinsightError, InputError, JobError
from binsight.predictor.prediction import Prediction
from binsight.stores import Store

__all__ = [
    "SCHEMA_VERSION",
    "Row",
    "decode_rows",
    "encode_rows",
    "make_feature_table",
    "make_table",
    "read_summary",
    "schema_of",
]

SCHEMA_VERSION = 1
_WORD = pa.dictionary(pa.int32(), pa.string())
_BIODEGRADABLE = {"biodegradable": True, "non_biodegradable": False}
_FOOTER_BYTES = 1 << 16  # a footer is smaller, but of hundreds of classes
_MAGIC = b"PAR1"


@dataclass(slots=True)
class Row:
    """One photo on its way: what was read, then what came of it.

    Attributes:
        source: as the plan has it.
        sha256: of its bytes, in hexadecimal; None where they could not be read.
        bytes: how many; None likewise.
        outcome: the prediction, or why there is none.
        features: `(d,)` float32, where they were asked for.
    """

    source: str
    sha256: str | None = None
    bytes: int | None = None
    outcome: Prediction | BinsightError | None = None
    features: NDArray[np.float32] | None = None


def schema_of(classes: int) -> pa.Schema:
    """The columns and their types, for a model of so many classes."""
    columns = {
        "source": pa.string(),
        "sha256": pa.string(),
        "bytes": pa.int64(),
        "category": _WORD,
        "biodegradable": pa.bool_(),
        "confidence": pa.float32(),
        "scores": pa.list_(pa.float32(), classes),
        "decision": _WORD,
        "reason": _WORD,
        "stream": _WORD,
        "error_code": _WORD,
        "error_message": pa.string(),
        "decode_ms": pa.float32(),
        "infer_ms": pa.float32(),
        "model": _WORD,
    }
    return pa.schema(list(columns.items()))


def make_table(rows: Iterable[Row], job: Job) -> pa.Table:
    """The rows as a table of the schema, in their order."""
    model = f"{job.model.name} {job.model.version}"
    schema = schema_of(len(job.model.labels))
    return pa.Table.from_pylist([_values(row, model) for row in rows], schema=schema)


def _values(row: Row, model: str) -> dict[str, Any]:
    known = {"source": row.source, "sha256": row.sha256, "bytes": row.bytes, "model": model}
    found = row.outcome
    if not isinstance(found, Prediction):
        code, message = (found.code, str(found)) if found else (None, None)
        return known | {"error_code": code, "error_message": message and plain_text(message)}
    return known | {
        "category": found.category,
        "biodegradable": _BIODEGRADABLE.get(found.biodegradability),
        "confidence": found.confidence,
        "scores": list(found.scores.values()),
        "decision": found.decision,
        "reason": found.reason,
        "stream": found.stream,
        "decode_ms": found.timing_ms.get("decode"),
        "infer_ms": found.timing_ms.get("infer"),
    }


def make_feature_table(rows: Sequence[Row], size: int) -> pa.Table:
    """Photos with their features, `size` float32 each, and with an error where there are none."""
    known = [row.features if row.features is not None else np.zeros(size, np.float32) for row in rows]
    missing = pa.array([row.features is None for row in rows])
    errors = [row.outcome if isinstance(row.outcome, BinsightError) else None for row in rows]
    columns = {
        "source": pa.array([row.source for row in rows], pa.string()),
        "sha256": pa.array([row.sha256 for row in rows], pa.string()),
        "features": pa.FixedSizeListArray.from_arrays(pa.array(np.concatenate(known)), size, mask=missing),
        "error_code": pa.array([error and error.code for error in errors], pa.string()).dictionary_encode(),
        "error_message": pa.array([error and plain_text(str(error)) for error in errors], pa.string()),
    }
    return pa.table(columns)


def encode_rows(table: pa.Table, job: Job, summary: Summary) -> bytes:
    """The table as one Parquet file, the job's model and the summary in its footer."""
    about = {
        "binsight": __version__,
        "schema_version": str(SCHEMA_VERSION),
        "labels": json.dumps(job.model.labels),
        "model_name": job.model.name,
        "model_version": job.model.version,
        "model_digest": job.model.digest,
        "list_digest": job.list_digest,
        "summary": summary.to_json(),
    }
    file = io.BytesIO()
    words = [field.name for field in table.schema if field.type == _WORD]
    pq.write_table(table.replace_schema_metadata(about), file, compression="zstd", use_dictionary=words)
    return file.getvalue()


def decode_rows(data: bytes, where: str, columns: Sequence[str] | None = None) -> pa.Table:
    """A file's table, or some of its columns.

    Raises:
        JobError: it is no whole Parquet file.
    """
    try:
        return pq.read_table(io.BytesIO(data), columns=columns)
    except (pa.ArrowException, OSError, KeyError) as error:
        raise JobError(f"{where}: damaged; delete it and run the job again") from error


def read_summary(store: Store, name: str, job: Job) -> tuple[int, Summary]:
    """The number of rows of a file of the job, and what came of them, without reading more than its footer.

    Raises:
        JobError: it is damaged, or of another job.
        StoreError: the store refuses.
    """
    where = f"{store.address}/{name}"
    data = store.read_end(name, _FOOTER_BYTES)
    if data[-4:] == _MAGIC and int.from_bytes(data[-8:-4], "little") + 8 > len(data):
        data = store.read_end(name, int.from_bytes(data[-8:-4], "little") + 8)
    try:
        # Beginning with the magic word, the end of a file is read as one that has lost its rows.
        metadata = pq.read_metadata(io.BytesIO(_MAGIC + data))
        about = {key.decode(): value for key, value in (metadata.metadata or {}).items()}
        summary = Summary.from_dict(json.loads(about["summary"]))
        of_job = (about["model_digest"].decode(), about["list_digest"].decode())
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError) as error:
        raise JobError(f"{where}: damaged, or not of binsight; delete it and run the job again") from error
    if of_job != (job.model.digest, job.list_digest):
        raise JobError(f"{where}: of another job, with another model or list; delete it and run the job again")
    return metadata.num_rows, summary


def read_sources(store: Store, name: str) -> list[str]:
    """The photos that a file has rows of, in their order.

    Raises:
        JobError: it is missing or damaged.
    """
    try:
        data = store.read(name)
    except InputError as error:
        raise JobError(str(error)) from error
    sources: list[str] = decode_rows(data, f"{store.address}/{name}", ["source"])["source"].to_pylist()
    return sources
