"""Corrections: what is kept, what is refused, what is exported."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import ExifTags, Image
from tests.tiny_bundle import tiny_taxonomy

from binsight import sqlite
from binsight.errors import BrokenImageError, DiskFullError, EmptyImageError, InputError, OutputError
from binsight.serving import corrections
from binsight.serving.app import create_app
from binsight.serving.corrections import (
    FeedbackError,
    FeedbackFullError,
    FeedbackStore,
    export_corrections,
    read_corrections,
)
from binsight.serving.settings import Settings
from binsight.sqlite import FileBusyError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from flask.testing import FlaskClient
    from werkzeug.test import TestResponse

SAID = {"predicted": "red", "corrected": "green", "model_name": "tiny", "model_version": "1.0.0"}


def photo(colour: tuple[int, int, int] = (200, 30, 20), size: tuple[int, int] = (40, 30), **options: Any) -> bytes:
    """Return a JPEG of one colour."""
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, "JPEG", **options)
    return buffer.getvalue()


def store_in(tmp_path: Path, max_bytes: int = 1_000_000) -> FeedbackStore:
    """Return a store whose clock stands still."""
    return FeedbackStore(tmp_path / "kept", max_bytes=max_bytes, now=lambda: datetime(2026, 3, 1, 12, tzinfo=UTC))


def kept(tmp_path: Path) -> list[str]:
    """Return the stored files below the folder of photos, drafts too."""
    folder = tmp_path / "kept" / "photos"
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def add(store: FeedbackStore, data: bytes, **changes: Any) -> Any:
    """Return what the store answers to `data`, said to be green unless changed."""
    return store.add(data, taxonomy=tiny_taxonomy(), **SAID | changes)


def no_room(*_: Any) -> None:
    """Fail as every write does on a full disk."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def fill_up(monkeypatch: pytest.MonkeyPatch, statement: str) -> None:
    """Let SQLite have no room for a statement that begins so."""

    class Full(sqlite3.Connection):
        def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
            if sql.startswith(statement):
                error = sqlite3.OperationalError("database or disk is full")
                error.sqlite_errorcode = sqlite3.SQLITE_FULL
                raise error
            return super().execute(sql, *values)

    monkeypatch.setattr(corrections.sqlite3, "connect", partial(sqlite3.connect, factory=Full))


