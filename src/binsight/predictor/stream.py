"""Many photos, all cores, results in the order of the photos."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from binsight.errors import BinsightError
from binsight.imaging import ImageLimits, prepare_photo, read_photo
from binsight.predictor.cores import available_cores
from binsight.predictor.prediction import Prediction
from binsight.predictor.predictor import Predictor
from binsight.progress import Progress, unheard

__all__ = ["predict_files", "predict_many", "run_in_order"]

Item = TypeVar("Item")
Result = TypeVar("Result")

# Results that wait for a slow one before them: enough to keep all workers busy past one large photo among small ones.
_AHEAD_PER_WORKER = 16


def predict_files(
    predictor: Predictor,
    paths: Iterable[str | Path],
    *,
    workers: int,
    batch: int = 1,
    limits: ImageLimits | None = None,
) -> Iterator[Prediction | BinsightError]:
    """Classify the photos in many files; one that fails gives its error, the rest go on.

    Args:
        predictor: loaded with `threads=1` when there are several workers.
        paths: consumed as the work proceeds; may be endless.
        workers: batches in work at a time; one per core is best.
        batch: photos per run of the network; see `predict_many`.
        limits: the largest picture accepted.

    Yields:
        For each path, in order, its prediction or the error that explains why there is none.
    """
    return predict_many(
        predictor, paths, partial(read_photo, limits=limits), workers=workers, batch=batch, limits=limits
    )


def predict_many(
    predictor: Predictor,
    items: Iterable[Item],
    load: Callable[[Item], bytes],
    *,
    workers: int,
    batch: int = 1,
    limits: ImageLimits | None = None,
) -> Iterator[Prediction | BinsightError]:
    """Classify whatever `load` can turn into the bytes of a photo; one that fails gives its error, the rest go on.

    Each worker loads, decodes and classifies on its own, so decoding one photo overlaps with classifying another.

    Args:
        predictor: loaded with `threads=1` when there are several workers.
        items: consumed as the work proceeds; may be endless.
        load: called from several threads; a `BinsightError` of it is the item's outcome.
        workers: batches in work at a time; one per core is best.
        batch: photos per run of the network. 4 are about 5 % faster than 1, but a result waits for its batch to fill.
        limits: the largest picture accepted.

    Yields:
        For each item, in order, its prediction or the error that explains why there is none.
    """

    def predict(chunk: Sequence[Item]) -> list[Prediction | BinsightError]:
        return _predict_chunk(predictor, chunk, load, limits)

    for outcomes in run_in_order(predict, _chunks(items, batch), workers=workers):
        yield from outcomes


def _predict_chunk(
    predictor: Predictor, chunk: Sequence[Item], load: Callable[[Item], bytes], limits: ImageLimits | None
) -> list[Prediction | BinsightError]:
    outcomes: list[Prediction | BinsightError | None] = [None] * len(chunk)
    prepared: list[NDArray[np.uint8]] = []
    start = time.perf_counter()
    for position, item in enumerate(chunk):
        try:
            prepared.append(prepare_photo(load(item), predictor.spec, limits=limits))
        except BinsightError as error:
            outcomes[position] = error
    if prepared:
        decode_ms = 1000 * (time.perf_counter() - start) / len(prepared)
        predictions = iter(_predict_prepared(predictor, np.stack(prepared), decode_ms))
        outcomes = [next(predictions) if outcome is None else outcome for outcome in outcomes]
    return [outcome for outcome in outcomes if outcome is not None]


def _predict_prepared(
    predictor: Predictor, inputs: NDArray[np.uint8], decode_ms: float
) -> Sequence[Prediction | BinsightError]:
    try:
        return predictor.predict_prepared(inputs, decode_ms=decode_ms)
    except BinsightError as error:
        # The network fails, not one photo: all of the batch share its error.
        return [error] * len(inputs)


def _chunks(items: Iterable[Item], size: int) -> Iterator[tuple[Item, ...]]:
    source = iter(items)
    while chunk := tuple(islice(source, size)):
        yield chunk


def run_in_order(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    workers: int | None = None,
    progress: Progress = unheard,
) -> Iterator[Result]:
    """Apply `function` to each item on several threads; results come in the order of the items.

    At most `16 * workers` items are taken ahead of the one whose result is next, so memory does not grow with their
    number. An exception of `function` is raised in the place of its result, and ends the iteration.

    Args:
        function: called from several threads at a time.
        items: consumed as results are taken.
        workers: how many threads, by default one per core; with 1 everything happens in the caller's.
        progress: called with each result, with how many items there are where that is known, else 0.
    """
    total = len(items) if isinstance(items, Sized) else 0
    for done, result in enumerate(_in_order(function, items, workers or available_cores()), start=1):
        progress(done, total)
        yield result


def _in_order(function: Callable[[Item], Result], items: Iterable[Item], workers: int) -> Iterator[Result]:
    if workers <= 1:
        yield from map(function, items)
        return
    pending: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(workers, thread_name_prefix="binsight") as pool:
        try:
            for item in items:
                pending.append(pool.submit(function, item))
                while pending and (pending[0].done() or len(pending) >= workers * _AHEAD_PER_WORKER):
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()
