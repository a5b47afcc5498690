"""Public sets, from a server and a Kaggle of the test's own."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import zipfile

import pytest
from tests.dataset.folders import photo_bytes
from tests.dataset.web import serve

from binsight.dataset import scan
from binsight.dataset.catalog import PublicSet, RemoteFile
from binsight.dataset.fetch import LOCK_NAME, fetch
from binsight.errors import DatasetError, InputError, OutputError


def zip_bytes(*names, seed=0):
    """A zip with a photo at each of `names`."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for i, name in enumerate(names):
            archive.writestr(name, photo_bytes(seed + i))
    return data.getvalue()


ARCHIVE = zip_bytes("set/Tin can/1.jpg", "set/Tin can/2.jpg", "set/glass/3.jpg", "__MACOSX/x.jpg")


@pytest.fixture
def web():
    """Return a server that has the archive of the set."""
    with serve() as running:
        running.files["/a.zip"] = ARCHIVE
        yield running


def set_of(web, *, sha256=None, **options):
    """A set with one archive on the server."""
    file = RemoteFile("a.zip", (f"{web.url}/a.zip",), sha256=sha256)
    defaults = {"classes": {"tin_can": "metal_cans"}, "folders": ("set",), "files": (file,)}
    return PublicSet("cans", "Cans", "https://example.org/cans", "MIT", **{**defaults, **options})


def no_wait(_seconds):
    """Do not wait."""


def test_fetch(tmp_path, web):
    """Photos, manifests of both taxonomies, source note and lock are there, and nothing else."""
    found = fetch(set_of(web), tmp_path / "cans")
    assert (found.photos, found.unreadable, found.was_there) == (3, 0, False)
    assert found.classes == {"Tin can": 2, "glass": 1}
    assert (found.mapped, found.without_counterpart) == ({"metal_cans": 2}, {"glass": 1})
    names = sorted(p.name for p in (tmp_path / "cans").iterdir())
    assert names == ["SOURCE.md", LOCK_NAME, "manifest.csv", "photos", "waste8.csv"]
    assert "Licence: MIT" in (tmp_path / "cans/SOURCE.md").read_text()
    own, mapped = scan(tmp_path / "cans/manifest.csv"), scan(tmp_path / "cans/waste8.csv")
    assert all(s.error is None for s in (*own, *mapped))
    assert dict(mapped.samples[0].extra) == {"original_class": "Tin can", "source": "cans"}


def test_again(tmp_path, web):
    """A set that is there is checked and not downloaded again, unless that is asked for."""
    fetch(set_of(web), tmp_path)
    assert fetch(set_of(web), tmp_path).was_there
    assert web.count()["/a.zip"] == 1
    assert not fetch(set_of(web), tmp_path, force=True).was_there
    assert web.count()["/a.zip"] == 2


def test_known_checksum(tmp_path, web):
    """A file that is not the one in the catalogue is refused, and the next run gets it afresh."""
    with pytest.raises(InputError, match=r"expected the SHA-256 0000.* of the catalogue"):
        fetch(set_of(web, sha256="0" * 64), tmp_path)
    right = hashlib.sha256(ARCHIVE).hexdigest()
    assert fetch(set_of(web, sha256=right), tmp_path).photos == 3


def test_recorded_checksum(tmp_path, web):
    """A checksum that nobody knew is recorded, and another file is refused ever after."""
    fetch(set_of(web), tmp_path)
    lock = json.loads((tmp_path / LOCK_NAME).read_text())
    assert lock["files"]["a.zip"] == {"sha256": hashlib.sha256(ARCHIVE).hexdigest(), "bytes": len(ARCHIVE)}
    web.files["/a.zip"] = zip_bytes("set/x/1.jpg", seed=9)
    with pytest.raises(InputError, match=r"remove its entry from binsight-lock.json"):
        fetch(set_of(web), tmp_path, force=True)
    assert scan(tmp_path / "manifest.csv").sound().samples  # the old photos are still there


def test_changed_photos(tmp_path, web):
    """Photos that were changed after they were fetched are noticed."""
    fetch(set_of(web), tmp_path)
    (tmp_path / "photos/glass/3.jpg").write_bytes(photo_bytes(99))
    with pytest.raises(DatasetError, match="photos were changed"):
        fetch(set_of(web), tmp_path)


def test_photos_of_another_version(tmp_path):
    """A set that Kaggle gives in another version than before is noticed."""

    def client(_handle, folder):
        (folder / "cans").mkdir(parents=True)
        (folder / "cans/1.jpg").write_bytes(photo_bytes(len(list(tmp_path.rglob("*.csv")))))
        return folder

    public_set = PublicSet("k", "K", "https://example.org", "MIT", {"cans": "metal_cans"}, kaggle="a/b")
    fetch(public_set, tmp_path, kaggle=client)
    shutil.rmtree(tmp_path / "photos")
    with pytest.raises(DatasetError, match="the set is another version"):
        fetch(public_set, tmp_path, kaggle=client)


def test_interrupted(tmp_path, web):
    """A fetch that broke off goes on where it was."""
    web.break_after["/a.zip"] = [100] * 4
    with pytest.raises(InputError, match="the connection ended"):
        fetch(set_of(web), tmp_path, sleep=no_wait)
    assert fetch(set_of(web), tmp_path, sleep=no_wait).photos == 3
    assert web.requests[-1] == ("/a.zip", "bytes=400-")