class TestStore:
    def test_layout(self, tmp_path: Path) -> None:
        """A photo lies in the folder of its corrected class, under the SHA-256 of its own bytes."""
        correction, outcome = add(store_in(tmp_path), photo())
        file = tmp_path / "kept" / "photos" / "green" / f"{correction.sha256}.jpg"
        assert outcome == "stored"
        assert hashlib.sha256(file.read_bytes()).hexdigest() == correction.sha256

    def test_record(self, tmp_path: Path) -> None:
        """The index says what the model had said, which model, and when."""
        store = store_in(tmp_path)
        correction, _ = add(store, photo())
        assert read_corrections(store.directory) == [correction]
        assert (correction.predicted, correction.model_name, correction.model_version) == ("red", "tiny", "1.0.0")
        assert correction.created == "2026-03-01T12:00:00Z"

    def test_known(self, tmp_path: Path) -> None:
        """The same photo with the same class is stored once."""
        store = store_in(tmp_path)
        first, _ = add(store, photo())
        again, outcome = add(store, photo())
        assert (again, outcome, len(kept(tmp_path))) == (first, "known", 1)

    def test_moved(self, tmp_path: Path) -> None:
        """A photo with another class than before moves there: it never lies in two classes."""
        store = store_in(tmp_path)
        correction, _ = add(store, photo())
        _, outcome = add(store, photo(), corrected="blue")
        assert outcome == "moved"
        assert kept(tmp_path) == [f"blue/{correction.sha256}.jpg"]
        assert [c.corrected for c in read_corrections(store.directory)] == ["blue"]

    def test_without_metadata(self, tmp_path: Path) -> None:
        """A stored photo holds neither the place where it was taken nor any other metadata."""
        exif = Image.Exif()
        exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] = "N"
        exif[ExifTags.Base.Make] = "a phone"
        add(store_in(tmp_path), photo(exif=exif.tobytes(), comment=b"at home"))
        stored = (tmp_path / "kept" / "photos" / kept(tmp_path)[0]).read_bytes()
        with Image.open(io.BytesIO(stored)) as picture:
            assert not picture.getexif()
        assert b"a phone" not in stored
        assert b"at home" not in stored

    def test_upright(self, tmp_path: Path) -> None:
        """A photo that lies on its side by its EXIF orientation is stored upright."""
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = 6
        add(store_in(tmp_path), photo(size=(40, 30), exif=exif.tobytes()))
        with Image.open(tmp_path / "kept" / "photos" / kept(tmp_path)[0]) as picture:
            assert picture.size == (30, 40)

    def test_reduced(self, tmp_path: Path) -> None:
        """A large photo is stored with 1600 pixels at its longer side."""
        add(store_in(tmp_path), photo(size=(3000, 1500)))
        with Image.open(tmp_path / "kept" / "photos" / kept(tmp_path)[0]) as picture:
            assert picture.size == (1600, 800)

    def test_full(self, tmp_path: Path) -> None:
        """A full store refuses a new photo, keeps all it has, and still knows what it has."""
        store = store_in(tmp_path, max_bytes=2 * 4096)  # two small files, each a block of 4 KiB
        add(store, photo((1, 2, 3)))
        add(store, photo((200, 100, 0)))
        before = kept(tmp_path)
        with pytest.raises(FeedbackFullError, match=r"8,192 of 8,192 bytes.*binsight feedback export"):
            add(store, photo((0, 200, 100)))
        assert kept(tmp_path) == before
        assert add(store, photo((1, 2, 3)), corrected="blue")[1] == "moved"

    @pytest.mark.parametrize("field", ["predicted", "corrected"])
    @pytest.mark.parametrize("value", ["purple", "", "../../etc", "RED"])
    def test_unknown_class(self, tmp_path: Path, field: str, value: str) -> None:
        """A class that is not in the taxonomy is refused, and nothing is written."""
        with pytest.raises(FeedbackError, match="expected one of red, green, blue"):
            add(store_in(tmp_path), photo(), **{field: value})
        assert kept(tmp_path) == []

    def test_all_faults(self, tmp_path: Path) -> None:
        """All faults of a correction are reported together."""
        with pytest.raises(FeedbackError, match=r"red, green, blue.*name and version.*name and version"):
            add(store_in(tmp_path), photo(), corrected="x", model_name="\n", model_version="")

    @pytest.mark.parametrize(("data", "error"), [(b"", EmptyImageError), (photo()[:300], BrokenImageError)])
    def test_refused_photo(self, tmp_path: Path, data: bytes, error: type[Exception]) -> None:
        """What cannot be decoded is not stored."""
        with pytest.raises(error):
            add(store_in(tmp_path), data)
        assert kept(tmp_path) == []

    def test_write_fails(self, tmp_path: Path) -> None:
        """When a photo cannot be written, neither a draft nor an entry is left."""
        store = store_in(tmp_path)
        (store.directory / "photos" / "green").write_text("in the way")
        with pytest.raises(OutputError, match="cannot write"):
            add(store, photo())
        assert kept(tmp_path) == ["green"]
        assert read_corrections(store.directory) == []

    @pytest.mark.parametrize("statement", ["INSERT", "COMMIT"])
    def test_index_is_full(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, statement: str) -> None:
        """When the row cannot be kept the photo is not kept either, and one that moves stays where it was."""
        store = store_in(tmp_path)
        add(store, photo((9, 90, 9)))
        before = kept(tmp_path), read_corrections(store.directory)
        fill_up(monkeypatch, statement)
        for data, corrected in ((photo(), "green"), (photo((9, 90, 9)), "blue")):
            with pytest.raises(DiskFullError, match="the disk is full"):
                add(store, data, corrected=corrected)
        assert (kept(tmp_path), read_corrections(store.directory)) == before

    def test_disk_is_full(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A photo for which the disk has no room leaves neither a draft nor a row."""
        store = store_in(tmp_path)
        monkeypatch.setattr(os, "fsync", no_room)
        with pytest.raises(DiskFullError, match="no space left on its disk"):
            add(store, photo())
        assert (kept(tmp_path), read_corrections(store.directory)) == ([], [])

    def test_locked(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """An index that another program holds is an error of its own, and nothing is kept."""
        monkeypatch.setattr(sqlite, "_LOCK_TIMEOUT_S", 0.01)
        store = store_in(tmp_path)
        with closing(sqlite3.connect(store.directory / "feedback.sqlite3", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(FileBusyError, match="another program holds it"):
                add(store, photo())
        assert kept(tmp_path) == []
        assert add(store, photo())[1] == "stored"

    def test_start_on_a_full_disk(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A store can be opened while its disk is full: its server starts, and takes corrections when there is room."""
        add(store_in(tmp_path), photo())
        with monkeypatch.context() as patch:
            fill_up(patch, "BEGIN")
            store = store_in(tmp_path)
            with pytest.raises(DiskFullError):
                add(store, photo((1, 99, 1)))
        assert add(store, photo((1, 99, 1)))[1] == "stored"

    def test_threads(self, tmp_path: Path) -> None:
        """Eight threads with a store each keep all their photos, and the one they share only once."""
        colours = [(20 * i, 255 - 20 * i, 90) for i in range(8)]

        def work(colour: tuple[int, int, int]) -> None:
            store = store_in(tmp_path)
            add(store, photo(colour))
            add(store, photo((0, 0, 0)))

        threads = [threading.Thread(target=work, args=(colour,)) for colour in colours]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(read_corrections(tmp_path / "kept")) == len(kept(tmp_path)) == 9

    def test_unwritable_place(self, tmp_path: Path) -> None:
        """A folder that cannot be made is an error that says so."""
        (tmp_path / "kept").write_text("a file")
        with pytest.raises(OutputError, match="cannot keep corrections in"):
            store_in(tmp_path)


class TestFoldersAreTheTruth:
    def test_moved_by_hand(self, tmp_path: Path) -> None:
        """A photo that was moved into another class's folder by hand counts as that class."""
        store = store_in(tmp_path)
        correction, _ = add(store, photo())
        folder = store.directory / "photos"
        (folder / "blue").mkdir()
        (folder / "green" / f"{correction.sha256}.jpg").rename(folder / "blue" / f"{correction.sha256}.jpg")
        assert [c.corrected for c in read_corrections(store.directory)] == ["blue"]
        assert add(store, photo(), corrected="blue")[1] == "known"
        assert [c.predicted for c in read_corrections(store_in(tmp_path).directory)] == ["red"]

    def test_deleted_by_hand(self, tmp_path: Path) -> None:
        """A photo that was deleted by hand is gone, and makes room once the server starts anew."""
        store = store_in(tmp_path, max_bytes=4096)
        add(store, photo())
        (store.directory / "photos" / kept(tmp_path)[0]).unlink()
        assert read_corrections(store.directory) == []
        assert add(store_in(tmp_path, max_bytes=4096), photo((9, 9, 9)))[1] == "stored"

    def test_lost_index(self, tmp_path: Path) -> None:
        """Photos whose index is lost keep their classes."""
        store = store_in(tmp_path)
        correction, _ = add(store, photo())
        for file in store.directory.glob("feedback.sqlite3*"):
            file.unlink()
        (found,) = read_corrections(store_in(tmp_path).directory)
        assert (found.sha256, found.corrected, found.predicted) == (correction.sha256, "green", None)

    def test_interrupted(self, tmp_path: Path) -> None:
        """After a crash in the middle of a move the newer class counts, and drafts are cleared away."""
        store = store_in(tmp_path)
        correction, _ = add(store, photo())
        folder = store.directory / "photos"
        old, new = (folder / c / f"{correction.sha256}.jpg" for c in ("green", "blue"))
        new.parent.mkdir()
        new.write_bytes(old.read_bytes())
        os.utime(old, (1, 1))
        (folder / "blue" / f".{correction.sha256}.jpg.123").write_bytes(b"half")
        assert [c.corrected for c in read_corrections(store_in(tmp_path).directory)] == ["blue"]
        assert list(folder.glob("*/.*")) == []

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="other systems have no named pipes")
    def test_what_is_no_file_counts_for_nothing(self, tmp_path: Path) -> None:
        """Pipes, folders and links to nothing that are named as photos or drafts are passed over, and left alone."""
        store = store_in(tmp_path)
        correction, _ = add(store, photo())
        folder = store.directory / "photos" / "blue"
        folder.mkdir()
        os.mkfifo(folder / f"{'a' * 64}.jpg")
        (folder / f"{'b' * 64}.jpg").mkdir()
        (folder / f"{'c' * 64}.jpg").symlink_to("nowhere")
        (folder / f"{correction.sha256}.jpg").mkdir()
        (folder / f".{'d' * 32}").mkdir()
        os.mkfifo(folder / f".{'e' * 32}")
        (folder / ".DS_Store").write_bytes(b"mine")
        before = sorted(folder.iterdir())
        found = read_corrections(store_in(tmp_path).directory)
        assert [(c.sha256, c.corrected) for c in found] == [(correction.sha256, "green")]
        assert add(store_in(tmp_path), photo())[1] == "known"
        out = tmp_path / "out"
        (out / "blue" / f"{correction.sha256}.jpg").mkdir(parents=True)
        assert [copied for _, copied in export_corrections(store.directory, out)] == ["new"]
        assert sorted(folder.iterdir()) == before

    def test_no_store(self, tmp_path: Path) -> None:
        """Reading a folder that is no store is an error, and makes none of it."""
        with pytest.raises(InputError, match=r"no feedback\.sqlite3 in"):
            read_corrections(tmp_path)
        assert list(tmp_path.iterdir()) == []

    def test_broken_index(self, tmp_path: Path) -> None:
        """An index that is no database is an error that names it."""
        (tmp_path / "feedback.sqlite3").write_bytes(b"not a database" * 100)
        with pytest.raises(InputError, match=r"cannot read .*feedback\.sqlite3"):
            read_corrections(tmp_path)


