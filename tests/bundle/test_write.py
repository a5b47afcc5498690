"""Bundles are written whole or not at all, the same bytes from the same content."""

from __future__ import annotations

import errno
import os
import stat
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.bundle.corrupt import files_of, read_zip, write_raw
from tests.tiny_bundle import tiny_bundle, tiny_files, tiny_manifest

from binsight.bundle import load_bundle, pack_bundle, verify_bundle, write_bundle
from binsight.errors import BundleError, OutputError

if TYPE_CHECKING:
    from binsight.bundle import Manifest


def everything_below(folder: Path) -> list[str]:
    """Return the paths of all files below a folder, hidden ones included, but of no folders."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir())


def other_bundle() -> tuple[Manifest, dict[str, bytes]]:
    """Return the manifest and files of a bundle that differs from the tiny one."""
    return tiny_manifest(version="2.0.0"), tiny_files(more__bin=b"x")


class TestForm:
    def test_folder_holds_the_files(self, tmp_path: Path) -> None:
        """A folder holds the manifest and the files as they were given, and nothing else."""
        path = tiny_bundle(tmp_path / "b")
        assert everything_below(tmp_path) == ["b/bundle.json", "b/card.md", "b/model.onnx"]
        assert {name: data for name, data in files_of(path).items() if name != "bundle.json"} == tiny_files()

    @pytest.mark.parametrize("name", ["b.zip", "b.ZIP"])
    def test_zip_holds_the_files(self, tmp_path: Path, name: str) -> None:
        """A zip holds the manifest first, then the files by name, uncompressed, dated 1980, readable by all."""
        path = tiny_bundle(tmp_path / name, a__bin=b"a", z__bin=b"z")
        with zipfile.ZipFile(path) as archive:
            infos = archive.infolist()
        assert [info.filename for info in infos] == ["bundle.json", "a.bin", "card.md", "model.onnx", "z.bin"]
        assert {info.compress_type for info in infos} == {zipfile.ZIP_STORED}
        assert {info.date_time for info in infos} == {(1980, 1, 1, 0, 0, 0)}
        assert {info.external_attr >> 16 for info in infos} == {stat.S_IFREG | 0o644}
        assert everything_below(tmp_path) == [name]

    def test_same_content_gives_the_same_bytes(self, tmp_path: Path) -> None:
        """Two zips of the same files, given in another order, are equal byte for byte."""
        files = tiny_files()
        first = write_bundle(tmp_path / "a.zip", tiny_manifest(), files)
        second = write_bundle(tmp_path / "b.zip", tiny_manifest(), dict(reversed(files.items())))
        assert first.read_bytes() == second.read_bytes()

    def test_entries_of_the_manifest_are_computed(self, tmp_path: Path) -> None:
        """What the manifest said of files before is replaced by what they are."""
        stale = tiny_manifest().with_files(load_bundle(tiny_bundle(tmp_path / "a", b"other")).manifest.files)
        assert verify_bundle(write_bundle(tmp_path / "b", stale, tiny_files())) == []

    def test_missing_folders_are_made(self, tmp_path: Path) -> None:
        """Missing folders above the target are made."""
        assert verify_bundle(tiny_bundle(tmp_path / "new" / "deep" / "b.zip")) == []

    def test_path_is_returned(self, tmp_path: Path) -> None:
        """The path comes back, though it was given as text."""
        assert write_bundle(str(tmp_path / "b"), tiny_manifest(), tiny_files()) == tmp_path / "b"

    def test_files_are_as_readable_as_any(self, tmp_path: Path) -> None:
        """Folder and files have the permissions that the process gives to new ones, not those of a temporary file."""
        previous = os.umask(0o022)
        try:
            folder, archive = tiny_bundle(tmp_path / "b"), tiny_bundle(tmp_path / "b.zip")
        finally:
            os.umask(previous)
        modes = [stat.S_IMODE(path.stat().st_mode) for path in (folder, folder / "card.md", archive)]
        assert modes == [0o755, 0o644, 0o644]


class TestRefused:
    @pytest.mark.parametrize("name", ["model.onnx", "card.md"])
    def test_required_file_is_named(self, tmp_path: Path, name: str) -> None:
        """A bundle without its network or its card is not written."""
        files = {other: data for other, data in tiny_files().items() if other != name}
        with pytest.raises(BundleError, match=f"{name}: missing") as caught:
            write_bundle(tmp_path / "b", tiny_manifest(), files)
        assert caught.value.file == name
        assert everything_below(tmp_path) == []

    @pytest.mark.parametrize("name", ["../x", "a/b", ".hidden", "bundle.json", "x" * 65, "caf\xe9", ""])
    def test_name_that_no_reader_takes_is_refused(self, tmp_path: Path, name: str) -> None:
        """A file name that readers refuse is refused when it is written."""
        with pytest.raises(BundleError, match=r"is not a plain file name|cannot list itself"):
            write_bundle(tmp_path / "b", tiny_manifest(), {**tiny_files(), name: b"x"})
        assert everything_below(tmp_path) == []

    def test_too_many_files_are_refused(self, tmp_path: Path) -> None:
        """More files than readers take are refused."""
        with pytest.raises(BundleError, match="expected fewer than 64"):
            write_bundle(tmp_path / "b", tiny_manifest(), {**tiny_files(), **{f"f{i}": b"" for i in range(62)}})

    def test_manifest_that_cannot_be_written_is_refused(self, tmp_path: Path) -> None:
        """A training record that JSON cannot hold is refused before anything is written."""
        with pytest.raises(BundleError, match=r"bundle\.json: cannot be written as JSON"):
            write_bundle(tmp_path / "b", tiny_manifest(training={"loss": float("nan")}), tiny_files())
        assert everything_below(tmp_path) == []


class TestExisting:
    @pytest.mark.parametrize("form", ["b", "b.zip"])
    def test_existing_bundle_is_not_replaced_unasked(self, tmp_path: Path, form: str) -> None:
        """A path where something is, is refused, and what is there stays."""
        path = tiny_bundle(tmp_path / form)
        with pytest.raises(OutputError, match="exists; overwrite it or choose another name"):
            write_bundle(path, *other_bundle())
        assert load_bundle(path).manifest.version == "1.0.0"

    @pytest.mark.parametrize("form", ["b", "b.zip"])
    def test_overwrite_replaces_a_bundle_whole(self, tmp_path: Path, form: str) -> None:
        """Overwriting leaves the new bundle alone: nothing of the old one, no temporary file."""
        path = tiny_bundle(tmp_path / form, old__bin=b"old")
        write_bundle(path, *other_bundle(), overwrite=True)
        assert verify_bundle(path) == []
        assert load_bundle(path).manifest.version == "2.0.0"
        assert "old.bin" not in load_bundle(path).manifest.files
        assert [entry.name for entry in tmp_path.iterdir()] == [form]

    def test_altered_bundle_may_be_overwritten(self, bundle: Path) -> None:
        """A folder with a manifest is a bundle that may be replaced, sound or not."""
        (bundle / "bundle.json").write_bytes(b"{")
        write_bundle(bundle, *other_bundle(), overwrite=True)
        assert verify_bundle(bundle) == []

    def test_overwrite_of_nothing_writes(self, tmp_path: Path) -> None:
        """Asking to overwrite where nothing is, writes."""
        assert verify_bundle(write_bundle(tmp_path / "b", *other_bundle(), overwrite=True)) == []

    @pytest.mark.parametrize("overwrite", [False, True])
    @pytest.mark.parametrize("out", ["photos", "photos.zip", "notes.zip", "empty", "other.zip", "dangling"])
    def test_what_is_no_bundle_is_never_replaced(self, tmp_path: Path, out: str, overwrite: bool) -> None:
        """A folder of photos, a zip of photos or a file that is called .zip stays, whatever was asked for."""
        write_raw(tmp_path / "photos", {"a.jpg": b"x"})
        write_raw(tmp_path / "photos.zip", {"a.jpg": b"x"})
        (tmp_path / "notes.zip").write_text("not a zip")
        (tmp_path / "other.zip").mkdir()
        (tmp_path / "empty").mkdir()
        (tmp_path / "dangling").symlink_to("nowhere")
        before = everything_below(tmp_path)
        with pytest.raises(OutputError, match="is not a bundle" if overwrite else "exists; overwrite it"):
            write_bundle(tmp_path / out, *other_bundle(), overwrite=overwrite)
        assert everything_below(tmp_path) == before

    def test_link_to_a_bundle_is_replaced_not_its_target(self, tmp_path: Path) -> None:
        """Overwriting a link to a bundle puts a bundle in the link's place, and leaves the other bundle alone."""
        target = tiny_bundle(tmp_path / "v1")
        (tmp_path / "current").symlink_to(target)
        write_bundle(tmp_path / "current", *other_bundle(), overwrite=True)
        assert load_bundle(target).manifest.version == "1.0.0"
        assert load_bundle(tmp_path / "current").manifest.version == "2.0.0"


