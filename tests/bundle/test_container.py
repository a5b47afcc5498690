"""Folders and zips that hold something else than the files of a bundle."""

from __future__ import annotations

import os
import stat
import struct
import tracemalloc
import zipfile
from typing import TYPE_CHECKING

import pytest
from tests.bundle.corrupt import files_of, local_header, patch_zip, read_zip, write_zip
from tests.tiny_bundle import CARD

from binsight.bundle import FileEntry, load_bundle
from binsight.bundle.container import open_container
from binsight.errors import BundleError, InputError

if TYPE_CHECKING:
    from pathlib import Path

MODEL = "model.onnx"


class TestFileEntry:
    def test_entry_of_known_bytes(self) -> None:
        """The entry of "abc" has its 3 bytes and the SHA-256 that FIPS 180-2 gives for it."""
        digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        assert FileEntry.of(b"abc") == FileEntry(digest, 3)

    @pytest.mark.parametrize(
        ("data", "fault"), [(b"abcd", "x: expected 3 bytes, got 4"), (b"abd", "x: altered: .*sha256 in the manifest")]
    )
    def test_other_bytes_are_refused(self, data: bytes, fault: str) -> None:
        """Bytes of another size or content than the entry's are refused, with the name of the file."""
        with pytest.raises(BundleError, match=fault):
            FileEntry.of(b"abc").check("x", data)


class TestBoth:
    @pytest.fixture(params=["bundle", "zipped"])
    def path(self, request: pytest.FixtureRequest) -> Path:
        """Return a sound bundle, once as a folder and once as a zip."""
        found: Path = request.getfixturevalue(request.param)
        return found

    def test_files_are_the_same(self, path: Path) -> None:
        """A folder and a zip give the same names, sizes and contents."""
        container = open_container(path)
        assert container.names() == ["bundle.json", "card.md", "model.onnx"]
        assert container.size("card.md") == len(CARD)
        assert container.read("card.md") == CARD

    def test_missing_file_is_named(self, path: Path) -> None:
        """Asking for a file that is not there gives its name."""
        container = open_container(path)
        for ask in (container.size, container.read):
            with pytest.raises(BundleError, match=r"nothing.bin: missing") as caught:
                ask("nothing.bin")
            assert caught.value.file == "nothing.bin"

    def test_only_listed_files_are_read(self, path: Path) -> None:
        """A bundle gives no file that its manifest does not list, not even the manifest."""
        with pytest.raises(BundleError, match=r"bundle.json: the manifest does not list it"):
            load_bundle(path).read("bundle.json")


class TestPath:
    @pytest.mark.parametrize("name", ["nothing", "no/such/folder", "a" * 300, "nul\0", "x" * 5000])
    def test_path_that_is_not_there_is_an_input_error(self, tmp_path: Path, name: str) -> None:
        """A path at which nothing is, or can be, is reported as a missing input."""
        with pytest.raises(InputError, match="no bundle at"):
            open_container(tmp_path / name)

    @pytest.mark.parametrize(
        "content", [b"", b"hello\n", b"PK\x03\x04", b"\x89PNG\r\n\x1a\n", b"PK\x05\x06" + b"\xff" * 18]
    )
    def test_other_file_is_refused(self, tmp_path: Path, content: bytes) -> None:
        """A file that is no zip is refused with what was expected."""
        (tmp_path / "notes.txt").write_bytes(content)
        with pytest.raises(BundleError, match="expected a folder or a zip file"):
            open_container(tmp_path / "notes.txt")

    def test_pipe_is_refused_and_not_opened(self, tmp_path: Path) -> None:
        """A pipe in the place of a bundle is refused; opening it would wait for ever."""
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(BundleError, match="got a pipe or device"):
            open_container(tmp_path / "pipe")

    def test_device_is_refused_and_not_read(self, tmp_path: Path) -> None:
        """A device that never ends is refused."""
        (tmp_path / "zero").symlink_to("/dev/zero")
        with pytest.raises(BundleError, match="got a pipe or device"):
            open_container(tmp_path / "zero")