class TestExport:
    def test_layout(self, tmp_path: Path) -> None:
        """An export has one folder per class with the photos as they are stored."""
        store = store_in(tmp_path)
        red, _ = add(store, photo((1, 1, 1)), corrected="red")
        blue, _ = add(store, photo((2, 99, 2)), corrected="blue")
        copied = export_corrections(store.directory, tmp_path / "out")
        assert [outcome for _, outcome in copied] == ["new", "new"]
        for c in (red, blue):
            name = f"{c.corrected}/{c.sha256}.jpg"
            assert (tmp_path / "out" / name).read_bytes() == (store.directory / "photos" / name).read_bytes()

    def test_again(self, tmp_path: Path) -> None:
        """A second export brings only what is new, and moves what was corrected since."""
        store = store_in(tmp_path)
        add(store, photo((1, 1, 1)))
        add(store, photo((90, 1, 1)), corrected="red")
        export_corrections(store.directory, tmp_path / "out")
        add(store, photo((90, 1, 1)), corrected="blue")
        add(store, photo((1, 90, 1)), corrected="blue")
        outcomes = [outcome for _, outcome in export_corrections(store.directory, tmp_path / "out")]
        assert sorted(outcomes) == ["moved", "new", "present"]
        assert len(list((tmp_path / "out").rglob("*.jpg"))) == 3

    def test_among_others(self, tmp_path: Path) -> None:
        """Photos that were in the data set before stay as they are."""
        (tmp_path / "out" / "green").mkdir(parents=True)
        (tmp_path / "out" / "green" / "mine.jpg").write_bytes(b"mine")
        store = store_in(tmp_path)
        add(store, photo())
        export_corrections(store.directory, tmp_path / "out")
        assert (tmp_path / "out" / "green" / "mine.jpg").read_bytes() == b"mine"