def fill_disk(monkeypatch: pytest.MonkeyPatch, *, after: int) -> None:
    """Let the disk be full once `after` files have reached it."""
    reached: list[int] = []

    def fsync(descriptor: int) -> None:
        reached.append(descriptor)
        if len(reached) > after:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("binsight.bundle.write.os.fsync", fsync)


class TestFailure:
    @pytest.mark.parametrize(("form", "after"), [("b", 0), ("b", 1), ("b", 2), ("b.zip", 0)])
    def test_full_disk_leaves_nothing_behind(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str, after: int
    ) -> None:
        """When the disk fills up midway the error says so, and neither a part nor a temporary file stays."""
        fill_disk(monkeypatch, after=after)
        with pytest.raises(OutputError, match=rf"cannot write .*{form}: No space left on device"):
            tiny_bundle(tmp_path / form)
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize(("form", "after"), [("b", 0), ("b", 2), ("b.zip", 0)])
    def test_full_disk_leaves_the_old_bundle(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str, after: int
    ) -> None:
        """When overwriting fails midway the old bundle is as it was."""
        path = tiny_bundle(tmp_path / form)
        fill_disk(monkeypatch, after=after)
        with pytest.raises(OutputError):
            write_bundle(path, *other_bundle(), overwrite=True)
        assert verify_bundle(path) == []
        assert load_bundle(path).manifest.version == "1.0.0"
        assert [entry.name for entry in tmp_path.iterdir()] == [form]

    @pytest.mark.parametrize("form", ["b", "b.zip"])
    def test_failing_last_step_leaves_the_old_bundle(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
    ) -> None:
        """When the new bundle is complete but cannot take its place, the old one is put back."""
        path = tiny_bundle(tmp_path / form)

        def refuse(draft: Path, target: Path) -> None:
            raise PermissionError(errno.EPERM, "Operation not permitted")

        monkeypatch.setattr(Path, "replace", refuse)
        with pytest.raises(OutputError, match="Operation not permitted"):
            write_bundle(path, *other_bundle(), overwrite=True)
        assert verify_bundle(path) == []
        assert [entry.name for entry in tmp_path.iterdir()] == [form]

    @pytest.mark.parametrize("out", ["file/b", "a" * 300])
    def test_place_that_cannot_be_is_an_output_error(self, tmp_path: Path, out: str) -> None:
        """A path that no file can have gives an error that names it."""
        (tmp_path / "file").write_bytes(b"")
        with pytest.raises(OutputError, match="cannot write"):
            tiny_bundle(tmp_path / out)


