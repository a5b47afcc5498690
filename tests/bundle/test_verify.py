"""`verify_bundle` says what is wrong with any bundle, and in which file."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from onnx import TensorProto, helper
from tests.bundle.corrupt import files_of, patch_zip, read_zip, write_raw, write_zip
from tests.bundle.test_graph import PLACES
from tests.tiny_bundle import tiny_bundle, tiny_files, tiny_manifest, tiny_model

from binsight.bundle import Fault, verify_bundle, write_bundle
from binsight.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    import onnx

EVERY_FILE = ("bundle.json", "card.md", "model.int8.onnx", "model.onnx", "model.tflite")


def full_bundle(path: Path) -> Path:
    """Write a bundle with optional files."""
    network = tiny_model().SerializeToString()
    return tiny_bundle(path, model__int8__onnx=network, model__tflite=b"TFL3")


@pytest.mark.parametrize("form", ["folder", "it.zip"])
def test_sound_bundle_has_no_fault(tmp_path: Path, form: str) -> None:
    """A bundle as it was written has no fault."""
    assert verify_bundle(full_bundle(tmp_path / form)) == []


@pytest.mark.parametrize("form", ["folder", "it.zip"])
@pytest.mark.parametrize("name", EVERY_FILE)
def test_one_changed_byte_is_blamed_on_its_file(tmp_path: Path, form: str, name: str) -> None:
    """One byte changed anywhere in one file is found, and only that file is named."""
    files = files_of(full_bundle(tmp_path / "sound"))
    size = len(files[name])
    for position in (0, size // 2, size - 1):
        data = bytearray(files[name])
        data[position] ^= 1
        path = write_raw(tmp_path / form, {**files, name: bytes(data)})
        assert [fault.file for fault in verify_bundle(path)] == [name]


@pytest.mark.parametrize("form", ["folder", "it.zip"])
@pytest.mark.parametrize("name", EVERY_FILE)
def test_missing_file_is_named(tmp_path: Path, form: str, name: str) -> None:
    """A file that is gone is named as missing."""
    files = files_of(full_bundle(tmp_path / "sound"))
    del files[name]
    faults = verify_bundle(write_raw(tmp_path / form, files))
    assert [(fault.file, fault.message.split()[0]) for fault in faults] == [(name, "missing")]


@pytest.mark.parametrize("form", ["folder", "it.zip"])
def test_all_faults_are_reported(tmp_path: Path, form: str) -> None:
    """Several faults are all reported: an altered file, a missing one, one of another size, and one too many."""
    files = files_of(full_bundle(tmp_path / "sound"))
    files |= {"card.md": b"", "model.tflite": b"TFL9", "extra.bin": b"x"}
    del files["model.int8.onnx"]
    faults = {fault.file: fault.message for fault in verify_bundle(write_raw(tmp_path / form, files))}
    assert faults.keys() == {"card.md", "model.tflite", "extra.bin", "model.int8.onnx"}
    assert faults["card.md"].endswith("bytes, got 0")
    assert faults["model.tflite"].startswith("altered")
    assert faults["model.int8.onnx"].startswith("missing")
    assert faults["extra.bin"] == "the manifest does not list it"


def test_hidden_file_is_none_of_its_business(bundle: Path) -> None:
    """Hidden files, which systems leave in folders, are not reported."""
    (bundle / ".DS_Store").write_bytes(b"x")
    assert verify_bundle(bundle) == []


def test_folder_inside_is_reported(bundle: Path) -> None:
    """A folder inside a bundle is reported: there are no sub-folders."""
    (bundle / "checkpoints").mkdir()
    assert verify_bundle(bundle) == [Fault("checkpoints", "the manifest does not list it")]


def test_path_may_be_text(bundle: Path) -> None:
    """A path given as text is as good as a `Path`."""
    assert verify_bundle(str(bundle)) == []


@pytest.mark.parametrize("content", [b"", b"hello\n", b"PK"])
def test_other_file_is_a_fault(tmp_path: Path, content: bytes) -> None:
    """An empty file or a text in the place of a bundle is a fault of the whole, said once."""
    (tmp_path / "notes.txt").write_bytes(content)
    [fault] = verify_bundle(tmp_path / "notes.txt")
    assert fault.file is None
    assert fault.message.startswith("expected a folder or a zip file")
    assert "notes.txt" not in fault.message


def test_folder_without_manifest_is_a_fault(tmp_path: Path) -> None:
    """A folder that holds no manifest has that fault, and no other."""
    (tmp_path / "photo.jpg").write_bytes(b"x")
    assert [fault.file for fault in verify_bundle(tmp_path)] == ["bundle.json"]


def test_pipe_is_a_fault(tmp_path: Path) -> None:
    """A pipe in the place of a bundle is a fault; it is not opened."""
    os.mkfifo(tmp_path / "pipe")
    assert [fault.message for fault in verify_bundle(tmp_path / "pipe")] == [
        "expected a folder or a zip file, got a pipe or device"
    ]


@pytest.mark.parametrize("name", ["nothing", "a" * 300, "card.md/x"])
def test_missing_path_is_an_input_error(bundle: Path, name: str) -> None:
    """A path at which nothing is, is the caller's mistake rather than a fault of a bundle."""
    with pytest.raises(InputError, match="no bundle at"):
        verify_bundle(bundle / name)


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
@pytest.mark.parametrize("name", ["model.onnx", "model.int8.onnx"])
def test_external_data_are_a_fault(tmp_path: Path, place: Callable[[onnx.ModelProto], None], name: str) -> None:
    """A network that refers to another file is a fault of its file, though it was sealed correctly."""
    model = tiny_model()
    place(model)
    path = write_bundle(tmp_path / "b", tiny_manifest(), {**tiny_files(), name: model.SerializeToString()})
    [fault] = verify_bundle(path)
    assert fault.file == name
    assert "in another file" in fault.message


