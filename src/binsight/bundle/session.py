"""A bundle's network, opened in ONNX Runtime, with inputs and outputs checked against the manifest."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from binsight.bundle.container import MODEL_NAME
from binsight.bundle.runtime import import_onnxruntime
from binsight.errors import BundleError

if TYPE_CHECKING:
    from binsight.bundle.bundle import Bundle
    from binsight.bundle.manifest import Manifest

__all__ = ["INPUT_NAME", "open_session", "run_session"]

INPUT_NAME = "images"
_UINT8, _FLOAT = "tensor(uint8)", "tensor(float)"
_FATAL_ONLY = 4

# None stands for any size.
_Shape = tuple[int | None, ...]


class _TensorInfo(Protocol):
    """What ONNX Runtime says of an input or output."""

    name: str
    type: str
    shape: list[int | str | None]


def open_session(bundle: Bundle, *, threads: int, model: str = MODEL_NAME) -> Any:
    """Open the network of a bundle for inference on the CPU.

    Args:
        bundle: where it is.
        threads: threads that share the work of one call, at least 1. With 1 the calling thread does all of it, so
            several threads may call one session at a time and each gets a core of its own.
        model: which of the bundle's ONNX files.

    Returns:
        An `onnxruntime.InferenceSession`; its `run` may be called from several threads.

    Raises:
        BundleError: missing, altered, with external data, not loadable, or of the wrong shape.
    """
    ort = import_onnxruntime()
    data = bundle.read_model(model)
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # What the runtime would log is in the error it raises.
    options.log_severity_level = _FATAL_ONLY
    # ONNX Runtime would take a file of its own, other format for what it is; only ONNX has been looked into.
    options.add_session_config_entry("session.load_model_format", "ONNX")
    try:
        # Its fallback prints to standard output, and tries the same again.
        session = ort.InferenceSession(data, options, providers=["CPUExecutionProvider"], enable_fallback=False)
        faults = _shape_faults(bundle.manifest, session.get_inputs(), session.get_outputs())
    except Exception as error:
        # ONNX Runtime raises a dozen unrelated types for malformed models.
        raise BundleError(f"ONNX Runtime cannot load it ({_one_line(error)})", file=model) from error
    if faults:
        raise BundleError("; ".join(faults), file=model)
    return session


def run_session(
    session: Any, inputs: NDArray[np.uint8], names: Sequence[str], *, classes: int
) -> dict[str, NDArray[np.float32]]:
    """What the network gives for `inputs`, made sure to be what a bundle's network may give.

    Args:
        session: as `open_session` gives it.
        inputs: `(n, h, w, 3)` uint8 RGB of the network's input size.
        names: the outputs wanted; the network has them all.
        classes: how many classes the taxonomy has.

    Returns:
        Name → float32 array, in the shape of the format's table.

    Raises:
        BundleError: the network fails, or an output has another shape than it stated or is not finite.
    """
    try:
        values = dict(zip(names, session.run(names, {INPUT_NAME: inputs}), strict=True))
    except Exception as error:
        raise BundleError(f"the network fails on this photo ({_one_line(error)})", file=MODEL_NAME) from error
    shapes = _output_shapes(classes)
    for name, value in values.items():
        if not _fits(value.shape, (len(inputs), *shapes[name][1:])):
            raise BundleError(f"output {name!r} has the shape {value.shape}, not the one stated", file=MODEL_NAME)
        # Unfamiliarity that is no number sends the photo to review; all else would pass for an answer.
        if name != "unfamiliarity" and not np.isfinite(value).all():
            raise BundleError(f"output {name!r} is not a finite number", file=MODEL_NAME)
    return values


def _output_shapes(classes: int) -> dict[str, _Shape]:
    return {
        "logits": (None, classes),
        "attention": (None, None, None, classes),
        "biodegradable_logit": (None, 1),
        "features": (None, None),
        "unfamiliarity": (None, 1),
    }


def _shape_faults(manifest: Manifest, inputs: Sequence[_TensorInfo], outputs: Sequence[_TensorInfo]) -> list[str]:
    shapes = _output_shapes(len(manifest.taxonomy))
    required = {"logits", "attention"}
    if manifest.taxonomy.has_biodegradability:
        required.add("biodegradable_logit")
    else:
        del shapes["biodegradable_logit"]
    if manifest.review.unfamiliarity is not None:
        required.add("unfamiliarity")
    size = {INPUT_NAME: (None, *manifest.preprocess.size, 3)}
    faults = _tensor_faults("input", inputs, size, {INPUT_NAME}, _UINT8)
    return faults + _tensor_faults("output", outputs, shapes, required, _FLOAT)


def _tensor_faults(
    what: str, tensors: Sequence[_TensorInfo], known: Mapping[str, _Shape], required: Collection[str], dtype: str
) -> list[str]:
    by_name = {tensor.name: tensor for tensor in tensors}
    faults = [f"{what} {name!r} is missing" for name in known if name in required and name not in by_name]
    faults += [f"{what} {name!r} is unknown" for name in by_name if name not in known]
    for name in known:
        if name not in by_name:
            continue
        shape = by_name[name].shape
        has_free_batch = bool(shape) and not isinstance(shape[0], int)
        if by_name[name].type != dtype or not has_free_batch or not _fits(shape, known[name]):
            want = tuple("any" if size is None else size for size in known[name])
            faults.append(
                f"{what} {name!r}: expected {dtype} {want} with a free batch, got {by_name[name].type} {shape}"
            )
    return faults


def _fits(shape: Sequence[int | str | None], expected: _Shape) -> bool:
    return len(shape) == len(expected) and all(
        want is None or got == want for got, want in zip(shape, expected, strict=True)
    )


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
