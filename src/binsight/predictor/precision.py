"""Whether a bundle's network runs in float or in 8-bit integers: as asked for, or what is faster on this machine."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final

import numpy as np

from binsight.bundle import Bundle
from binsight.bundle.container import INT8_NAME
from binsight.errors import InputError
from binsight.predictor.predictor import Precision, Predictor

__all__ = ["choose_precision", "time_in_turn", "time_in_turns"]

_WARM_UP, _ROUNDS = 5, 15
_WORTH: Final = 0.95  # of float's time: integers that save less are not worth a rounded answer


def choose_precision(bundle: Bundle, wanted: str) -> tuple[Precision, Mapping[str, float]]:
    """What to run.

    Args:
        bundle: the model.
        wanted: `float`, `int8`, or `auto`: where the bundle has both this measures, and takes integers where they need
            at most 95 % of the time of float.

    Returns:
        The precision, and the milliseconds for one picture on one core of each that was measured; none where nothing
        had to be.

    Raises:
        InputError: integers are asked for, and the bundle has no such network.
        BundleError: a network is damaged.
    """
    has_both = INT8_NAME in bundle.manifest.files
    if wanted == "int8" and not has_both:
        raise InputError(
            f"{bundle.label} has no {INT8_NAME}; `binsight export {bundle.path} --to onnx-int8 --photos DIR "
            "--into-bundle --out BUNDLE` makes a bundle that has one"
        )
    if wanted != "auto" or not has_both:
        return ("int8" if wanted == "int8" else "float"), {}
    both: dict[str, Predictor] = {
        "float": Predictor(bundle, threads=1),
        "int8": Predictor(bundle, threads=1, precision="int8"),
    }
    times = time_in_turns(both)
    return ("int8" if times["int8"] <= _WORTH * times["float"] else "float"), times


def time_in_turns(predictors: Mapping[str, Predictor]) -> dict[str, float]:
    """The median milliseconds of each for one grey picture; see `time_in_turn`."""
    greys = [np.full((1, *predictor.spec.size, 3), 127, np.uint8) for predictor in predictors.values()]
    runs = [partial(predictor.run, grey) for predictor, grey in zip(predictors.values(), greys, strict=True)]
    return dict(zip(predictors, time_in_turn(runs, rounds=_ROUNDS), strict=True))


def time_in_turn(runs: Sequence[Callable[[], object]], *, rounds: int = 30) -> list[float]:
    """Median milliseconds of each run, taken in turn: what else the machine does slows all of them alike."""
    times: list[list[float]] = [[] for _ in runs]
    for _ in range(_WARM_UP + rounds):
        for own, run in zip(times, runs, strict=True):
            begin = time.perf_counter()
            run()
            own.append(1000 * (time.perf_counter() - begin))
    return [statistics.median(own[_WARM_UP:]) for own in times]
