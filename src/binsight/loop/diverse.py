"""Reviews that are unlike all that wait to be labelled: for training only, a few a week."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Final

import numpy as np

from binsight.loop.features import see_photos
from binsight.loop.ledger import utc_text
from binsight.loop.queue import MOST_CANDIDATES, Queue
from binsight.loop.sampling import farthest_first
from binsight.predictor import Predictor

__all__ = ["MOST_DIVERSE", "choose_diverse", "take_candidates"]

MOST_DIVERSE: Final = 20
"""Photos a week that are taken for being unlike the others."""


def choose_diverse(
    queue: Queue, photos: Sequence[Path | bytes], predictor: Predictor, *, workers: int | None = None
) -> list[int]:
    """Which photos are farthest from the reviews in the queue, and from each other, as far as the week allows.

    Args:
        queue: of the loop.
        photos: that were sent to review and are not in the queue; the last 500 are looked at.
        predictor: of the model, loaded with `threads=1`.
        workers: photos in work at a time.

    Returns:
        Positions, in the order of choice.
    """
    since = utc_text(queue.now() - timedelta(weeks=1))
    with queue.reading() as rows:
        query = "SELECT id FROM items WHERE {} ORDER BY at DESC LIMIT ?"
        chosen = "NOT (is_random OR is_review OR is_correction OR is_disagreement) AND model != ''"
        used = rows.execute(query.format(f"{chosen} AND at >= '{since}'"), (MOST_DIVERSE,)).fetchall()
        known = rows.execute(query.format(f"is_review OR ({chosen})"), (MOST_CANDIDATES,)).fetchall()
    first, room = max(0, len(photos) - MOST_CANDIDATES), MOST_DIVERSE - len(used)
    if room <= 0 or not photos:
        return []
    features, _, readable = see_photos(predictor, photos[first:], workers=workers)
    covered = see_photos(predictor, [queue.photo(row["id"]) for row in known], workers=workers)[0]
    sound = first + np.flatnonzero(readable)
    if not len(sound):
        return []
    return [int(sound[row]) for row in farthest_first(features, covered.reshape(-1, features.shape[1]), room)]


def take_candidates(queue: Queue, predictor: Predictor, *, workers: int | None = None) -> int:
    """Let those of a server's candidates of the last week wait to be labelled that are unlike the others; how many.

    Args:
        queue: of the loop.
        predictor: of the model, loaded with `threads=1`.
        workers: photos in work at a time.

    Raises:
        OutputError: the loop cannot be written.
    """
    since = utc_text(queue.now() - timedelta(weeks=1))
    with queue.reading() as rows:
        found = rows.execute("SELECT item FROM candidates WHERE at >= ? ORDER BY at, item", (since,)).fetchall()
    chosen = choose_diverse(queue, [queue.photo(row["item"]) for row in found], predictor, workers=workers)
    return sum(queue.take_candidate(found[position]["item"]) for position in chosen)
