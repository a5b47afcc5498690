"""The files that a bundle can be exported to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from binsight.bundle import Bundle, write_bundle
from binsight.bundle.container import INT8_NAME, MODEL_NAME
from binsight.bundle.session import open_session
from binsight.errors import MissingExtraError
from binsight.export.engines import Runtime
from binsight.export.quiet import quiet

__all__ = ["FORMATS", "Format", "add_to_bundle", "export_network", "read_network"]


@dataclass(frozen=True, slots=True)
class Format:
    """One kind of file.

    Attributes:
        name: what the command line calls it.
        file: its name inside a bundle.
        suffix: the end of its name outside.
        runtime: what runs it.
        least_same_label: the share of photos that must keep their label.
    """

    name: str
    file: str
    suffix: str
    runtime: Runtime
    least_same_label: float

    @property
    def is_quantised(self) -> bool:
        """Whether photos are needed to calibrate it."""
        return self.name.endswith("-int8")


_FLOAT, _INT8 = 0.999, 0.99

FORMATS: Final[Mapping[str, Format]] = {
    found.name: found
    for found in (
        Format("onnx", MODEL_NAME, ".onnx", "onnx", _FLOAT),
        Format("onnx-int8", INT8_NAME, ".int8.onnx", "onnx", _INT8),
        Format("litert", "model.tflite", ".tflite", "litert", _FLOAT),
        Format("litert-int8", "model.int8.tflite", ".int8.tflite", "litert", _INT8),
    )
}
"""Name → format."""


def export_network(bundle: Bundle, to: Format, calibration: Sequence[NDArray[np.uint8]] = ()) -> bytes:
    """A bundle's network as the content of a file of another format.

    Args:
        bundle: its `model.onnx` is the source.
        to: the format.
        calibration: photos `(h, w, 3)` uint8 of the network's input size; needed for the quantised formats.

    Raises:
        BundleError: the network is missing, altered or does not fit the manifest.
        ExportError: it cannot be converted.
        MissingExtraError: the libraries that convert are not installed.
    """
    open_session(bundle, threads=1)
    network = bundle.read_model()
    if to.name == "onnx":
        return network
    try:
        if to.name == "onnx-int8":
            from binsight.export.onnx_int8 import to_onnx_int8  # noqa: PLC0415 - onnx is an extra

            return to_onnx_int8(network, calibration)
        with quiet():
            from binsight.export.litert import to_litert, to_litert_int8  # noqa: PLC0415 - TensorFlow takes seconds
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == "binsight":
            raise
        raise MissingExtraError(f"exporting to {to.name}", "train") from error
    return to_litert_int8(network, calibration) if to.is_quantised else to_litert(network)


def read_network(bundle: Bundle, kind: Format) -> bytes:
    """The file of a format that a bundle has inside.

    Raises:
        BundleError: it has none, or it was altered.
    """
    if kind.runtime == "onnx":
        return bundle.read_model(kind.file)
    return bundle.read(kind.file)


def add_to_bundle(
    bundle: Bundle, kind: Format, network: bytes, out: Path, *, facts: Mapping[str, Any], overwrite: bool = False
) -> Path:
    """Write a copy of a bundle that has an exported network as well.

    Args:
        bundle: the bundle; it is changed only if it is at `out`.
        kind: the format of `network`.
        network: the file's content.
        out: where the copy goes: a folder, or a zip when it ends in `.zip`.
        facts: what was measured of it; kept in the manifest as `training.exports.FILE`.
        overwrite: replace the bundle at `out`.

    Returns:
        `out`.

    Raises:
        OutputError: `out` exists, or cannot be written.
    """
    manifest = bundle.manifest
    files = {name: bundle.read(name) for name in manifest.files} | {kind.file: network}
    exports = {**manifest.training.get("exports", {}), kind.file: dict(facts)}
    return write_bundle(
        out, replace(manifest, training={**manifest.training, "exports": exports}), files, overwrite=overwrite
    )
