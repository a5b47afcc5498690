"""What a model's network sees in kept photos: the features, and whether they are as they used to be."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from binsight.imaging import read_photo
from binsight.loop.counts import FeatureDrift
from binsight.loop.ledger import utc_text
from binsight.loop.queue import Queue
from binsight.predictor import Predictor, run_photos
from binsight.probability.mmd import compare_samples
from binsight.progress import Progress, unheard

__all__ = ["measure_drift", "see_photos"]

_WEEKS: Final = 2
_LEAST, _MOST = 30, 300  # photos of a week, and of the time before


def see_photos(
    predictor: Predictor, photos: Sequence[Path | bytes], *, workers: int | None = None, progress: Progress = unheard
) -> tuple[NDArray[np.float32], NDArray[np.intp], NDArray[np.bool_]]:
    """What a network sees in photos.

    Args:
        predictor: of the model, loaded with `threads=1`.
        photos: n files, or what is in them.
        workers: photos in work at a time.
        progress: told how far it is.

    Returns:
        Features `(m, d)` and classes `(m,)` of the m photos that can be read, and which these are, `(n,)`.
    """

    def load(photo: Path | bytes) -> bytes:
        return read_photo(photo) if isinstance(photo, Path) else photo

    found = run_photos(predictor, photos, ("features",), load=load, workers=workers, progress=progress)
    readable = np.zeros(len(photos), bool)
    readable[found.kept] = True
    if found.outputs is None:
        return np.zeros((0, 0), np.float32), np.zeros(0, np.intp), readable
    features, classes = found.outputs.features, found.outputs.logits.argmax(axis=1).astype(np.intp)
    return np.zeros((0, 0), np.float32) if features is None else features, classes, readable


def measure_drift(queue: Queue, predictor: Predictor, *, workers: int | None = None) -> FeatureDrift:
    """Compare the photos drawn at random in each of the last two weeks with those from before.

    Photos of one predicted class are compared with each other, so another mix of things is no drift. It is a notice, no
    alarm: features may change where the model is as good as before.

    Args:
        queue: of the loop.
        predictor: of the model in use, loaded with `threads=1`; it looks at all of these photos.
        workers: photos in work at a time.
    """
    now, manifest = queue.now(), predictor.bundle.manifest
    about = f"{manifest.name} {manifest.version}", utc_text(now)
    ends = [utc_text(now - timedelta(weeks=week)) for week in range(_WEEKS + 1)]
    with queue.reading() as rows:
        items = rows.execute("SELECT id, at FROM items WHERE is_random ORDER BY at, id").fetchall()
    spans = [("", ends[-1]), *((ends[week + 1], ends[week]) for week in range(_WEEKS))]
    chosen = [[row["id"] for row in items if since <= row["at"] <= until][:_MOST] for since, until in spans]
    if len(chosen[0]) < _LEAST:
        return FeatureDrift(*about, len(chosen[0]), tuple((len(ids), None) for ids in chosen[1:]))
    paths = [queue.photo(item) for ids in chosen for item in ids]
    features, classes, readable = see_photos(predictor, paths, workers=workers)
    part = np.repeat(np.arange(len(chosen)), [len(ids) for ids in chosen])[readable]
    weeks = []
    for week in range(1, len(chosen)):
        own = part == week
        shift = None
        if own.sum() >= _LEAST:
            shift = compare_samples(features[part == 0], features[own], classes[part == 0], classes[own])
        weeks.append((int(own.sum()), shift))
    return FeatureDrift(*about, int((part == 0).sum()), tuple(weeks))
