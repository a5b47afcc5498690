"""Classify views on a thread of its own, so that looking at the belt never waits for the network."""

from __future__ import annotations

import itertools
import queue
import threading
from collections.abc import Callable, Sequence

from binsight.line.records import View
from binsight.line.views import judge_views
from binsight.predictor import Predictor

__all__ = ["ClassifierThread"]

_URGENT, _MORE, _LAST = range(3)
_Request = tuple[Sequence[View], Callable[[Sequence[View]], None]]


class ClassifierThread:
    """Takes views and hands them back with their predictions: first those of pieces that have none yet.

    Args:
        predictor: runs the network.
        post: hands a call over to the engine's thread.
        waiting: requests that may wait; one more is refused. What waits too long comes after its piece was decided, so
            that a machine that is too slow for all views must still be quick with a few.
        waiting_more: of these, so many may be of pieces that have a view already.
    """

    def __init__(
        self,
        predictor: Predictor,
        *,
        post: Callable[[Callable[[], None]], None],
        waiting: int = 6,
        waiting_more: int = 1,
    ) -> None:
        self._waiting_more = waiting_more
        self._predictor, self._post = predictor, post
        # By rank, then by the order in which they came, which is never the same: requests are not compared.
        self._requests: queue.PriorityQueue[tuple[int, int, _Request | None]] = queue.PriorityQueue(maxsize=waiting)
        self._order = itertools.count()
        self._thread = threading.Thread(target=self._run, name="classify", daemon=True)
        self._thread.start()

    def __call__(self, views: Sequence[View], then: Callable[[Sequence[View]], None], *, urgent: bool) -> bool:
        """See `ports.Classify`."""
        if not urgent and self._requests.qsize() >= self._waiting_more:
            return False
        try:
            self._requests.put_nowait((_URGENT if urgent else _MORE, next(self._order), (views, then)))
        except queue.Full:
            return False
        return True

    def close(self) -> None:
        """Finish what is asked for, and stop."""
        self._requests.put((_LAST, next(self._order), None))
        self._thread.join(timeout=10)

    def _run(self) -> None:
        while (request := self._requests.get()[2]) is not None:
            views, then = request
            judged = judge_views(self._predictor, views)
            self._post(lambda then=then, judged=judged: then(judged))  # type: ignore[misc]  # bound now, not later