def test_second_address(tmp_path, web):
    """When the first address does not have the file, the second is tried."""
    file = RemoteFile("a.zip", (f"{web.url}/gone.zip", f"{web.url}/a.zip"))
    assert fetch(set_of(web, files=(file,)), tmp_path).photos == 3


def test_offline(tmp_path):
    """Without a connection the message says which file to get from where and where to put it; that works."""
    with serve() as gone:
        unreachable = set_of(gone)
    with pytest.raises(InputError, match=r"get a.zip from https://example.org/cans .* put it at (\S+)/a.zip and run"):
        fetch(unreachable, tmp_path, sleep=no_wait)
    (tmp_path / ".download/a.zip").write_bytes(ARCHIVE)
    assert fetch(unreachable, tmp_path, sleep=no_wait).photos == 3


def test_a_file_put_there_by_hand(tmp_path, web):
    """A file that somebody put there is never deleted, also when it is another than expected."""
    (tmp_path / ".download").mkdir()
    (tmp_path / ".download/a.zip").write_bytes(b"another")
    with pytest.raises(InputError, match=r"move \S+/a.zip away"):
        fetch(set_of(web, sha256="0" * 64), tmp_path)
    assert (tmp_path / ".download/a.zip").read_bytes() == b"another"


def test_keep_archives(tmp_path, web):
    """On request the archives stay, hidden from a scan."""
    fetch(set_of(web), tmp_path, keep_archives=True)
    assert [p.name for p in (tmp_path / ".download").iterdir()] == ["a.zip"]
    assert len(scan(tmp_path)) == 3


def test_two_archives(tmp_path, web):
    """Several archives are unpacked side by side."""
    web.files["/b.zip"] = zip_bytes("cups/1.jpg", seed=5)
    files = tuple(RemoteFile(f"{n}.zip", (f"{web.url}/{n}.zip",)) for n in "ab")
    found = fetch(set_of(web, files=files, folders=(".",)), tmp_path)
    assert found.photos == 4


def test_only_some_folders(tmp_path, web):
    """Of a set that has more than its photos, the folders that count are taken."""
    found = fetch(set_of(web, only=("glass", "none")), tmp_path)
    assert found.classes == {"glass": 1}


def test_another_layout(tmp_path, web):
    """A set whose layout is not the expected one any more is refused."""
    with pytest.raises(DatasetError, match=r"its layout has changed, see https://example.org/cans"):
        fetch(set_of(web, folders=("other",)), tmp_path)


def test_folder_in_use(tmp_path, web):
    """A folder with other photos, or another set, is left alone."""
    (tmp_path / "mine/photos").mkdir(parents=True)
    with pytest.raises(OutputError, match="was not fetched by binsight"):
        fetch(set_of(web), tmp_path / "mine")
    fetch(set_of(web), tmp_path / "cans")
    other = PublicSet("other", "Other", "https://example.org", "MIT", {}, kaggle="a/b")
    with pytest.raises(OutputError, match="holds another set than other"):
        fetch(other, tmp_path / "cans")


def test_kaggle(tmp_path):
    """A set from Kaggle is asked for by its handle and looked at like any other."""
    asked = []

    def client(handle, folder):
        asked.append(handle)
        for split in ("train", "val"):
            path = folder / f"Dataset/{split}/biodegradable/leaf_waste/1.jpg"
            path.parent.mkdir(parents=True)
            path.write_bytes(photo_bytes(len(split)))
        (folder / "Dataset/sample").mkdir()
        return folder

    options = {"classes": {"leaf_waste": "leaf_waste"}, "folders": ("Dataset",), "only": ("train", "val")}
    public_set = PublicSet("k", "K", "https://example.org", "MIT", kaggle="somebody/waste", **options)
    found = fetch(public_set, tmp_path, kaggle=client)
    assert (asked, found.mapped) == (["somebody/waste"], {"leaf_waste": 2})
    assert scan(tmp_path / "waste8.csv").splits == ("train", "val")
    assert fetch(public_set, tmp_path, kaggle=client).was_there
    assert asked == ["somebody/waste"]


def test_crops(tmp_path, web):
    """A set with boxes around objects becomes one with a photo for each object."""
    data = io.BytesIO()
    coco = {
        "images": [{"id": 1, "file_name": "1.jpg", "width": 100, "height": 100}],
        "categories": [{"id": 1, "name": "Tin can"}],
        "annotations": [{"id": i, "image_id": 1, "category_id": 1, "bbox": [0, 0, 10 + 50 * i, 90]} for i in (0, 1)],
    }
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("set/1.jpg", photo_bytes(size=(100, 100)))
        archive.writestr("set/boxes.json", json.dumps(coco))
    web.files["/a.zip"] = data.getvalue()
    found = fetch(set_of(web, crops="boxes.json"), tmp_path)
    assert (found.mapped, found.crops) == ({"metal_cans": 1}, {"cut": 1, "too small": 1})


def test_progress(tmp_path, web):
    """Every stage is told by its name."""
    stages = []
    fetch(set_of(web), tmp_path, report=lambda what: stages.append(what) or (lambda _done, _total: None))
    assert stages == ["Downloading a.zip", "Unpacking a.zip", "Scanning"]
