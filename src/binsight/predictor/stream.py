"""Many photos, all cores, results in the order of the photos."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from binsight.errors import BinsightError
from binsight.imaging import ImageLimits
from binsight.predictor.prediction import Prediction
from binsight.predictor.predictor import Predictor

__all__ = ["predict_files", "run_in_order"]

Item = TypeVar("Item")
Result = TypeVar("Result")

# Results that wait for a slow one before them: enough to keep all workers busy past one large photo among small ones.
_AHEAD_PER_WORKER = 16


def predict_files(
    predictor: Predictor, paths: Iterable[str | Path], *, workers: int, limits: ImageLimits | None = None
) -> Iterator[Prediction | BinsightError]:
    """Classify the photos in many files; one that fails gives its error, the rest go on.

    Each worker reads, decodes and classifies on its own, so decoding one photo overlaps with classifying another.

    Args:
        predictor: loaded with `threads=1` when there are several workers.
        paths: consumed as the work proceeds; may be endless.
        workers: photos in work at a time; one per core is best.
        limits: the largest picture accepted.

    Yields:
        For each path, in order, its prediction or the error that explains why there is none.
    """

    def predict(path: str | Path) -> Prediction | BinsightError:
        try:
            return predictor.predict_file(path, limits=limits)
        except BinsightError as error:
            return error

    return run_in_order(predict, paths, workers=workers)


def run_in_order(function: Callable[[Item], Result], items: Iterable[Item], *, workers: int) -> Iterator[Result]:
    """Apply `function` to each item on several threads; results come in the order of the items.

    At most `16 * workers` items are taken ahead of the one whose result is next, so memory does not grow with their
    number. An exception of `function` is raised in the place of its result, and ends the iteration.

    Args:
        function: called from several threads at a time.
        items: consumed as results are taken.
        workers: how many threads; with 1 everything happens in the caller's.
    """
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
