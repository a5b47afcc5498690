"""How long one photo takes, and how large the model is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from binsight.bundle import Bundle
from binsight.bundle.container import MODEL_NAME
from binsight.imaging import read_photo
from binsight.predictor import Predictor

__all__ = ["PhotoTimes", "measure_speed"]

_WARM_UP = 5


@dataclass(frozen=True, slots=True)
class PhotoTimes:
    """Milliseconds for one photo at a time, all cores sharing it, and sizes in bytes.

    Attributes:
        photos: how many were timed.
        cores: how many shared the work.
        decode_ms: median of decoding and fitting a photo into the input.
        engine_ms: median of running the network.
        engine_p95_ms: 95 % of the runs took no longer.
        engine_fastest_ms: the fastest run: what a machine with nothing else to do would need.
        model_bytes: of the network's file.
        bundle_bytes: of all files of the bundle that its manifest lists.
    """

    photos: int
    cores: int
    decode_ms: float
    engine_ms: float
    engine_p95_ms: float
    engine_fastest_ms: float
    model_bytes: int
    bundle_bytes: int


def measure_speed(bundle: Bundle, paths: Sequence[Path]) -> PhotoTimes:
    """Classify photos one after another, as `binsight predict PHOTO` does; a few before the clock runs.

    Args:
        bundle: the model.
        paths: at least one photo that can be read.
    """
    predictor = Predictor(bundle)
    for i in range(_WARM_UP):
        predictor.predict_bytes(read_photo(paths[i % len(paths)]))
    timings = [predictor.predict_bytes(read_photo(path)).timing_ms for path in paths]
    engine = [t["infer"] for t in timings]
    files = bundle.manifest.files
    return PhotoTimes(
        photos=len(paths),
        cores=predictor.threads,
        decode_ms=float(np.median([t["decode"] for t in timings])),
        engine_ms=float(np.median(engine)),
        engine_p95_ms=float(np.percentile(engine, 95)),
        engine_fastest_ms=min(engine),
        model_bytes=files[MODEL_NAME].size,
        bundle_bytes=sum(entry.size for entry in files.values()),
    )
