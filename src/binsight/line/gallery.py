"""One HTML file with every piece of a ledger: its picture, what it was taken for, where it went and why."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import sqlalchemy as sa
from PIL import Image

from binsight.files import write_whole
from binsight.imaging import encode_picture
from binsight.line.config import LineConfig
from binsight.line.ledger.database import open_database
from binsight.line.ledger.reading import every_piece
from binsight.line.ledger.schema import thumbnails
from binsight.line.records import Piece
from binsight.pages import data_uri, render_template

__all__ = ["write_gallery"]

_MOST = 1000  # pieces on one page: more than that no browser likes


def write_gallery(
    path: Path, ledger_url: str, config: LineConfig, *, title: str, picture: Image.Image | None = None
) -> None:
    """Write the page.

    Of more than 1,000 pieces the first are shown, and the page says so; `picture` is shown above them.

    Raises:
        MissingExtraError: the template engine is not installed.
        OutputError: it cannot be written.
    """
    database = open_database(ledger_url, upgrade=False)
    try:
        rows = every_piece(database, config.line.name)
        keys = [row.thumbnail for row in rows[:_MOST] if row.thumbnail is not None]
        with database.connect() as connection:
            stored = sa.select(thumbnails.c.key, thumbnails.c.jpeg).where(thumbnails.c.key.in_(keys))
            jpegs = {row.key: row.jpeg for row in connection.execute(stored)}
    finally:
        database.dispose()
    page = render_template(
        "gallery.html.j2",
        "line",
        extra="line",
        filters={"place": lambda piece: _place(piece, config), "uri": data_uri},
        title=title,
        pieces=rows,
        jpegs=jpegs,
        most=_MOST,
        kinds=Counter(row.category or "not known" for row in rows),
        places=Counter(_place(row, config) for row in rows),
        picture=None if picture is None else data_uri(encode_picture(picture, quality=85)),
    )
    write_whole(path, page)


def _place(piece: Piece, config: LineConfig) -> str:
    reason = "" if piece.reason is None else f" ({piece.reason.replace('_', ' ')})"
    lane = next((lane for lane in config.lanes if lane.number == piece.lane), None)
    where = "stays on the belt" if lane is None else f"lane {lane.number} {lane.name}".rstrip()
    return where + reason
