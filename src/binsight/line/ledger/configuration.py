"""What a ledger must know of its line to be read without `line.toml` and without the model: lanes, weights, classes."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from binsight.line.config import LineConfig, parse_line_config
from binsight.line.ledger.schema import lines
from binsight.taxonomy import Taxonomy

__all__ = ["read_configuration", "stored_configuration"]

# Not the addresses of broker and database: there may be passwords in them.
_TABLES = {"line", "lanes", "audit", "shifts", "grams"}


def stored_configuration(config: LineConfig, taxonomy: Taxonomy) -> dict[str, Any]:
    """What goes into the column `lines.configuration`, as JSON."""
    return {**config.model_dump(mode="json", include=_TABLES), "taxonomy": taxonomy.to_dict()}


def read_configuration(database: sa.Engine, line: str) -> tuple[LineConfig, Taxonomy | None] | None:
    """The configuration and the classes with which a line ran last; None where it did not tell.

    Raises:
        SettingsError: it was stored by another version, and cannot be read.
        TaxonomyError: likewise.
    """
    with database.connect() as connection:
        stored = connection.execute(sa.select(lines.c.configuration).where(lines.c.name == line)).scalar()
    if not stored:
        return None
    tables = {name: value for name, value in stored.items() if name in _TABLES}
    classes = stored.get("taxonomy")
    return parse_line_config(tables, where="the ledger"), None if classes is None else Taxonomy.from_dict(classes)
