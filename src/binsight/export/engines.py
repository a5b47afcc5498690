"""What runs an exported network: ONNX Runtime or LiteRT, under one interface."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from binsight.bundle.runtime import import_onnxruntime
from binsight.bundle.session import INPUT_NAME
from binsight.errors import ExportError, MissingExtraError
from binsight.export.micro import as_input
from binsight.export.quiet import quiet
from binsight.extras import needs_extra

__all__ = ["Engine", "Network", "Runtime", "import_runtime", "open_engine"]

Runtime = Literal["onnx", "litert"]
_FATAL_ONLY: Final = 4


class Network(Protocol):
    """Anything that gives the outputs of a bundle's network: an engine, or a Keras model in a function."""

    def __call__(self, images: NDArray[np.uint8], /) -> Mapping[str, NDArray[np.floating]]:
        """Name → output, for `images` `(n, h, w, 3)` uint8 RGB; `logits` `(n, C)` is among them."""


class Engine(Network, Protocol):
    """A network that was opened from a file; not for several threads at a time."""

    names: frozenset[str]
    """Of its outputs."""


def import_runtime(runtime: Runtime) -> Any:
    """The module of a runtime; the first call takes a while.

    Raises:
        MissingExtraError: LiteRT is not installed.
    """
    if runtime == "onnx":
        return import_onnxruntime()
    with needs_extra("LiteRT", "train"):
        from ai_edge_litert import interpreter  # noqa: PLC0415 - an extra
    return interpreter


def open_engine(runtime: Runtime, network: bytes, *, threads: int) -> Engine:
    """Open the content of a `.onnx` or `.tflite` file.

    Args:
        runtime: what runs it.
        network: the file's content; ONNX must be self-contained (see `Bundle.read_model`).
        threads: threads that share the work of one call.

    Raises:
        MissingExtraError: LiteRT is not installed.
        ExportError: the file cannot be opened.
    """
    try:
        return _OnnxEngine(network, threads) if runtime == "onnx" else _LiteRTEngine(network, threads)
    except MissingExtraError:
        raise
    except Exception as error:
        # Both runtimes raise a dozen unrelated types for malformed files.
        raise ExportError(f"the {runtime} file cannot be opened ({' '.join(str(error).split())[:300]})") from error


class _OnnxEngine:
    def __init__(self, network: bytes, threads: int) -> None:
        ort = import_runtime("onnx")
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = _FATAL_ONLY
        self._session: Any = ort.InferenceSession(
            network, options, providers=["CPUExecutionProvider"], enable_fallback=False
        )
        self.names = frozenset(output.name for output in self._session.get_outputs())
        self._wanted = sorted(self.names - {"attention", "features"})  # what predicting needs

    def __call__(self, images: NDArray[np.uint8], /) -> Mapping[str, NDArray[np.floating]]:
        return dict(zip(self._wanted, self._session.run(self._wanted, {INPUT_NAME: images}), strict=True))


class _LiteRTEngine:
    """A LiteRT file; one in integers throughout, as microcontrollers need it, takes pixels less 128, or grey ones."""

    def __init__(self, network: bytes, threads: int) -> None:
        litert = import_runtime("litert")
        with quiet():
            self._interpreter: Any = litert.Interpreter(model_content=network, num_threads=threads)
            self._interpreter.allocate_tensors()
            self._run: Any = self._interpreter.get_signature_runner()
        self._outputs: dict[str, Any] = self._run.get_output_details()
        self.names = frozenset(self._outputs)
        ((self._input, details),) = self._run.get_input_details().items()
        self._channels = int(details["shape"][3]) if details["dtype"] == np.int8 else None

    def __call__(self, images: NDArray[np.uint8], /) -> Mapping[str, NDArray[np.floating]]:
        given = images if self._channels is None else as_input(images, self._channels)
        # The files are made for one photo at a time.
        rows = [self._run(**{self._input: image[None]}) for image in given]
        return {name: self._real(name, np.concatenate([row[name] for row in rows])) for name in sorted(self.names)}

    def _real(self, name: str, values: NDArray[Any]) -> NDArray[np.floating]:
        """Integers as the numbers they stand for."""
        if values.dtype != np.int8:
            return values
        scale, zero = self._outputs[name]["quantization"]
        real: NDArray[np.float32] = (values.astype(np.float32) - zero) * np.float32(scale)
        return real
