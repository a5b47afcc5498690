"""Weights of backbones as safetensors files: kernels float16, all else float32, keyed `layer/variable`.

The file's metadata says which backbone it is of. The same format is that of `backbone.safetensors` in a model bundle
(`docs/bundle-format.md`) and of the files in a folder of weights. Reading one runs no code from it.

References:
    https://github.com/huggingface/safetensors (the format).
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from binsight.bundle import Bundle, load_bundle
from binsight.errors import WeightsError

if TYPE_CHECKING:
    import keras

__all__ = [
    "BACKBONE_FILE",
    "bundled_backbone",
    "find_safetensors",
    "load_from_bundle",
    "load_safetensors",
    "named_variables",
    "write_backbone_safetensors",
]

BACKBONE_FILE: Final = "backbone.safetensors"
_NAME_KEY: Final = "backbone"  # in the metadata
_MAX_FAULTS: Final = 5
_NUMBERED: Final = re.compile(r"variable(_\d+)?")
_DTYPES: Final[dict[str, np.dtype[Any]]] = {"F16": np.dtype("<f2"), "F32": np.dtype("<f4")}


def write_backbone_safetensors(name: str, model: keras.Model) -> bytes:
    """Return the weights of a backbone as a safetensors file; the same weights give the same bytes.

    Args:
        name: the backbone's name in the registry.
        model: what `Backbone.build` returned, trained or not.

    Raises:
        WeightsError: a weight is not finite, or a kernel too large for float16.
    """
    from safetensors.numpy import save  # noqa: PLC0415 - an extra

    tensors = {}
    for key, variable in named_variables(model).items():
        with np.errstate(over="ignore"):
            array = np.asarray(variable).astype(np.float16 if len(variable.shape) > 1 else np.float32)
        if not np.isfinite(array).all():
            raise WeightsError(f"{key} has values that are not finite or too large for {array.dtype}")
        tensors[key] = np.ascontiguousarray(array)
    return save(tensors, metadata={_NAME_KEY: name})


def find_safetensors(name: str, weights_dir: Path | None) -> Path | None:
    """Return the file of a backbone in a folder of weights, `NAME.safetensors` or `NAME_*.safetensors`, or None.

    Raises:
        WeightsError: the folder is not there, or several files would do.
    """
    if weights_dir is None:
        return None
    if not weights_dir.is_dir():
        raise WeightsError(f"no folder of weights at {weights_dir}")
    exact = weights_dir / f"{name}.safetensors"
    found = [exact] if exact.is_file() else sorted(weights_dir.glob(f"{name}_*.safetensors"))
    if len(found) > 1:
        raise WeightsError(f"{weights_dir} has several weights of {name}: rename the right one to {exact.name}")
    return found[0] if found else None


def load_safetensors(path: Path, model: keras.Model) -> None:
    """Give a model the weights of a file.

    Raises:
        WeightsError: the file is not readable, or has not exactly the tensors of the model.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise WeightsError(f"{path}: the weights cannot be read: {error.strerror}") from error
    _assign(model, _parse(data, str(path))[0], str(path))


def bundled_backbone(bundle: Bundle) -> str:
    """Return the name of the backbone whose weights a model bundle holds.

    Raises:
        WeightsError: it holds none, or does not say of which.
    """
    if BACKBONE_FILE not in bundle.manifest.files:
        raise WeightsError(
            f"{bundle.path}: the bundle has no {BACKBONE_FILE} to train on from, only the network for predicting; fit "
            "heads on that with --preset fast, or train from ImageNet's weights, as with --backbone efficientnet_lite0"
        )
    name = _parse(bundle.read(BACKBONE_FILE), f"{bundle.path}: {BACKBONE_FILE}")[1].get(_NAME_KEY)
    if name is None:
        raise WeightsError(f"{bundle.path}: {BACKBONE_FILE} does not say which backbone it is of")
    return name


def load_from_bundle(path: Path, model: keras.Model) -> None:
    """Give a model the weights in a bundle.

    Raises:
        InputError: there is no bundle.
        BundleError: it was altered.
        WeightsError: it has no weights, or those of another network.
    """
    bundle = load_bundle(path)
    bundled_backbone(bundle)
    where = f"{path}: {BACKBONE_FILE}"
    _assign(model, _parse(bundle.read(BACKBONE_FILE), where)[0], where)


def _parse(data: bytes, where: str) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """Return the tensors and the metadata of a file; the library checks the header before anything is used."""
    from safetensors import SafetensorError, deserialize  # noqa: PLC0415 - an extra

    try:
        found = deserialize(data)  # type: ignore[no-untyped-call]
    except SafetensorError as error:
        raise WeightsError(f"{where}: no readable safetensors file: {error}") from error
    if foreign := sorted({entry["dtype"] for _, entry in found} - _DTYPES.keys()):
        raise WeightsError(f"{where}: expected weights of type F16 or F32, got {', '.join(foreign)}")
    tensors = {
        name: np.frombuffer(entry["data"], _DTYPES[entry["dtype"]]).reshape(entry["shape"]) for name, entry in found
    }
    (length,) = struct.unpack_from("<Q", data)
    return tensors, json.loads(data[8 : 8 + length]).get("__metadata__", {})


def _assign(model: keras.Model, tensors: Mapping[str, NDArray[Any]], where: str) -> None:
    variables = named_variables(model)
    faults = [f"{key} is missing" for key in variables if key not in tensors]
    faults += [f"{key} is left over" for key in tensors if key not in variables]
    for key in variables.keys() & tensors.keys():
        array, shape = tensors[key], tuple(variables[key].shape)
        if array.shape != shape:
            faults.append(f"{key} has shape {array.shape}, not {shape}")
        elif not np.isfinite(array).all():
            faults.append(f"{key} has values that are not finite")
    if faults:
        more = f"; and {len(faults) - _MAX_FAULTS} more" if len(faults) > _MAX_FAULTS else ""
        raise WeightsError(f"{where}: the weights do not fit: {'; '.join(faults[:_MAX_FAULTS])}{more}")
    for key, variable in variables.items():
        variable.assign(tensors[key].astype(np.float32))


def named_variables(model: keras.Model) -> dict[str, keras.Variable]:
    """Return the weights of a backbone by `layer/variable`, in their order; the names are the same in every process."""
    return {f"{layer.name}/{_name(layer, weight)}": weight for layer in model.layers for weight in layer.weights}


def _name(layer: keras.Layer, variable: keras.Variable) -> str:
    """Return a variable's name, or that of the layer's attribute where Keras only numbered it."""
    if not _NUMBERED.fullmatch(variable.name):
        return str(variable.name)
    return str(next(name for name, value in vars(layer).items() if value is variable))
