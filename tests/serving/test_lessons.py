"""Teaching over HTTP: photos in, taught, served, undone; every refusal; nothing lost on the way."""

from __future__ import annotations

import io
import multiprocessing
import shutil
import sys
import threading
from typing import TYPE_CHECKING, Any
from urllib.request import Request, urlopen

import numpy as np
import pytest
from PIL import Image
from tests.adapt.world import PLANT_LIGHT, factory_bundle, shots
from tests.patience import PATIENCE_S
from tests.serving.conftest import service_of
from tests.serving.test_server import Process
from tests.tiny_bundle import tiny_bundle

from binsight.bundle import load_bundle, verify_bundle
from binsight.errors import InputError, OutputError, SettingsError
from binsight.serving.app import create_app
from binsight.serving.lesson import Lesson
from binsight.serving.security import new_key
from binsight.serving.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from flask import Flask
    from flask.testing import FlaskClient

KEY, STORED = new_key("boss")
HEADERS = {"Authorization": f"Bearer {KEY}"}
LESSON = "/admin/models/tiny/lesson"

pytestmark = pytest.mark.usefixtures("quick_lessons")


@pytest.fixture(scope="module")
def factory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a bundle that can be taught."""
    return factory_bundle(tmp_path_factory.mktemp("factory") / "tiny")


class Client:
    """A browser with the operator's key, and the application that it talks to."""

    def __init__(self, app: Flask) -> None:
        self.app = app
        self._client: FlaskClient = app.test_client()

    def get(self, path: str = "") -> Any:
        return self._client.get(LESSON + path, headers=HEADERS)

    def post(self, path: str, json: Any = None, **more: Any) -> Any:
        return self._client.post(LESSON + path, headers=HEADERS, **({"json": json} if json is not None else {}), **more)

    def lesson(self) -> Any:
        answer = self.get()
        assert answer.status_code == 200, answer.text
        return answer.json

    def add(self, category: str, data: bytes, kind: str = "image/png") -> Any:
        return self.post(f"/photos?category={category}", data=data, content_type=kind)

    def show(self, **counts: int) -> None:
        """Add photos of classes under the plant's light."""
        for name, count in counts.items():
            category = name.replace("not_waste", "not-waste")
            for data in pictures(category, count):
                assert self.add(category, data).status_code == 201

    def teach(self) -> Any:
        """Teach, and return the lesson when it is done."""
        answer = self.post("/teach")
        assert answer.status_code == 200, answer.text
        return self.wait()

    def wait(self) -> Any:
        """Return the lesson when nothing is being taught any more."""
        pause = threading.Event()
        for _ in range(2400):
            if (lesson := self.lesson())["progress"] is None:
                return lesson
            pause.wait(0.05)
        raise AssertionError("it is taught for ever")


def pictures(name: str, count: int, seed: int = 1) -> list[bytes]:
    """Return the files of photos of a colour under the plant's light."""
    files = []
    for shot in shots(name, count, light=PLANT_LIGHT, seed=seed):
        file = io.BytesIO()
        Image.fromarray(shot).save(file, "PNG")
        files.append(file.getvalue())
    return files


@pytest.fixture
def start(factory: Path, tmp_path: Path) -> Iterator[Callable[..., Client]]:
    """Start servers with lessons in `tmp_path / "lessons"`; they end with the test."""
    apps = []

    def start_(**values: Any) -> Client:
        settings = {"models": (str(factory),), "admin_keys": (STORED,), "access_log": False}
        app = create_app(Settings(**settings | {"teach_dir": tmp_path / "lessons"} | values))
        app.testing = False
        apps.append(app)
        return Client(app)

    yield start_
    for app in apps:
        assert service_of(app).drain(20)


@pytest.fixture
def client(start: Callable[..., Client]) -> Client:
    """Return a client of a server with an empty lesson."""
    return start()