class TestFolder:
    def test_folder_in_place_of_a_file_is_refused(self, bundle: Path) -> None:
        """A folder that has the name of a file is refused."""
        (bundle / MODEL).unlink()
        (bundle / MODEL).mkdir()
        with pytest.raises(BundleError, match=r"model.onnx: expected a regular file"):
            load_bundle(bundle).read(MODEL)

    def test_pipe_in_place_of_a_file_is_refused(self, bundle: Path) -> None:
        """A pipe that has the name of a file is refused; opening it would wait for ever."""
        (bundle / MODEL).unlink()
        os.mkfifo(bundle / MODEL)
        with pytest.raises(BundleError, match=r"model.onnx: expected a regular file"):
            load_bundle(bundle).read(MODEL)

    def test_link_to_nowhere_is_missing(self, bundle: Path) -> None:
        """A link that leads nowhere counts as a missing file."""
        (bundle / MODEL).unlink()
        (bundle / MODEL).symlink_to("nowhere")
        with pytest.raises(BundleError, match=r"model.onnx: missing or unreadable \(No such file"):
            load_bundle(bundle).read(MODEL)

    def test_link_to_the_content_is_followed(self, bundle: Path, tmp_path: Path) -> None:
        """A link is followed, as in a store that keeps one copy of each file: the digest says what it must hold."""
        (bundle / "card.md").rename(tmp_path / "blob")
        (bundle / "card.md").symlink_to(tmp_path / "blob")
        assert load_bundle(bundle).read("card.md") == CARD

    def test_size_is_compared_before_reading(self, bundle: Path) -> None:
        """A file far larger than its entry is refused without being read."""
        with (bundle / MODEL).open("r+b") as file:
            file.truncate(1 << 40)  # a hole: it takes no space
        with pytest.raises(BundleError, match=r"model.onnx: expected 1?,?\d+ bytes, got 1,099,511,627,776"):
            load_bundle(bundle).read(MODEL)

    def test_manifest_too_large_is_not_read(self, bundle: Path) -> None:
        """A manifest above 1 MiB is refused by its size."""
        with (bundle / "bundle.json").open("r+b") as file:
            file.truncate(1 << 40)
        with pytest.raises(BundleError, match=r"bundle.json: expected at most 1,048,576 bytes"):
            load_bundle(bundle)


class TestZip:
    @pytest.mark.parametrize(
        "name",
        [
            *("../x", "/x", "/etc/passwd", "C:\\x", "C:x", "a/b", "a\\b", "a/", "a\0b", "bundle.json\0.png", ".", ".."),
            *(".x", "", " x", "-x", "x y", "x" * 65, "caf\xe9", "\u202ex", "x\n"),
        ],
    )
    def test_name_that_is_no_plain_file_name_is_refused(self, zipped: Path, name: str) -> None:
        """A zip with one entry of another kind of name is refused as a whole, and the name shown."""
        write_zip(zipped, [*read_zip(zipped).items(), (name, b"x")])
        with pytest.raises(BundleError, match="only plain file names at the top level") as caught:
            open_container(zipped)
        assert "\n" not in str(caught.value)

    def test_bundle_zipped_with_its_folder_is_explained(self, zipped: Path) -> None:
        """A zip of the folder, instead of what is in it, is refused with words that tell how it must be."""
        write_zip(zipped, [(f"tiny/{name}", data) for name, data in read_zip(zipped).items()])
        with pytest.raises(BundleError, match=r"'tiny/bundle.json': only plain file names at the top level"):
            open_container(zipped)

    def test_same_name_twice_is_refused(self, zipped: Path) -> None:
        """A zip with two files of one name, of which readers could take either, is refused."""
        content = read_zip(zipped)
        with pytest.warns(UserWarning, match="Duplicate name"):
            write_zip(zipped, [*content.items(), ("card.md", b"other")])
        with pytest.raises(BundleError, match=r"card.md: appears twice"):
            open_container(zipped)

    def test_link_is_refused(self, zipped: Path) -> None:
        """A zip with a symbolic link is refused."""
        patch_zip(zipped, MODEL, external_attr=(stat.S_IFLNK | 0o777) << 16)
        with pytest.raises(BundleError, match=r"model.onnx: the zip holds a link"):
            open_container(zipped)

    def test_encryption_is_refused(self, zipped: Path) -> None:
        """A zip with an encrypted file is refused."""
        patch_zip(zipped, MODEL, flag_bits=1)
        with pytest.raises(BundleError, match=r"model.onnx: encrypted"):
            open_container(zipped)

    @pytest.mark.parametrize("method", [1, 9, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA, 93, 97, 99])
    def test_unusual_compression_is_refused(self, zipped: Path, method: int) -> None:
        """A compression other than stored and deflated is refused."""
        patch_zip(zipped, MODEL, compress_type=method)
        with pytest.raises(BundleError, match=r"model.onnx: expected compression 'stored' or 'deflated'"):
            open_container(zipped)

    def test_deflated_files_are_read(self, zipped: Path) -> None:
        """A zip made by an ordinary tool, with compression, is read."""
        content = read_zip(zipped)
        write_zip(zipped, content.items(), compression=zipfile.ZIP_DEFLATED)
        bundle = load_bundle(zipped)
        assert {name: bundle.read(name) for name in bundle.manifest.files} == {
            name: data for name, data in content.items() if name != "bundle.json"
        }

    def test_too_many_entries_are_refused(self, zipped: Path) -> None:
        """A zip with more files than any bundle has is refused."""
        write_zip(zipped, [*read_zip(zipped).items(), *((f"f{i}", b"") for i in range(62))])
        with pytest.raises(BundleError, match="expected at most 64 files, got 65"):
            open_container(zipped)

    @pytest.mark.parametrize("patch", [{"file_size": 0x7FFFFFFF}, {"file_size": (512 << 20) + 1}])
    def test_file_said_to_be_huge_is_refused(self, zipped: Path, patch: dict[str, int]) -> None:
        """A zip with an entry that says it is above 512 MiB is refused by its directory."""
        patch_zip(zipped, MODEL, **patch)
        with pytest.raises(BundleError, match=r"model.onnx: expected at most 536,870,912 bytes, got"):
            open_container(zipped)

    @pytest.mark.parametrize(
        ("fields", "fault"),
        [
            ({"header_offset": 0x7FFFFFFF}, "Truncated file header"),
            ({"header_offset": 0xFFFFFFF0}, "Truncated file header"),
            ({"header_offset": 5}, "Bad magic number|Overlapped entries"),
            ({"flag_bits": 0x20}, "compressed patched data"),
            ({"flag_bits": 0x40}, "strong encryption"),
            ({"compress_type": zipfile.ZIP_DEFLATED}, "Error -3 while decompressing|invalid"),
        ],
    )
    def test_damaged_header_is_reported(self, zipped: Path, fields: dict[str, int], fault: str) -> None:
        """A file whose header leads astray is reported as one that cannot be unpacked."""
        patch_zip(zipped, MODEL, **fields)
        with pytest.raises(BundleError, match=rf"cannot be unpacked \(.*({fault})"):
            load_bundle(zipped).read(MODEL)

    def test_local_name_that_is_no_text_is_reported(self, zipped: Path) -> None:
        """A local header that says UTF-8 and holds none is reported as a file that cannot be unpacked."""
        data = bytearray(zipped.read_bytes())
        local = local_header(data, MODEL)
        struct.pack_into("<H", data, local + 6, 0x800)
        data[local + 30 : local + 40] = b"\xff" * 10
        zipped.write_bytes(data)
        with pytest.raises(BundleError, match=r"model.onnx: cannot be unpacked"):
            load_bundle(zipped).read(MODEL)

    def test_offset_beyond_64_bits_is_reported(self, zipped: Path) -> None:
        """An offset that no file can have, from a zip64 field, is reported, not an overflow."""
        content = read_zip(zipped)
        with zipfile.ZipFile(zipped, "w") as archive:
            for name, data in content.items():
                archive.writestr(name, data)
            info = archive.getinfo(MODEL)
            info.header_offset = (1 << 64) - 2
        with pytest.raises(BundleError):
            load_bundle(zipped).read(MODEL)