class TestPack:
    def test_folder_to_zip_and_back(self, tmp_path: Path) -> None:
        """A folder packed into a zip and that into a folder gives the same files, byte for byte."""
        folder = tiny_bundle(tmp_path / "b", more__bin=b"x")
        archive = pack_bundle(folder, tmp_path / "b.zip")
        back = pack_bundle(archive, tmp_path / "back")
        assert files_of(back) == files_of(folder) == read_zip(archive)

    def test_packing_is_writing(self, tmp_path: Path) -> None:
        """A packed folder is the same zip, byte for byte, as one that was written at once."""
        packed = pack_bundle(tiny_bundle(tmp_path / "b"), tmp_path / "packed.zip")
        assert packed.read_bytes() == tiny_bundle(tmp_path / "written.zip").read_bytes()

    def test_unlisted_files_stay_behind(self, tmp_path: Path, bundle: Path) -> None:
        """A file that the manifest does not list is not packed."""
        (bundle / "private.txt").write_text("secret")
        assert "private.txt" not in read_zip(pack_bundle(bundle, tmp_path / "b.zip"))

    def test_altered_bundle_is_not_packed(self, tmp_path: Path, bundle: Path) -> None:
        """A bundle with an altered file is refused by that file's name, and nothing is written."""
        (bundle / "card.md").write_bytes(b"x")
        with pytest.raises(BundleError, match=r"card\.md: expected 59 bytes, got 1"):
            pack_bundle(bundle, tmp_path / "b.zip")
        assert not (tmp_path / "b.zip").exists()

    def test_existing_target_is_kept_unless_asked(self, tmp_path: Path, bundle: Path, zipped: Path) -> None:
        """Packing over a bundle needs to be asked for."""
        with pytest.raises(OutputError, match="exists"):
            pack_bundle(bundle, zipped)
        assert verify_bundle(pack_bundle(bundle, zipped, overwrite=True)) == []

    def test_bundle_packed_onto_itself_stays(self, bundle: Path) -> None:
        """A bundle packed onto itself is what it was."""
        before = files_of(bundle)
        pack_bundle(bundle, bundle, overwrite=True)
        assert files_of(bundle) == before
