"""Which of a bundle's networks a machine runs fastest, behind the one predictor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from binsight.bundle import Bundle
from binsight.bundle.container import INT8_NAME, MICRO_NAME, MODEL_NAME
from binsight.bundle.session import INPUT_NAME
from binsight.errors import InputError, MissingExtraError
from binsight.export.engines import Engine, open_engine
from binsight.predictor import Precision, Predictor, time_in_turns

__all__ = ["FILES", "choose_engine", "open_predictor"]

FILES: Final[Mapping[str, str]] = {
    "onnx": MODEL_NAME,
    "onnx-int8": INT8_NAME,
    "litert": "model.tflite",
    "litert-int8": "model.int8.tflite",
    "micro": MICRO_NAME,
}
"""Engine → its file in a bundle. ONNX Runtime runs the first two, LiteRT the others."""


def open_predictor(bundle: Bundle, engine: str, *, threads: int) -> Predictor:
    """A predictor that runs one of the bundle's networks.

    Args:
        bundle: the model.
        engine: a key of `FILES`.
        threads: that share the work of one picture.

    Raises:
        InputError: the bundle has no such file.
        BundleError, ExportError: the file is damaged.
        MissingExtraError: LiteRT is not installed.
    """
    file = FILES[engine]
    if file not in bundle.manifest.files:
        found = ", ".join(name for name in FILES if FILES[name] in bundle.manifest.files)
        raise InputError(
            f"expected an engine that {bundle.manifest.name} has a file for ({found}), got {engine}; "
            f"`binsight export` makes one"
        )
    precision: Precision = "float" if engine in {"onnx", "litert"} else "int8"
    if file.endswith(".onnx"):
        return Predictor(bundle, threads=threads, precision=precision)
    session = _LiteRtSession(open_engine("litert", bundle.read(file), threads=threads))
    return Predictor(bundle, threads=threads, precision=precision, session=session)


def choose_engine(bundle: Bundle, *, threads: int) -> tuple[Predictor, dict[str, float]]:
    """The fastest of the bundle's networks on this machine.

    Returns:
        The predictor, and for each engine that could be tried the median of its milliseconds for one picture.
    """
    candidates: dict[str, Predictor] = {}
    for engine, file in FILES.items():
        if file in bundle.manifest.files:
            try:
                candidates[engine] = open_predictor(bundle, engine, threads=threads)
            except MissingExtraError:
                continue
    medians = time_in_turns(candidates)
    return candidates[min(medians, key=medians.__getitem__)], medians


@dataclass(frozen=True, slots=True)
class _Output:
    name: str


class _LiteRtSession:
    """A LiteRT network with the methods of an ONNX Runtime session that the predictor calls."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def get_outputs(self) -> list[_Output]:
        return [_Output(name) for name in sorted(self._engine.names)]

    def run(self, names: Sequence[str], inputs: Mapping[str, NDArray[np.uint8]]) -> list[NDArray[Any]]:
        found = self._engine(inputs[INPUT_NAME])
        return [np.asarray(found[name], np.float32) for name in names]
