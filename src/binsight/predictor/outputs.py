"""What a network gives for many photos: the one loop that reads, decodes and runs them on all cores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from binsight.errors import BinsightError
from binsight.imaging import ImageLimits, prepare_photo, read_photo
from binsight.predictor.predictor import Outputs, Predictor
from binsight.predictor.stream import run_in_order
from binsight.progress import Progress, unheard

__all__ = ["PhotoOutputs", "run_photos"]

_BATCH = 4  # photos per run of the network, measured in benchmarks/predict.py


@dataclass(frozen=True, eq=False)
class PhotoOutputs:
    """What a network gives for those of n photos that can be read.

    Attributes:
        outputs: of k photos; None where none can be read.
        kept: `(k,)`, which these are, ascending.
        faults: of each other photo, by its position, why it cannot be read.
    """

    outputs: Outputs | None
    kept: NDArray[np.intp]
    faults: dict[int, BinsightError] = field(default_factory=dict)


def run_photos(
    predictor: Predictor,
    photos: Sequence[Any],
    names: Sequence[str] | None = None,
    *,
    run: Callable[[NDArray[np.uint8]], Outputs] | None = None,
    load: Callable[[Any], bytes] | None = None,
    workers: int | None = None,
    limits: ImageLimits | None = None,
    progress: Progress = unheard,
) -> PhotoOutputs:
    """Run a network on photos; one that cannot be read is told, and the rest go on.

    Args:
        predictor: loaded with `threads=1`.
        photos: files, or whatever `load` can turn into the bytes of a photo.
        names: which outputs are wanted, as in `Predictor.run`; by default those that decide.
        run: called with the network's inputs, from several threads, instead of `Predictor.run`.
        load: called from several threads; a `BinsightError` of it is the photo's fault.
        workers: batches in work at a time; by default one per core.
        limits: the largest picture accepted.
        progress: called as photos are done.

    Raises:
        BundleError: the network fails.
    """
    give = run or (predictor.run if names is None else partial(predictor.run, names=names))

    def run_chunk(chunk: range) -> tuple[Outputs | None, dict[int, BinsightError]]:
        prepared, wrong = [], {}
        for position in chunk:
            try:
                data = read_photo(photos[position], limits=limits) if load is None else load(photos[position])
                prepared.append(prepare_photo(data, predictor.spec, limits=limits))
            except BinsightError as error:
                wrong[position] = error
        return give(np.stack(prepared)) if prepared else None, wrong

    count = len(photos)
    chunks = [range(first, min(first + _BATCH, count)) for first in range(0, count, _BATCH)]
    parts: list[Outputs] = []
    faults: dict[int, BinsightError] = {}
    for chunk, (outputs, wrong) in zip(chunks, run_in_order(run_chunk, chunks, workers=workers), strict=True):
        parts += [] if outputs is None else [outputs]
        faults |= wrong
        progress(chunk.stop, count)
    kept = np.array([i for i in range(count) if i not in faults], np.intp)
    return PhotoOutputs(Outputs.join(parts) if parts else None, kept, faults)
