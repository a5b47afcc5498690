"""Ledgers filled by hand, for tests of what reads them."""

from __future__ import annotations

import datetime as dt
import io
import random
from typing import TYPE_CHECKING, Any

from PIL import Image

from binsight.line.config import parse_line_config
from binsight.line.film import Film
from binsight.line.ledger.configuration import stored_configuration
from binsight.line.ledger.database import open_database
from binsight.line.ledger.writer import LedgerWriter
from binsight.line.records import Piece, new_ulid
from binsight.taxonomy import builtin_taxonomy

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import sqlalchemy as sa

AT = dt.datetime(2026, 1, 2, 6, 0, tzinfo=dt.UTC)
CONFIG = parse_line_config(
    {
        "line": {"name": "line1"},
        "lanes": [
            {"number": 1, "name": "Metal", "categories": ["metal_cans"], "distance_mm": 900, "purity_target": 0.95},
            {"number": 2, "name": "Compost", "streams": ["compost"], "distance_mm": 1200},
        ],
        "grams": {"metal_cans": 15, "plastic_bags": 6, "paper_waste": 20},
    }
)
TAXONOMY = builtin_taxonomy()


def jpeg(colour: tuple[int, int, int] = (200, 30, 30)) -> bytes:
    """Return a small picture."""
    stream = io.BytesIO()
    Image.new("RGB", (24, 16), colour).save(stream, "JPEG")
    return stream.getvalue()


def piece(seq: int, *, minutes: float = 0.0, drawn: bool = False, **values: Any) -> Piece:
    """Return a confirmed can in lane 1, unless told otherwise."""
    at = AT + dt.timedelta(minutes=minutes)
    identity = new_ulid(at, random.Random(seq).getrandbits(80))  # noqa: S311 - no secret
    known: dict[str, Any] = {
        "status": "confirmed", "lane": 1, "category": "metal_cans", "confidence": 0.97, "decision": "accept",
        "frames": 3, "confirm_result": "ejected", "latency_ms": 40.0 + seq % 10, "commanded_at": at,
        "model_name": "waste8", "model_version": "2.0.0",
    }  # fmt: skip
    if drawn:
        known |= {"audit_probability": 0.5, "thumbnail": identity}
    return Piece(id=identity, line="line1", seq=seq, seen_at=at, **known | values)


def fill(url: str, rows: Iterable[Piece]) -> sa.Engine:
    """Write pieces, with pictures where they have a key, and what was said of those that were audited."""
    database = open_database(url)
    writer = LedgerWriter(database, threaded=False)
    writer.start("line1", AT, configuration=stored_configuration(CONFIG, TAXONOMY))
    for row in rows:
        writer.put(row)
        if row.thumbnail:
            writer.keep(row, Film(jpeg()))
            writer.flush()  # at most 1,000 pictures wait
    writer.close()
    return database


def fill_file(folder: Path, rows: Iterable[Piece]) -> tuple[Path, sa.Engine]:
    """Return the file of a new SQLite ledger, and the ledger."""
    file = folder / "line1.sqlite"
    return file, fill(f"sqlite:///{file}", rows)
