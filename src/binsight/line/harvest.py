"""Pieces of a line for the queue of a loop: drawn as a server draws photos, and some reviews unlike the rest."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from binsight.line.ledger.reading import PIECE
from binsight.line.ledger.schema import pieces, thumbnails
from binsight.line.records import Piece
from binsight.loop.counts import Counts, Seen
from binsight.loop.diverse import choose_diverse
from binsight.loop.queue import MOST_CANDIDATES, Queue
from binsight.loop.sampling import WEEK_S, Chances, Quotas, Stratum, draw, random_chance, review_chance
from binsight.predictor import Predictor

__all__ = ["Harvest", "take_pieces"]

_AT_ONCE = 5000
_UNDECIDED = dt.timedelta(minutes=1)  # pieces of the last minute may not be decided yet


@dataclass(frozen=True, slots=True)
class Harvest:
    """What was taken.

    Attributes:
        counted: decided pieces that are new.
        kept: of these, in the queue now.
        diverse: of these, taken for being unlike the others; for training only.
    """

    counted: int
    kept: int
    diverse: int


def take_pieces(
    queue: Queue,
    counts: Counts,
    ledger: sa.Engine,
    line: str,
    quotas: Quotas,
    *,
    predictor: Predictor | None = None,
    workers: int | None = None,
) -> Harvest:
    """Count the pieces that are new in a line's ledger, and put those that are drawn into the queue.

    A piece's picture is its sharpest view; `line:ID` is its receipt. Who is killed on the way takes the same again:
    pictures are kept once, and pieces are counted when all of them are there.

    Args:
        queue: of the loop.
        counts: of the loop.
        ledger: of the line, to be read.
        line: its name.
        quotas: how many to keep.
        predictor: of the model, loaded with `threads=1`; None: none is chosen for being unlike the others.
        workers: photos in work at a time.

    Raises:
        OutputError: the loop cannot be written.
    """
    counted = kept = diverse = 0
    until = queue.now() - _UNDECIDED
    while found := _read(ledger, line, counts.last_taken(f"line:{line}"), until):
        left = _keep_drawn(queue, counts, ledger, found, quotas)
        kept += len(found) - len(left)
        reviews = [piece for piece in left if piece.decision == "review"]
        if predictor is not None and reviews:
            diverse += _keep_diverse(queue, ledger, reviews, predictor, workers)
        counts.add([Seen(_model(p), _stratum(p), p.seen_at) for p in found], taken=(f"line:{line}", found[-1].seq))
        counted += len(found)
    return Harvest(counted, kept + diverse, diverse)


def _stratum(piece: Piece) -> Stratum:
    return Stratum(piece.decision or "review", piece.category or "")  # all that are read have both


def _model(piece: Piece) -> str:
    return f"{piece.model_name} {piece.model_version}"


def _read(ledger: sa.Engine, line: str, after: int, until: dt.datetime) -> list[Piece]:
    is_decided = sa.and_(pieces.c.category.is_not(None), pieces.c.decision.is_not(None))
    is_new = sa.and_(pieces.c.seq > after, pieces.c.seen_at < until)
    query = sa.select(*PIECE).where(pieces.c.line == line, is_new, is_decided)
    with ledger.connect() as connection:
        return [Piece(*row) for row in connection.execute(query.order_by(pieces.c.seq).limit(_AT_ONCE))]


def _keep_drawn(queue: Queue, counts: Counts, ledger: sa.Engine, found: Sequence[Piece], quotas: Quotas) -> list[Piece]:
    """Keep those that are drawn; the others."""
    seen, begin = counts.last_week(found[-1].seen_at)
    totals = Counter(seen)
    totals.update(_stratum(piece) for piece in found)
    span_s = min(WEEK_S, (found[-1].seen_at - min(begin or found[0].seen_at, found[0].seen_at)).total_seconds())
    reviews = Counter(piece.seen_at.date() for piece in found if piece.decision == "review")
    noticed, left = counts.noticed(), []
    for piece in found:
        by_review = 0.0
        if piece.decision == "review":
            earlier = counts.reviews_on(piece.seen_at) if piece.seen_at.date() == found[0].seen_at.date() else 0
            by_review = review_chance(reviews[piece.seen_at.date()] + earlier, quotas.review)
        quota = quotas.at_random(noticed=_model(piece) in noticed)
        chances = Chances(random_chance(_stratum(piece), totals, quota, span_s), by_review)
        is_random, is_review = (
            draw(queue.key, name, piece.id, chance) for name, chance in zip(Chances._fields, chances, strict=True)
        )
        picture = _picture(ledger, piece) if is_random or is_review else None
        if picture is None:
            left.append(piece)
        else:
            _put(queue, piece, picture, chances, is_random, is_review)
    return left


def _keep_diverse(
    queue: Queue, ledger: sa.Engine, reviews: Sequence[Piece], predictor: Predictor, workers: int | None
) -> int:
    """Keep the reviews that are farthest from those in the queue, as far as the week allows; how many."""
    pictures = [(piece, data) for piece in reviews[-MOST_CANDIDATES:] if (data := _picture(ledger, piece))]
    chosen = choose_diverse(queue, [data for _, data in pictures], predictor, workers=workers)
    for position in chosen:
        _put(queue, *pictures[position], Chances(0, 0), False, False)
    return len(chosen)


def _put(queue: Queue, piece: Piece, picture: bytes, chances: Chances, is_random: bool, is_review: bool) -> None:
    queue.put(
        picture,
        model=_model(piece),
        stratum=_stratum(piece),
        confidence=piece.confidence or 0.0,
        chances=chances,
        is_random=is_random,
        is_review=is_review,
        receipt=f"line:{piece.id}",
    )


def _picture(ledger: sa.Engine, piece: Piece) -> bytes | None:
    """Its sharpest view, a JPEG; None where it is not kept any more."""
    with ledger.connect() as connection:
        query = sa.select(thumbnails.c.jpeg).where(
            thumbnails.c.key == piece.thumbnail, thumbnails.c.at == piece.seen_at
        )
        found: bytes | None = connection.execute(query).scalar()
    return found