@pytest.fixture(scope="module")
def taught(factory: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """Give a client of a server that was taught two classes, one of them new; tests leave what is served as it was."""
    folder = tmp_path_factory.mktemp("taught")
    app = create_app(
        Settings(models=(str(factory),), admin_keys=(STORED,), access_log=False, teach_dir=folder / "lessons")
    )
    client = Client(app)
    client.post("/classes", {"id": "yellow", "title": "Yellow things", "stream": "recycling", "biodegradable": False})
    client.show(red=6, yellow=6, not_waste=4)
    client.teach()
    yield client
    assert service_of(app).drain(20)


def test_the_whole_story(start: Callable[..., Client], factory: Path, tmp_path: Path) -> None:
    """Photos, teaching, use, restart, undo: at each point the server says where it is."""
    client = start()
    before = client.lesson()
    assert [c["id"] for c in before["classes"]] == ["red", "green", "blue", "not-waste"]
    assert (before["result"], before["can_undo"], before["enough"]) == (None, False, 15)
    client.show(red=6, green=6)
    lesson = client.teach()
    result = lesson["result"]
    assert lesson["fault"] is None
    assert (result["version"], result["is_current"], result["is_served"]) == ("1.0.0-adapted1", True, False)
    assert {c["name"]: c["photos"] for c in result["figures"]["classes"]} == {"red": 6, "green": 6}
    assert "wants about 15" in result["figures"]["classes"][0]["wish"]
    assert verify_bundle(result["file"]) == []

    change = client.post("/use").json
    assert (change["result"], change["version"]) == ("loaded", "1.0.0-adapted1")
    assert client.lesson()["served_version"] == "1.0.0-adapted1"
    again = start()  # as after a restart
    lesson = again.lesson()
    assert (lesson["served_version"], lesson["can_undo"], lesson["result"]["is_served"]) == (
        "1.0.0-adapted1",
        True,
        True,
    )
    assert [len(c["photos"]) for c in lesson["classes"]] == [6, 6, 0, 0]
    assert service_of(again.app).reload("tiny") == "unchanged"  # SIGHUP keeps it
    assert again.post("/undo").json["version"] == "1.0.0"
    assert start().lesson()["served_version"] == "1.0.0"
    refused = again.post("/undo")
    assert (refused.status_code, refused.json["code"]) == (409, "conflict")
    assert load_bundle(factory).manifest.version == "1.0.0"


def test_a_lesson_is_taught_from_the_bundle_of_the_settings(start: Callable[..., Client], tmp_path: Path) -> None:
    """Twice the same photos are not twice the lesson: figures are of photos left out, versions never come again.

    What was served can be gone back to; what was never used is replaced. A rollback, too, holds over a restart.
    """
    client = start()
    client.show(red=4, green=4)
    first = client.teach()["result"]
    client.post("/use")
    client.show(blue=4)
    assert client.lesson()["result"]["is_current"] is False
    client.teach()
    third = client.teach()["result"]
    assert (first["version"], third["version"]) == ("1.0.0-adapted1", "1.0.0-adapted3")
    (lesson,) = load_bundle(third["file"]).manifest.training["adapted"]
    assert (lesson["from"]["version"], lesson["photos"]) == ("1.0.0", {"red": 4, "green": 4, "blue": 4})
    bundles = tmp_path / "lessons" / "tiny" / "bundles"
    assert sorted(path.name for path in bundles.iterdir()) == ["1.0.0-adapted1.zip", "1.0.0-adapted3.zip"]
    answer = client.get("/bundle")
    assert answer.headers["Content-Disposition"] == 'attachment; filename="tiny-1.0.0-adapted3.zip"'
    assert answer.data == (bundles / "1.0.0-adapted3.zip").read_bytes()

    client.post("/use")
    assert client.post("/undo").json["version"] == "1.0.0-adapted1"
    rollback = client.app.test_client().post("/admin/models/tiny/rollback", headers=HEADERS)
    assert rollback.json["version"] == "1.0.0-adapted3"
    assert start().lesson()["served_version"] == "1.0.0-adapted3"
    assert client.post("/undo").json["version"] == "1.0.0-adapted1"
    assert client.post("/undo").json["version"] == "1.0.0"
    assert start().lesson()["served_version"] == "1.0.0"


def test_a_new_class(taught: Client) -> None:
    """It is in the lesson, in the taught bundle's taxonomy, and can be served."""
    lesson = taught.lesson()
    assert [(c["id"], c["is_new"]) for c in lesson["classes"]][3:] == [("yellow", True), ("not-waste", False)]
    yellow = load_bundle(lesson["result"]["file"]).manifest.taxonomy.classes[3]
    assert (yellow.title, yellow.stream, yellow.biodegradable) == ("Yellow things", "recycling", False)
    taught.post("/use")
    answer = taught.app.test_client().post("/predict", data=pictures("yellow", 1, seed=5)[0], content_type="image/png")
    assert "yellow" in answer.json["confidence_scores"]
    taught.post("/undo")


@pytest.mark.parametrize(
    ("new", "said"),
    [
        ({"id": "Red Things", "biodegradable": False}, "the model has that class: red"),
        ({"id": "Not waste", "biodegradable": False}, "none of the classes"),
        ({"id": "test", "biodegradable": False}, "part of a data set"),
        ({"id": "a/b", "biodegradable": False}, "usable as a folder name"),
        ({"id": "glass"}, "biodegradable = true or false for every class"),
        ({"id": "", "biodegradable": False}, "at least 1 character"),
        ({"id": "glass", "colour": "x"}, "colour"),
        ({"id": "never", "remove": True}, "no class that was added"),
    ],
)
def test_classes_that_cannot_be(taught: Client, new: dict[str, Any], said: str) -> None:
    """With the reason; nothing is noted."""
    before = taught.lesson()
    answer = taught.post("/classes", new)
    assert (answer.status_code, answer.json["code"]) == (400, "bad_parameter")
    assert said in answer.json["detail"]
    assert taught.lesson() == before


def test_a_new_class_can_be_changed_and_taken_away(client: Client) -> None:
    """Not while it has photos."""
    client.post("/classes", {"id": "glass", "biodegradable": False})
    client.post("/classes", {"id": "glass", "title": "Jars", "biodegradable": False})
    assert [c["title"] for c in client.lesson()["classes"]][3:4] == ["Jars"]
    photo = client.add("glass", pictures("yellow", 1)[0]).json["id"]
    assert client.post("/classes", {"id": "glass", "remove": True}).json["code"] == "conflict"
    client.post(f"/photos/{photo}", {"category": None})
    assert client.post("/classes", {"id": "glass", "remove": True}).status_code == 200
    assert len(client.lesson()["classes"]) == 4


def test_photos_are_kept_as_they_came(client: Client, tmp_path: Path) -> None:
    """Byte for byte, in the order in which they came; the same one twice is known, in another class it moves."""
    one, other = pictures("red", 2)
    first, second = client.add("red", one), client.add("red", other)
    assert (first.status_code, first.json["outcome"]) == (201, "stored")
    assert client.add("red", one).json == first.json | {"outcome": "known"}
    assert client.lesson()["classes"][0]["photos"] == [first.json["id"], second.json["id"]]
    kept = tmp_path / "lessons" / "tiny" / "photos"
    assert (kept / "red" / f"{first.json['id']}.png").read_bytes() == one
    assert client.add("green", one).json["outcome"] == "moved"
    assert [len(c["photos"]) for c in client.lesson()["classes"]] == [1, 1, 0, 0]
    assert client.post(f"/photos/{first.json['id']}", {"category": "blue"}).json["outcome"] == "moved"
    assert client.post(f"/photos/{first.json['id']}", {"category": None}).json["outcome"] == "removed"
    assert [path.name for path in kept.glob("*/*")] == [f"{second.json['id']}.png"]


def test_a_small_picture_stands_upright(client: Client, tmp_path: Path) -> None:
    """It is made again when it is missing; the photo's own orientation counts, and no metadata are left."""
    exif = Image.Exif()
    exif[0x0112] = 6
    file = io.BytesIO()
    Image.new("RGB", (900, 300), (200, 40, 40)).save(file, "JPEG", exif=exif)
    photo = client.add("red", file.getvalue(), "image/jpeg").json["id"]
    for _ in range(2):
        answer = client.get(f"/photos/{photo}")
        with Image.open(io.BytesIO(answer.data)) as small:
            assert (small.format, small.size, dict(small.getexif())) == ("JPEG", (107, 320), {})
        (tmp_path / "lessons" / "tiny" / "thumbnails" / f"{photo}.jpg").unlink(missing_ok=True)
    assert client.get("/photos/" + "0" * 64).status_code == 404
    assert client.get("/photos/..%2flesson").status_code == 404


def test_photos_that_cannot_be(start: Callable[..., Client]) -> None:
    """Damaged, none, of no class, several, too many of a class, too many in all: said, and nothing is kept."""
    whole = pictures("red", 1)[0]
    noise = np.random.default_rng(0).integers(0, 255, (60, 60, 3), np.uint8)
    large = io.BytesIO()
    Image.fromarray(noise).save(large, "PNG")
    client = start(teach_max_bytes=9000)
    assert client.add("red", whole[: len(whole) // 2]).json["code"] in {"broken", "truncated"}
    assert client.add("red", b"notes").json["code"] == "not_an_image"
    assert client.add("purple", whole).json["code"] == "bad_parameter"
    form = {"file": [(io.BytesIO(data), "a.png") for data in pictures("red", 2)]}
    answer = client.post("/photos?category=red", data=form, content_type="multipart/form-data")
    assert answer.json["code"] == "too_many_files"
    answer = client.add("red", large.getvalue())
    assert (answer.status_code, answer.json["code"]) == (507, "lesson_full")
    assert "--teach-max-mb" in answer.json["detail"]
    assert client.lesson()["bytes"] == 0


def test_a_full_class_says_so(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than are learned from are refused, by adding and by moving."""
    monkeypatch.setattr("binsight.serving.lesson_api.MOST", 2)
    client.show(red=2, green=1)
    answer = client.add("red", pictures("red", 1, seed=7)[0])
    assert (answer.status_code, answer.json["code"]) == (507, "lesson_full")
    photo = client.lesson()["classes"][1]["photos"][0]
    assert client.post(f"/photos/{photo}", {"category": "red"}).json["code"] == "lesson_full"


def test_nonsense_is_refused_with_a_reason(client: Client) -> None:
    """As `binsight adapt` has it, without the server's paths; the lesson stays."""
    client.show(red=4)
    lesson = client.teach()
    assert lesson["fault"].startswith("expected two classes or more, got red alone")
    assert lesson["result"] is None
    assert len(lesson["classes"][0]["photos"]) == 4


def test_one_at_a_time_and_photos_stay_as_they_are(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """While it learns nothing is changed; it can be cancelled, and nothing is left of that."""
    client.show(red=4, green=4)
    held = threading.Event()
    follow = "binsight.serving.teaching.Teaching._follow"
    original = client.app  # keeps the line below short
    from binsight.serving import teaching  # noqa: PLC0415

    real = teaching.Teaching._follow

    def late(self: Any, *arguments: Any) -> None:
        held.wait(PATIENCE_S)
        real(self, *arguments)

    monkeypatch.setattr(follow, late)
    assert original is client.app
    assert client.post("/teach").json["progress"]["stage"] == "Starting"
    for path, body in (("/teach", {}), ("/classes", {"id": "glass", "biodegradable": False})):
        answer = client.post(path, body)
        assert (answer.status_code, answer.json["code"]) == (409, "lesson_busy"), path
    assert client.add("red", pictures("red", 1, seed=8)[0]).json["code"] == "lesson_busy"
    canceller = threading.Thread(target=client.post, args=("/cancel",))
    canceller.start()
    held.set()
    canceller.join(PATIENCE_S)
    lesson = client.wait()
    assert (lesson["fault"], lesson["result"]) == (None, None)
    assert multiprocessing.active_children() == []


def test_a_process_that_dies_is_said(client: Client) -> None:
    """As when the system takes its memory away."""
    client.show(red=4, green=4)
    client.post("/teach")
    for process in multiprocessing.active_children():
        process.kill()
    lesson = client.wait()
    assert "ended early" in lesson["fault"]


@pytest.mark.skipif(sys.platform == "win32", reason="kills as Unix does")
def test_a_server_that_is_killed_while_it_teaches(start: Callable[..., Client], factory: Path, tmp_path: Path) -> None:
    """The process that teaches ends with it; the lesson is there, and says what happened."""
    start().show(red=4, green=4)
    keys = tmp_path / "keys"
    keys.write_text(f"{STORED.name}:{STORED.sha256}\n")
    server = Process("--model", str(factory), "--teach", str(tmp_path / "lessons"), "--admin-keys", str(keys))
    urlopen(Request(f"{server.url}{LESSON}/teach", b"", HEADERS)).close()  # noqa: S310 - a server of this test
    server.process.kill()
    server.wait()  # until nothing holds its standard error any more: the other process has ended too
    lesson = start().lesson()
    assert [len(c["photos"]) for c in lesson["classes"]] == [4, 4, 0, 0]
    if lesson["result"] is None:  # or it was faster than the kill
        assert "the server ended while it taught" in lesson["fault"]
    assert lesson["progress"] is None


def test_what_a_killed_server_left_is_cleared(start: Callable[..., Client], tmp_path: Path) -> None:
    """Drafts of a bundle go; photos stay."""
    start().show(red=2)
    draft = tmp_path / "lessons" / "tiny" / "bundles" / ".binsight-abc"
    draft.mkdir(parents=True)
    (draft / "new").write_bytes(b"half")
    assert len(start().lesson()["classes"][0]["photos"]) == 2
    assert not draft.exists()


def test_only_operators(taught: Client) -> None:
    """Without the key nothing is shown or done; a page of another site cannot use a visitor's.

    The page leads there from its foot, and from where it says that a camera is strange.
    """
    assert taught.app.test_client().get("/").text.count('href="teach"') == 2
    bare = taught.app.test_client()
    assert bare.get(LESSON).status_code == 401
    assert bare.post(LESSON + "/teach", headers={"Authorization": "Bearer x"}).status_code == 401
    foreign = HEADERS | {"Origin": "https://elsewhere.example", "Sec-Fetch-Site": "cross-site"}
    assert bare.post(LESSON + "/teach", headers=foreign).json["code"] == "forbidden"
    assert taught.get().status_code == 200
    assert taught.app.test_client().get("/admin/models/other/lesson", headers=HEADERS).json["code"] == "unknown_model"


def test_without_the_setting(make_app: Any) -> None:
    """There are no such calls, and the page says why."""
    client = make_app(admin_keys=(STORED,)).test_client()
    assert client.get(LESSON, headers=HEADERS).status_code == 404
    page = client.get("/teach")
    assert page.status_code == 404
    assert "--teach" in page.text
    assert 'href="teach"' not in client.get("/").text
    with pytest.raises(SettingsError, match=r"teach_dir \(--teach\) needs admin_keys"):
        Settings(teach_dir="lessons")  # type: ignore[arg-type]  # a path as text will do here


def test_a_model_that_cannot_be_taught_says_why(start: Callable[..., Client], tmp_path: Path) -> None:
    """It has nothing by which it would keep what it knows."""
    client = start(models=(str(tiny_bundle(tmp_path / "bare")),))
    assert "replay.safetensors" in client.lesson()["refusal"]
    assert client.post("/teach").json["code"] == "conflict"


def test_damaged_notes_are_said_and_photos_stay(client: Client, tmp_path: Path) -> None:
    """With what to do."""
    client.show(red=1)
    (tmp_path / "lessons" / "tiny" / "lesson.json").write_text("{")
    answer = client.get()
    assert (answer.status_code, answer.json["code"]) == (503, "lesson_unavailable")
    assert "without it the photos stay" in answer.json["detail"]
    assert len(Lesson(tmp_path / "lessons" / "tiny").photos()) == 1


def test_a_served_bundle_that_is_gone_stops_the_start(start: Callable[..., Client], tmp_path: Path) -> None:
    """With what to do, rather than that the model before is served unnoticed."""
    (tmp_path / "lessons").mkdir()
    (tmp_path / "lessons" / "served.json").write_text('{"models": {"tiny": ["tiny/bundles/gone.zip"]}}')
    with pytest.raises(InputError, match=r"gone\.zip, though served\.json .* bring it back, or delete served\.json"):
        start()


def test_the_same_bundle_in_another_place_can_be_gone_back_to(
    start: Callable[..., Client], factory: Path, tmp_path: Path
) -> None:
    """As where somebody serves the downloaded bundle by `--model` from now on."""
    (tmp_path / "lessons" / "tiny").mkdir(parents=True)
    shutil.copytree(factory, tmp_path / "lessons" / "tiny" / "copy")
    (tmp_path / "lessons" / "served.json").write_text('{"models": {"tiny": ["tiny/copy"]}}')
    client = start()
    assert client.lesson()["can_undo"]
    assert client.post("/undo").status_code == 200
    assert not client.lesson()["can_undo"]


def test_what_cannot_be_written_down_is_not_served(
    start: Callable[..., Client], factory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or a restart would bring another model than people got used to."""
    (tmp_path / "lessons" / "tiny").mkdir(parents=True)
    shutil.copytree(factory, tmp_path / "lessons" / "tiny" / "copy")
    (tmp_path / "lessons" / "served.json").write_text('{"models": {"tiny": ["tiny/copy"]}}')
    client = start()

    def full(*_: object) -> None:
        raise OutputError("no space left")

    monkeypatch.setattr("binsight.serving.placements.write_whole", full)
    assert client.post("/undo").json["code"] == "lesson_unavailable"
    assert client.lesson()["can_undo"]


def test_a_damaged_note_of_what_is_served_stops_the_start(start: Callable[..., Client], tmp_path: Path) -> None:
    """Another model than the one that was put in place must not be served unnoticed."""
    (tmp_path / "lessons").mkdir()
    (tmp_path / "lessons" / "served.json").write_text('{"models": 3}')
    with pytest.raises(InputError, match=r"served\.json"):
        start()