@pytest.fixture
def client(shared_bundle: Path, tmp_path: Path) -> Iterator[FlaskClient]:
    """Give a client of a server that keeps up to two small corrections."""
    settings = Settings(
        models=(str(shared_bundle),),
        workers=1,
        access_log=False,
        max_photo_bytes=100_000,
        feedback_dir=tmp_path / "kept",
        feedback_max_bytes=2 * 4096,
    )
    app = create_app(settings)
    yield app.test_client()
    app.extensions["binsight"].drain(5)


def send(
    client: FlaskClient, data: bytes | None = None, headers: dict[str, str] | None = None, **fields: str
) -> TestResponse:
    """Return the answer to a correction."""
    form: dict[str, Any] = SAID | fields | {"file": (io.BytesIO(photo() if data is None else data), "x.jpg")}
    return client.post("/feedback", data=form, headers=headers)


class TestEndpoint:
    def test_stored(self, client: FlaskClient, tmp_path: Path) -> None:
        """A correction is answered with 201 and what is stored; the same one again with 200."""
        first, again = send(client), send(client)
        assert (first.status_code, first.json["outcome"], first.json["corrected"]) == (201, "stored", "green")
        assert (again.status_code, again.json["outcome"]) == (200, "known")
        assert kept(tmp_path) == [f"green/{first.json['sha256']}.jpg"]

    def test_as_large_as_allowed(self, client: FlaskClient) -> None:
        """A photo as large as the limit is taken."""
        assert send(client, photo().ljust(100_000, b"\0")).status_code == 201

    @pytest.mark.parametrize(
        ("fields", "status", "code"),
        [
            ({"corrected": "purple"}, 400, "bad_parameter"),
            ({"predicted": "purple"}, 400, "bad_parameter"),
            ({"model_version": "../1"}, 400, "bad_parameter"),
            ({"model_name": "another"}, 404, "unknown_model"),
            ({"data": b""}, 400, "empty"),
            ({"data": b"%PDF-1.7"}, 415, "not_an_image"),
            ({"data": photo()[:300]}, 422, "truncated"),
            ({"data": b"\xff\xd8\xff" * 60_000}, 413, "too_large"),
        ],
    )
    def test_refused(self, client: FlaskClient, tmp_path: Path, fields: Any, status: int, code: str) -> None:
        """A correction that is not sound is a problem with a code, and nothing is stored."""
        answer = send(client, **fields)
        assert (answer.status_code, answer.json["code"], answer.mimetype) == (status, code, "application/problem+json")
        assert kept(tmp_path) == []

    def test_full(self, client: FlaskClient) -> None:
        """A full store answers 507 with what to do about it."""
        for i in range(2):
            send(client, photo((i * 90, 5, 5)))
        answer = send(client, photo((5, 5, 200)))
        assert (answer.status_code, answer.json["code"]) == (507, "feedback_full")
        assert "binsight feedback export" in answer.json["detail"]
        assert answer.json["request_id"] == answer.headers["X-Request-ID"]
        assert 'binsight_rejects_total{code="feedback_full"} 1.0' in client.get("/metrics").text

    def test_disk_is_full(self, client: FlaskClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """So does a full disk, and nothing is kept."""
        monkeypatch.setattr(os, "fsync", no_room)
        answer = send(client)
        assert (answer.status_code, answer.json["code"]) == (507, "feedback_full")
        assert kept(tmp_path) == []

    def test_unwritable(self, client: FlaskClient, tmp_path: Path) -> None:
        """A store that cannot be written is 503 and counted; the answer names no path of the server."""
        (tmp_path / "kept" / "photos" / "green").write_text("in the way")
        answer = send(client)
        assert (answer.status_code, answer.json["code"]) == (503, "feedback_unavailable")
        assert str(tmp_path) not in answer.text
        assert "Retry-After" not in answer.headers
        assert 'binsight_rejects_total{code="feedback_unavailable"} 1.0' in client.get("/metrics").text

    def test_locked(self, client: FlaskClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """One that another program holds is 503, with the time to come back."""
        monkeypatch.setattr(sqlite, "_LOCK_TIMEOUT_S", 0.01)
        with closing(sqlite3.connect(tmp_path / "kept" / "feedback.sqlite3", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            answer = send(client)
        assert (answer.status_code, answer.json["code"], answer.headers["Retry-After"]) == (
            503,
            "feedback_unavailable",
            "5",
        )

    def test_other_site(self, client: FlaskClient, tmp_path: Path) -> None:
        """Another site's page cannot have a visitor's browser store anything."""
        answer = send(client, headers={"Origin": "https://elsewhere.example"})
        assert (answer.status_code, kept(tmp_path)) == (403, [])

    @pytest.mark.parametrize(
        "body", [b"", b"--b", b"--b\r\n\r\n", b"junk", b"--b\r\nContent-Disposition: form-data\r\n\r\nx"]
    )
    @pytest.mark.parametrize("kind", ["multipart/form-data; boundary=b", "multipart/form-data", "text/plain", ""])
    def test_malformed(self, client: FlaskClient, body: bytes, kind: str) -> None:
        """A malformed form is the client's fault."""
        answer = client.post("/feedback", data=body, content_type=kind)
        assert 400 <= answer.status_code < 500

    def test_off(self, shared_bundle: Path) -> None:
        """Without a folder for corrections the address does not exist."""
        app = create_app(Settings(models=(str(shared_bundle),), workers=1, access_log=False), load=False)
        assert send(app.test_client()).status_code == 404


def test_no_web_server() -> None:
    """Reading and exporting corrections loads no web framework."""
    code = (
        "import sys, binsight.serving.corrections; print(sorted({'flask', 'werkzeug', 'pydantic'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_hash_is_of_pixels(tmp_path: Path) -> None:
    """Two files with the same pixels and different metadata are one photo."""
    noise = np.random.default_rng(0).integers(0, 255, (24, 24, 3), np.uint8)
    plain, tagged = io.BytesIO(), io.BytesIO()
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "a phone"
    Image.fromarray(noise).save(plain, "PNG")
    Image.fromarray(noise).save(tagged, "PNG", exif=exif)
    store = store_in(tmp_path)
    assert add(store, plain.getvalue())[1] == "stored"
    assert add(store, tagged.getvalue())[1] == "known"
