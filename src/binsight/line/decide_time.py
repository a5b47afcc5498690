"""How long this machine takes to find a piece and say what it is."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from binsight.line.detect import Detector
from binsight.line.records import Frame
from binsight.line.simulate.plan import plan_pieces
from binsight.line.simulate.scene import Scene
from binsight.predictor import Predictor

__all__ = ["measure_decide_ms"]

_TIMES = 20
_VIEWS_IN_LINE = 2  # at the trigger line the last view, and one of another piece before it, may wait for the network


def measure_decide_ms(predictor: Predictor) -> float:
    """The longest of some tries at what deciding takes, in milliseconds of wall time: one frame and two views.

    Args:
        predictor: the model, with the threads that the line gives it.
    """
    rng = np.random.default_rng(0)
    photos = [rng.integers(0, 255, (200, 150, 3), dtype=np.uint8)]
    pieces = plan_pieces(pieces=3, photos=1, spacing_mm=200, start_mm=6000, rng=rng)
    scene = Scene(photos, pieces, rng=rng)
    detector = Detector(field_mm=600)
    detector.learn(scene.render(100.0 * i) for i in range(16))
    frames = [Frame(scene.render(6200.0 + 5 * i), 0.0, i) for i in range(_TIMES)]
    finding = max(_milliseconds(lambda frame=frame: detector.find(frame, 0.0)) for frame in frames)  # type: ignore[misc]  # bound now
    view = frames[0].image[:200, :200]
    predictor.predict_images([view])  # the first is slower
    classifying = max(_milliseconds(lambda: predictor.predict_images([view])) for _ in range(_TIMES))
    return finding + _VIEWS_IN_LINE * classifying


def _milliseconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return 1000 * (time.perf_counter() - began)
