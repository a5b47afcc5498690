"""Whether a bundle's network runs in float or in 8-bit integers: as asked for, or what is faster on this machine."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from typing import Final

import numpy as np

from binsight.bundle import Bundle
from binsight.bundle.container import INT8_NAME
from binsight.errors import InputError
from binsight.predictor.predictor import Precision, Predictor

__all__ = ["choose_precision", "time_in_turns"]

_WARM_UP, _ROUNDS = 3, 15
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
    """The median milliseconds of each for one grey picture.

    All take turns, so that a machine that is busy for a moment slows all of them down alike.
    """
    times: dict[str, list[float]] = {name: [] for name in predictors}
    for number in range(_WARM_UP + _ROUNDS):
        for name, predictor in predictors.items():
            picture = np.full((1, *predictor.spec.size, 3), 127, np.uint8)
            started = time.perf_counter()
            predictor.run(picture)
            if number >= _WARM_UP:
                times[name].append(1000 * (time.perf_counter() - started))
    return {name: statistics.median(values) for name, values in times.items()}