class TestBomb:
    """A zip of a few kilobytes that would fill the memory."""

    ZEROS = 64 << 20

    def test_bomb_with_an_honest_size_is_refused(self, zipped: Path) -> None:
        """A file that says it unpacks to more than its entry in the manifest is refused before unpacking."""
        self.plant(zipped, MODEL)
        assert self.peak_of(zipped, "model.onnx: expected .* bytes, got 67,108,864") < 1 << 20

    def test_bomb_with_a_lying_size_is_not_unpacked(self, zipped: Path) -> None:
        """A file that says it has the right size, and does not, is unpacked no further than that."""
        size = len(read_zip(zipped)[MODEL])
        self.plant(zipped, MODEL)
        patch_zip(zipped, MODEL, file_size=size)
        assert self.peak_of(zipped, "model.onnx: cannot be unpacked .*CRC") < 1 << 20

    def test_manifest_that_is_a_bomb_is_refused(self, zipped: Path) -> None:
        """A manifest that says it is above 1 MiB is refused before unpacking."""
        self.plant(zipped, "bundle.json")
        assert self.peak_of(zipped, "bundle.json: expected at most 1,048,576 bytes") < 1 << 20

    def test_manifest_that_is_a_lying_bomb_is_not_unpacked(self, zipped: Path) -> None:
        """A manifest that says it is small, and is not, is unpacked no further than it says."""
        self.plant(zipped, "bundle.json")
        patch_zip(zipped, "bundle.json", file_size=2000)
        assert self.peak_of(zipped, "bundle.json: cannot be unpacked .*CRC") < 1 << 20

    def plant(self, path: Path, name: str) -> None:
        """Replace one file of a zip by compressed zeros."""
        content = read_zip(path)
        write_zip(path, [(other, data) for other, data in content.items() if other != name])
        with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(name, bytes(self.ZEROS))
        assert path.stat().st_size < 1 << 20

    def peak_of(self, path: Path, fault: str) -> int:
        """Return the bytes of memory that refusing the zip's network takes."""
        tracemalloc.start()
        try:
            with pytest.raises(BundleError, match=fault):
                load_bundle(path).read(MODEL)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()


def test_folder_that_cannot_be_listed_is_an_input_error(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder whose names may not be read is reported as an unreadable input."""
    container = open_container(bundle)
    assert list(files_of(bundle)) == container.names()

    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("pathlib.Path.iterdir", refuse)
    with pytest.raises(InputError, match=r"cannot be listed \(Permission denied\)"):
        container.names()