def test_garbage_for_a_network_is_a_fault(tmp_path: Path) -> None:
    """Bytes that are no network, though sealed correctly, are a fault of their file."""
    [fault] = verify_bundle(tiny_bundle(tmp_path / "b", b"not a network"))
    assert fault.file == "model.onnx"
    assert "ONNX" in fault.message


def test_unknown_format_number_is_a_fault(bundle: Path) -> None:
    """A bundle of a later format has one fault, in its manifest, with the number."""
    manifest = bundle / "bundle.json"
    manifest.write_bytes(manifest.read_bytes().replace(b'"format": 1', b'"format": 3'))
    [fault] = verify_bundle(bundle)
    assert fault.file == "bundle.json"
    assert fault.message.startswith("expected format 1 or 2, got 3")


def test_link_in_a_zip_is_a_fault(zipped: Path) -> None:
    """A zip with a link has one fault, at the link."""
    patch_zip(zipped, "card.md", external_attr=0o120777 << 16)
    assert [fault.file for fault in verify_bundle(zipped)] == ["card.md"]


def test_wrong_input_type_is_a_fault(tmp_path: Path) -> None:
    """A network that wants floating-point photos is a fault of its file."""
    [fault] = verify_bundle(tiny_bundle(tmp_path / "b", tiny_model(images=TensorProto.FLOAT)))
    assert fault.file == "model.onnx"


def test_every_fault_is_one_line(tmp_path: Path) -> None:
    """A network full of line breaks does not break the report."""
    model = tiny_model()
    model.graph.node.append(helper.make_node("Evil\nOperator", ["cells"], ["x"]))
    for fault in verify_bundle(tiny_bundle(tmp_path / "b", model)):
        assert "\n" not in fault.message


def test_mutated_zips_are_judged_and_never_crash(tmp_path: Path) -> None:
    """300 zips with bytes changed, cut, doubled and moved are each found sound or faulty."""
    sound = tiny_bundle(tmp_path / "sound.zip", manifest=tiny_manifest(training={})).read_bytes()
    chance = random.Random(0)  # noqa: S311
    path, faulty = tmp_path / "mutated.zip", 0
    for _ in range(300):
        path.write_bytes(mutate(sound, chance))
        faulty += verify_bundle(path) != []
    # What a directory says of dates and systems does not matter, so not every mutation is a fault.
    assert faulty > 200


def mutate(data: bytes, chance: random.Random) -> bytes:
    """Return `data` with one to four random changes, half of them where the zip keeps its directory."""
    changed = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        start = max(0, len(changed) - 250) if chance.random() < 0.5 else 0
        position = chance.randrange(start, len(changed))
        length = chance.randint(1, 40)
        match chance.randrange(5):
            case 0 | 1:
                changed[position] = chance.randrange(256)
            case 2:
                del changed[position : position + length]
            case 3:
                changed[position:position] = changed[position : position + length]
            case 4:
                changed[position : position + 4] = b"\xff" * 4
        if len(changed) < 2:
            break
    return bytes(changed)


def test_zip_rewritten_by_another_tool_is_sound(zipped: Path) -> None:
    """The files in another order and compressed are the same bundle."""
    write_zip(zipped, reversed(read_zip(zipped).items()), compression=8)
    assert verify_bundle(zipped) == []
