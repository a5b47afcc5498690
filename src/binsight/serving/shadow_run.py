"""One model in the shadow of the one that answers: what it says of the same photos."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from binsight.errors import BinsightError, BundleError, ImageError, OutputError
from binsight.imaging import ImageLimits, PreprocessSpec, prepare_photo, resize_image
from binsight.loop.comparing import GONE, WINDOW, Compared, Comparison, Standing
from binsight.loop.queue import Queue
from binsight.loop.sampling import draw
from binsight.predictor import Predictor
from binsight.serving.keeping import Keeper, Kept, Upload
from binsight.serving.models import LoadedModel

__all__ = ["Result", "ShadowRun"]

Result = Literal["agree", "differ", "again", "failed", "unlabelled", "dropped"]
_log = logging.getLogger("binsight.serving")
_MOST_OPEN: Final = 200  # more that wait for labels would not count before these do
_MOST_FAILURES: Final = 5  # one after the other
_TIMED_EVERY: Final = 20  # after the first 200
_BURST_S: Final = 60.0
_BURST_CELLS: Final = 8
_BURST_DIFFERENCE: Final = 16  # of 255, in one of 64 cells; noise of a camera that stands still stays below


class ShadowRun:
    """A comparison that goes on, of the `model` in the shadow with that which `served` gives."""

    def __init__(
        self, comparison: Comparison, model: LoadedModel, served: Callable[[], LoadedModel], limits: ImageLimits
    ) -> None:
        self.comparison, self.trial, self.model = comparison, comparison.trial, model
        self.standing: Standing = comparison.standing()
        self.times_s: deque[tuple[float, float]] = deque(maxlen=WINDOW)
        self._served, self._limits = served, limits
        self._unwritten: deque[Compared] = deque()
        self._bursts = _Bursts()
        self._failures, self._seen = 0, 0

    def takes(self, queue: Queue, pixels: str) -> bool:
        """Whether a photo is in its share, by the hash of its pixels."""
        return draw(queue.key, "shadow", pixels, self.trial.share)

    @property
    def is_full(self) -> bool:
        """Whether more photos would be of no use before people have labelled."""
        return self.standing.open >= _MOST_OPEN

    @property
    def fault(self) -> str | None:
        """Why the model in the shadow can go on no longer."""
        return "the network fails on photos" if self._failures >= _MOST_FAILURES else None

    def look(self, kept: Kept, keeper: Keeper) -> Result:
        """Let the model look at a photo; where the two differ, it is kept for people to label."""
        if self.is_full:
            return "unlabelled"
        if self.comparison.has(kept.pixels):
            return "again"
        try:
            inputs = _prepare(kept.photo, self.model.narrow.spec, self._limits)
        except ImageError:  # its decoder takes what this one, at another size, does not
            return "failed"
        if self._bursts.has(inputs):
            return "again"
        named, has_failed = self._name(inputs)
        self._time(kept.photo, inputs)
        old, new = kept.prediction.category, named
        if self.trial.kind == "watch":
            old, new = new, old
        if old == new:
            self._unwritten.append(Compared(kept.pixels))
            self._failures = 0
            return "agree"
        try:
            item = keeper.put(kept, is_disagreement=True)
        except BinsightError as error:
            _log.error("a photo on which two models differ could not be kept: %s", error)
            item = GONE
        if item is not None:  # its sender has not had it deleted
            self._unwritten.append(Compared(kept.pixels, item, old, new))
        self._failures = self._failures + 1 if has_failed else 0  # last: what counts as a fault is to be written then
        return "failed" if has_failed else "differ"

    def write(self) -> None:
        """Write down what was seen since the last time.

        Raises:
            OutputError: it cannot be written; it is tried again the next time.
        """
        if found := [self._unwritten.popleft() for _ in range(len(self._unwritten))]:
            try:
                self.comparison.add(found)
            except OutputError:
                self._unwritten.extendleft(reversed(found))
                raise

    def update(self) -> Standing:
        """Read how it stands."""
        self.standing = self.comparison.standing()
        return self.standing

    def _name(self, inputs: NDArray[np.uint8]) -> tuple[str, bool]:
        """The class that the model names, empty where it fails; and whether it has failed."""
        engine = self.model.narrow
        try:
            return engine.interpret(engine.run(inputs))[0].category, False
        except BundleError:
            return "", True

    def _time(self, photo: Upload, inputs: NDArray[np.uint8]) -> None:
        """Time both models in turn on this thread: what runs beside it, or how they answer, makes no difference."""
        self._seen += 1
        if self.trial.kind != "watch" or (len(self.times_s) == WINDOW and self._seen % _TIMED_EVERY):
            return
        served = self._served().narrow
        own = _prepare(photo, served.spec, self._limits)
        works = [(served, own), (self.model.narrow, inputs)]
        try:
            spent = {id(engine): _time_run(engine, x) for engine, x in works[:: 1 if self._seen % 2 else -1]}
        except BundleError:
            return
        self.times_s.append((spent[id(self.model.narrow)], spent[id(served)]))


class _Bursts:
    """Photos of the last minute, small: several of the same thing, taken in a row, count as one."""

    def __init__(self) -> None:
        self._recent: deque[tuple[float, NDArray[np.int16]]] = deque(maxlen=64)

    def has(self, inputs: NDArray[np.uint8]) -> bool:
        """Whether a photo looks like one of the last minute; it is one of them then."""
        size = (_BURST_CELLS, _BURST_CELLS)
        cells = np.asarray(Image.fromarray(inputs[0]).resize(size, Image.Resampling.BOX), np.int16)
        now = time.monotonic()
        found = any(
            now - at < _BURST_S and np.abs(cells - other).max() < _BURST_DIFFERENCE for at, other in self._recent
        )
        self._recent.append((now, cells))
        return found


def _prepare(photo: Upload, spec: PreprocessSpec, limits: ImageLimits) -> NDArray[np.uint8]:
    if isinstance(photo, bytes):
        return prepare_photo(photo, spec, limits=limits)[None]
    return resize_image(photo, spec)[None]


def _time_run(engine: Predictor, inputs: NDArray[np.uint8]) -> float:
    begin = time.thread_time()
    engine.run(inputs)
    return time.thread_time() - begin
