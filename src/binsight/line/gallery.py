"""One HTML file with every piece of a ledger: its picture, what it was taken for, where it went and why."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Sequence
from html import escape
from pathlib import Path

import sqlalchemy as sa
from PIL import Image

from binsight.files import write_whole
from binsight.imaging import encode_picture
from binsight.line.config import LineConfig
from binsight.line.ledger.database import open_database
from binsight.line.ledger.schema import pieces, thumbnails
from binsight.line.records import Piece

__all__ = ["write_gallery"]

_MOST = 1000  # pieces on one page: more than that no browser likes
_STYLE = """
:root{color-scheme:light dark;--ink:#1b1f24;--soft:#5b6570;--paper:#fff;--line:#d5dae0}
:root{--good:#0a7a4b;--bad:#b3450a}
@media(prefers-color-scheme:dark){
:root{--ink:#e8eaed;--soft:#a3adb8;--paper:#15181c;--line:#353c44;--good:#4fc28d;--bad:#f0924c}}
body{font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper)}
body{max-width:72rem;margin:auto;padding:1rem}img{max-width:100%}table{border-collapse:collapse}
th,td{text-align:left;padding:.2rem 1rem .2rem 0;border-bottom:1px solid var(--line)}
td.n{text-align:right}ul{list-style:none;padding:0;display:grid;gap:1rem;grid-template-columns:repeat(auto-fill,minmax(10rem,1fr))}
li{border:1px solid var(--line);border-radius:.5rem;padding:.5rem}li img{width:100%;height:8rem;object-fit:contain}
li p{margin:.2rem 0;font-size:.875rem}.soft{color:var(--soft)}.good{color:var(--good)}.bad{color:var(--bad)}
"""


def write_gallery(
    path: Path, ledger_url: str, config: LineConfig, *, title: str, picture: Image.Image | None = None
) -> None:
    """Write the page.

    Args:
        path: where to.
        ledger_url: whose pieces; of more than 1,000 the first are shown, and the page says so.
        config: of the line, whose pieces are shown.
        title: of the page.
        picture: shown above them.

    Raises:
        OutputError: it cannot be written.
    """
    database = open_database(ledger_url, upgrade=False)
    try:
        with database.connect() as connection:
            mine = pieces.c.line == config.line.name
            found = sa.select(pieces).where(mine).order_by(pieces.c.seq)
            rows = [Piece(**row) for row in connection.execute(found).mappings()]
            keys = [row.thumbnail for row in rows[:_MOST] if row.thumbnail is not None]
            stored = sa.select(thumbnails.c.key, thumbnails.c.jpeg).where(thumbnails.c.key.in_(keys))
            jpegs = {row.key: row.jpeg for row in connection.execute(stored)}
    finally:
        database.dispose()
    write_whole(path, _page(title, rows, jpegs, config, picture))


def _page(
    title: str, rows: Sequence[Piece], jpegs: dict[str, bytes], config: LineConfig, picture: Image.Image | None
) -> str:
    shown = [_card(row, jpegs.get(row.thumbnail or ""), config) for row in rows[:_MOST]]
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>",
        f"<title>{escape(title)}</title><style>{_STYLE}</style><h1>{escape(title)}</h1>",
        f"<p>{len(rows):,} pieces." + (f" The first {_MOST:,} are shown." if len(rows) > _MOST else "") + "</p>",
    ]
    if picture is not None:
        parts.append(
            _image(encode_picture(picture, quality=85), "The belt with a box, an id and a lane for each piece")
        )
    parts += [_table("What they are", Counter(row.category or "not known" for row in rows))]
    parts += [_table("Where they went", Counter(_place(row, config) for row in rows))]
    parts += [f"<h2>Pieces</h2><ul>{''.join(shown)}</ul>"]
    return "".join(parts)


def _table(title: str, counts: Counter[str]) -> str:
    rows = "".join(f"<tr><td>{escape(name)}<td class=n>{count:,}" for name, count in counts.most_common())
    return f"<h2>{title}</h2><table><tr><th>{title}<th>Pieces{rows}</table>"


def _card(piece: Piece, jpeg: bytes | None, config: LineConfig) -> str:
    what = "nothing that could be judged" if piece.category is None else f"{piece.category} {piece.confidence or 0:.0%}"
    kind = "good" if piece.decision == "accept" else "bad"
    picture = "<p class=soft>no picture</p>" if jpeg is None else _image(jpeg, f"Piece {piece.seq}")
    return (
        f"<li>{picture}<p><b>#{piece.seq}</b> <span class={kind}>{escape(what)}</span></p>"
        f"<p>{escape(_place(piece, config))}</p><p class=soft>{piece.frames} views, {piece.seen_at:%H:%M:%S}</p></li>"
    )


def _place(piece: Piece, config: LineConfig) -> str:
    reason = "" if piece.reason is None else f" ({piece.reason.replace('_', ' ')})"
    lane = next((lane for lane in config.lanes if lane.number == piece.lane), None)
    where = "stays on the belt" if lane is None else f"lane {lane.number} {lane.name}".rstrip()
    return where + reason


def _image(jpeg: bytes, text: str) -> str:
    return f"<img alt='{escape(text)}' loading=lazy src='data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}'>"
