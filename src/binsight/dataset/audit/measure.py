"""What an audit measures of every photo, in one pass: a few kilobytes of each are kept."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from binsight.dataset.audit.look import LOOK, measure_look
from binsight.dataset.duplicates import Fingerprint, Fingerprints
from binsight.dataset.duplicates.collect import FINGERPRINT
from binsight.dataset.reading import Fault, Measure, feature_size, read_each
from binsight.dataset.samples import Dataset
from binsight.predictor import Predictor
from binsight.progress import Progress, unheard

__all__ = ["Measurements", "measure_photos"]

_LOOK: Final = Measure("look-2", lambda views, size: measure_look(views, size).tobytes())


@dataclass(frozen=True, slots=True)
class Measurements:
    """What is known of n photos.

    Attributes:
        prints: what they are recognised by.
        look: `(n, len(LOOK))` float32; NaN for a photo that could not be decoded.
        features: `(n, d)` float16 from the model; NaN likewise. None without a model that gives features.
        faults: by position, what is wrong with the file.
    """

    prints: Fingerprints
    look: NDArray[np.float32]
    features: NDArray[np.float16] | None
    faults: dict[int, Fault] = field(default_factory=dict)

    def value(self, name: str) -> NDArray[np.float32]:
        """One of the numbers in `LOOK`, for all photos."""
        return self.look[:, LOOK.index(name)]

    @property
    def usable(self) -> NDArray[np.bool_]:
        """Which photos could be decoded."""
        return ~np.isnan(self.look[:, 0])


def measure_photos(
    dataset: Dataset,
    *,
    predictor: Predictor | None = None,
    cache: str | Path | None = None,
    workers: int | None = None,
    progress: Progress = unheard,
) -> Measurements:
    """Measure every photo; memory grows by 8 kB for each, whatever its size.

    Args:
        dataset: as `scan` gives it.
        predictor: whose features are taken, loaded with `threads=1`; None takes none.
        cache: an SQLite file that remembers what was measured, by content; made when it is missing.
        workers: threads; by default one per core.
        progress: called as photos are done.
    """
    width = None if predictor is None else feature_size(predictor)
    count = len(dataset)
    found = Measurements(
        Fingerprints.empty([s.sha256 for s in dataset]),
        np.full((count, len(LOOK)), np.nan, np.float32),
        None if width is None else np.full((count, width), np.nan, np.float16),
    )
    photos = read_each(
        dataset,
        [FINGERPRINT, _LOOK],
        predictor=None if width is None else predictor,
        cache=cache,
        workers=workers,
        progress=progress,
    )
    for position, photo in enumerate(photos):
        if photo.fault is not None:
            found.faults[position] = photo.fault
        if photo.values:
            found.prints.put(position, Fingerprint.from_bytes(photo.values[0]))
            found.look[position] = np.frombuffer(photo.values[1], np.float32)
            if found.features is not None:
                found.features[position] = np.frombuffer(photo.values[2], np.float16)
    return found
