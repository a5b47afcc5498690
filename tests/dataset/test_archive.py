"""Archives from the internet."""

from __future__ import annotations

import io
import stat
import tarfile
import zipfile

import pytest

from binsight.dataset.archive import ArchiveLimits, unpack
from binsight.errors import DatasetError, OutputError


def zip_of(path, *entries):
    """Write a zip of (name, data) or (ZipInfo, data)."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries:
            archive.writestr(name, data)
    return path


def tar_of(path, *infos):
    """Write a tar of (TarInfo, data)."""
    with tarfile.open(path, "w:gz") as archive:
        for info, data in infos:
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def refused(tmp_path, archive, message, **options):
    """The archive is refused, and nothing is left of it anywhere."""
    with pytest.raises(DatasetError, match=message):
        unpack(archive, tmp_path / "deep/out", **options)
    assert not (tmp_path / "deep/out").exists()
    assert not (tmp_path / "deep/evil").exists()
    assert not (tmp_path / "evil").exists()


def test_zip(tmp_path):
    """Files and folders of a zip come out, with their bytes."""
    archive = zip_of(tmp_path / "a.zip", ("x/", b""), ("x/1.jpg", b"one"), ("y/z/2.jpg", b""))
    assert unpack(archive, tmp_path / "out") == 2
    assert (tmp_path / "out/x/1.jpg").read_bytes() == b"one"
    assert (tmp_path / "out/y/z/2.jpg").read_bytes() == b""


def test_tar(tmp_path):
    """The same for a tar."""
    archive = tar_of(tmp_path / "a.tar.gz", (tarfile.TarInfo("./x/1.jpg"), b"one"))
    assert unpack(archive, tmp_path / "out") == 1
    assert (tmp_path / "out/x/1.jpg").read_bytes() == b"one"


@pytest.mark.parametrize(
    "name", ["../evil", "x/../../evil", "/evil", "C:/evil", "x\\..\\..\\evil", "a\nb", "evil?", "x/NUL.txt", "x /a"]
)
def test_names(tmp_path, name):
    """An entry that would lie elsewhere, or has a name that not every system allows, is refused."""
    refused(tmp_path, zip_of(tmp_path / "a.zip", ("ok", b"x"), (name, b"evil")), "refused")
    refused(tmp_path, tar_of(tmp_path / "a.tar.gz", (tarfile.TarInfo(name), b"evil")), "refused")


def test_links(tmp_path):
    """Links and devices are refused."""
    link = zipfile.ZipInfo("link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    refused(tmp_path, zip_of(tmp_path / "a.zip", (link, b"/etc/passwd")), "no plain file")
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE):
        info = tarfile.TarInfo("link")
        info.type, info.linkname = kind, "/etc/passwd"
        refused(tmp_path, tar_of(tmp_path / "a.tar.gz", (info, b"")), "no plain file")


def test_twice(tmp_path):
    """Two entries that some systems would write to one file are refused."""
    refused(tmp_path, zip_of(tmp_path / "a.zip", ("x/A.jpg", b"1"), ("x/a.JPG", b"2")), "occurs twice")


def test_bomb(tmp_path):
    """An archive that grows beyond all measure is refused before a byte is written."""
    archive = zip_of(tmp_path / "a.zip", ("zeros", bytes(10_000_000)))
    refused(tmp_path, archive, "decompression bomb")
    refused(tmp_path, archive, "more than 1,000,000; refused", limits=ArchiveLimits(max_bytes=1_000_000))
    refused(
        tmp_path, zip_of(tmp_path / "a.zip", ("1", b""), ("2", b"")), "more than 1 entries", limits=ArchiveLimits(1)
    )


def test_false_size(tmp_path):
    """An entry that is longer than it claims is refused: the claim is what was checked."""
    archive = zip_of(tmp_path / "a.zip", ("x", b"0123456789" * 50))
    data = archive.read_bytes()
    size = (500).to_bytes(4, "little")
    assert data.count(size) == 2  # in the entry's own header and in the directory
    archive.write_bytes(data.replace(size, (5).to_bytes(4, "little")))
    refused(tmp_path, archive, "refused|damaged")


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz", "a.tar"])
def test_damaged(tmp_path, name):
    """Bytes that are no archive are refused with advice."""
    (tmp_path / name).write_bytes(b"\x1f\x8b nonsense" * 9)
    refused(tmp_path, tmp_path / name, "download it again")


def test_damaged_entry(tmp_path):
    """An entry whose checksum is wrong is refused, and what was written before is removed."""
    archive = zip_of(tmp_path / "a.zip", ("ok", b"fine"))
    with zipfile.ZipFile(archive, "a", zipfile.ZIP_STORED) as more:
        more.writestr("bad", b"ORIGINAL")
    archive.write_bytes(archive.read_bytes().replace(b"ORIGINAL", b"TAMPERED"))
    refused(tmp_path, archive, "download it again")


def test_no_space(tmp_path, monkeypatch):
    """An archive that does not fit on the disk is refused before a byte is written."""
    monkeypatch.setattr("shutil.disk_usage", lambda _path: type("Usage", (), {"free": 10}))
    archive = zip_of(tmp_path / "a.zip", ("x", bytes(range(200))))
    with pytest.raises(OutputError, match=r"needs 200 bytes unpacked, 10 are free"):
        unpack(archive, tmp_path / "out")


def test_existing_folder(tmp_path):
    """Nothing is unpacked over what is there."""
    (tmp_path / "out").mkdir()
    with pytest.raises(OutputError, match="cannot make"):
        unpack(zip_of(tmp_path / "a.zip", ("x", b"")), tmp_path / "out")
    assert (tmp_path / "out").exists()
