"""A bundle's network, opened in ONNX Runtime, with inputs and outputs checked against the manifest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from binsight.bundle.container import MODEL_NAME
from binsight.errors import BundleError

if TYPE_CHECKING:
    from binsight.bundle.bundle import Bundle
    from binsight.bundle.manifest import Manifest

__all__ = ["INPUT_NAME", "open_session"]

INPUT_NAME = "images"
_UINT8, _FLOAT = "tensor(uint8)", "tensor(float)"
_FATAL_ONLY = 4


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
    import onnxruntime as ort  # noqa: PLC0415 - takes 0.1 s, and describing a bundle does not need it

    data = bundle.read_model(model)
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # What the runtime would log is in the error it raises.
    options.log_severity_level = _FATAL_ONLY
    try:
        session = ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        # ONNX Runtime raises a dozen unrelated types for malformed models.
        raise BundleError(f"ONNX Runtime cannot load it ({' '.join(str(error).split())[:300]})", file=model) from error
    if faults := _shape_faults(bundle.manifest, session.get_inputs(), session.get_outputs()):
        raise BundleError("; ".join(faults), file=model)
    return session


def _shape_faults(manifest: Manifest, inputs: Sequence[_TensorInfo], outputs: Sequence[_TensorInfo]) -> list[str]:
    classes = len(manifest.taxonomy)
    expected_outputs: dict[str, tuple[int | None, ...]] = {
        "logits": (None, classes),
        "attention": (None, None, None, classes),
    }
    optional: dict[str, tuple[int | None, ...]] = {"features": (None, None), "unfamiliarity": (None, 1)}
    if manifest.taxonomy.has_biodegradability:
        expected_outputs["biodegradable_logit"] = (None, 1)
    if manifest.review.unfamiliarity is not None:
        expected_outputs["unfamiliarity"] = optional.pop("unfamiliarity")

    faults = _tensor_faults("input", inputs, {INPUT_NAME: (None, *manifest.preprocess.size, 3)}, {}, _UINT8)
    return faults + _tensor_faults("output", outputs, expected_outputs, optional, _FLOAT)


def _tensor_faults(
    what: str,
    tensors: Sequence[_TensorInfo],
    expected: dict[str, tuple[int | None, ...]],
    optional: dict[str, tuple[int | None, ...]],
    dtype: str,
) -> list[str]:
    """`None` in an expected shape stands for any size; the first axis, the batch, must be free."""
    by_name = {tensor.name: tensor for tensor in tensors}
    known = {**optional, **expected}
    faults = [f"{what} {name!r} is missing" for name in expected if name not in by_name]
    faults += [f"{what} {name!r} is unknown" for name in by_name if name not in known]
    for name in known.keys() & by_name.keys():
        shape = by_name[name].shape
        fits = len(shape) == len(known[name]) and not isinstance(shape[0], int)
        fits = fits and all(want is None or got == want for got, want in zip(shape, known[name], strict=False))
        if by_name[name].type != dtype or not fits:
            want = tuple("any" if size is None else size for size in known[name])
            faults.append(
                f"{what} {name!r}: expected {dtype} {want} with a free batch, got {by_name[name].type} {shape}"
            )
    return faults
