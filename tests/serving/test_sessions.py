"""A client whose photos are strange as a whole: noticed, said once, counted, and over when it is over."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from PIL import Image
from tests.serving.conftest import photo, service_of, upload
from tests.tiny_bundle import tiny_bundle, tiny_manifest

from binsight.bundle import Manifest
from binsight.predictor import Prediction
from binsight.probability import Decision, ReviewThresholds
from binsight.serving.app import create_app
from binsight.serving.security import new_key
from binsight.serving.sessions import Sessions
from binsight.serving.settings import Settings

# Of photos of one full colour the unfamiliarity is 1; nearer to 1.2 than to 0.2 begins at 0.7. Grey ones have 0.12.
LIMITS = ReviewThresholds(confidence=(0.0,) * 3, unfamiliarity=1.2)
MANIFEST = tiny_manifest(review=LIMITS, training={"unfamiliarity_median": 0.2})
FAMILIAR = (51, 51, 51)


def seen(unfamiliarity: float) -> Prediction:
    """A prediction that was accepted."""
    return Prediction(
        "red", {"red": 1.0}, "unknown", None, Decision("accept"), "", "", "tiny", "1", None, unfamiliarity
    )


def add(sessions: Sessions, *values: float, client: str = "a", model: str = "m") -> list[bool]:
    """For each photo, whether the session has become strange with it."""
    return [sessions.add(client, model, MANIFEST, seen(value))[0] for value in values]


def test_each_client_and_model_counts_for_itself() -> None:
    """A strange camera makes no other one strange, nor strange to another model."""
    sessions = Sessions()
    assert add(sessions, *[0.9] * 19) == [False] * 19
    assert not any(add(sessions, *[0.9] * 19, client="b") + add(sessions, *[0.9] * 19, model="n"))
    assert add(sessions, 0.9) == [True]
    assert sessions.count("strange") == 1


def test_it_is_said_once_until_it_is_over() -> None:
    """Over the last 200 photos: over when six in ten are familiar again, and said anew when it comes again."""
    sessions = Sessions()
    assert sum(add(sessions, *[0.9] * 500)) == 1
    assert not any(add(sessions, *[0.1] * 110))
    assert sessions.count("strange") == 1
    add(sessions, *[0.1] * 20)
    assert sessions.count("strange") == 0
    assert sum(add(sessions, *[0.9] * 500)) == 1


def test_a_long_good_session_that_turns_strange_is_noticed() -> None:
    """However much came before."""
    sessions = Sessions()
    add(sessions, *[0.1] * 5000)
    assert sum(add(sessions, *[0.9] * 200)) == 1


def test_memory_is_bounded() -> None:
    """The client longest unseen is forgotten."""
    sessions = Sessions(most=3)
    add(sessions, *[0.9] * 20, client="old")
    for client in ("x", "y", "old", "z"):
        add(sessions, 0.9, client=client)
    assert sessions.count("strange") == 1
    for client in ("x", "y", "v"):
        add(sessions, 0.9, client=client)
    assert sessions.count("strange") == 0


def test_a_session_ends() -> None:
    """After an hour without a photo, and with another version of the model."""
    now = 0.0
    sessions = Sessions(clock=lambda: now)
    add(sessions, *[0.9] * 20)
    now = 3601.0
    assert sessions.count("strange") == 0
    assert add(sessions, *[0.9] * 20) == [False] * 19 + [True]
    other = tiny_manifest(review=LIMITS, training={"unfamiliarity_median": 0.2}, version="2.0.0")
    assert not sessions.add("a", "m", other, seen(0.9))[1].is_strange


def test_a_named_camera_is_new_until_it_is_familiar_and_stays_so() -> None:
    """By client and model; not forgotten overnight, but by another version of the model."""
    now = 0.0
    sessions = Sessions(clock=lambda: now)

    def state(*values: float, client: str = "a", camera: str | None = "belt", manifest: Manifest = MANIFEST) -> str:
        return [sessions.add(client, "m", manifest, seen(v), camera=camera)[1].state for v in values][-1]

    assert state(*[0.1] * 8) == "new"
    assert (state(0.1, camera=None), state(0.1, camera="bin"), state(0.1, client="b")) == ("familiar", "new", "new")
    assert sessions.count("new") == 3
    assert state(0.1) == "familiar"
    assert sessions.count("new") == 2
    now = 100_000.0
    assert state(0.1) == "familiar"
    assert state(0.1, manifest=tiny_manifest(version="2.0.0")) == "new"


@pytest.fixture(scope="module")
def strange_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a bundle to which photos of full colours are strange, though it accepts them."""
    return tiny_bundle(tmp_path_factory.mktemp("strange") / "tiny", manifest=MANIFEST)


@pytest.fixture
def serve_keys(strange_bundle: Path) -> Iterator[Callable[..., FlaskClient]]:
    """Return a function that gives a client of a server with these settings."""
    apps = []

    def make(**values: object) -> FlaskClient:
        app = create_app(Settings(models=(str(strange_bundle),), access_log=False, max_files=32, **values))
        apps.append(app)
        return app.test_client()

    yield make
    for app in apps:
        assert service_of(app).drain(20)


def test_the_answer_the_log_and_the_metrics_say_it(
    serve_keys: Callable[..., FlaskClient], caplog: pytest.LogCaptureFixture
) -> None:
    """Once in the log, in every answer while it is so; and nothing is accepted."""
    client = serve_keys()
    with caplog.at_level(logging.WARNING, "binsight.serving"):
        first = client.post("/predict", **upload(*[photo("red")] * 19))
        assert first.status_code == 200
        assert first.json is not None
        assert {answer["decision"] for answer in first.json} == {"accept"}
        assert "X-Binsight-Camera" not in first.headers
        assert not caplog.records
        for unlike in (20, 21):
            answer = client.post("/predict", data=photo("green"), content_type="image/png")
            assert answer.headers["X-Binsight-Camera"] == f"strange;unlike={unlike};photos={unlike}"
            assert answer.json is not None
            assert (answer.json["decision"], answer.json["reason"]) == ("review", "strange_camera")
    (record,) = caplog.records
    assert "client 127.0.0.1, model tiny: this camera is strange to tiny: 20 of 20 photos" in record.message
    assert "binsight adapt tiny PHOTOS --out BUNDLE" in record.message
    metrics = client.get("/metrics").text
    assert '\nbinsight_decisions_total{decision="review",model="tiny",reason="strange_camera"} 2.0\n' in metrics
    assert "\nbinsight_strange_clients 1.0\n" in metrics
    assert '\nbinsight_strange_sessions_total{model="tiny"} 1.0\n' in metrics


def test_a_server_may_only_warn(serve_keys: Callable[..., FlaskClient]) -> None:
    """Answers say it, and stay as they are."""
    answer = serve_keys(strange="warn").post("/predict", **upload(*[photo("red")] * 21))
    assert answer.headers["X-Binsight-Camera"] == "strange;unlike=21;photos=21"
    assert answer.json is not None
    assert {one["decision"] for one in answer.json} == {"accept"}


def test_familiar_photos_are_no_reason(
    serve_keys: Callable[..., FlaskClient], caplog: pytest.LogCaptureFixture
) -> None:
    """However many come."""
    file = io.BytesIO()
    Image.new("RGB", (24, 20), FAMILIAR).save(file, "PNG")
    client = serve_keys()
    for _ in range(3):
        answer = client.post("/predict", **upload(*[file.getvalue()] * 32))
        assert "X-Binsight-Camera" not in answer.headers
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_of_a_named_camera_nothing_is_accepted_at_first(serve_keys: Callable[..., FlaskClient]) -> None:
    """Every answer says how it stands; without a name each photo is judged by itself, as a person's few are."""
    file = io.BytesIO()
    Image.new("RGB", (24, 20), FAMILIAR).save(file, "PNG")
    client, camera = serve_keys(), {"X-Binsight-Camera": "belt-3"}
    answer = client.post("/predict", **upload(*[file.getvalue()] * 10), headers=camera)
    assert answer.json is not None
    assert [one["reason"] for one in answer.json] == ["new_camera"] * 8 + [None] * 2
    assert answer.headers["X-Binsight-Camera"] == "familiar;unlike=0;photos=10"
    other = client.post(
        "/predict", data=file.getvalue(), content_type="image/png", headers={"X-Binsight-Camera": "bin"}
    )
    assert other.headers["X-Binsight-Camera"] == "new;unlike=0;photos=1"
    metrics = client.get("/metrics").text
    assert '\nbinsight_decisions_total{decision="review",model="tiny",reason="new_camera"} 9.0\n' in metrics
    assert "\nbinsight_new_cameras 1.0\n" in metrics
    unnamed = client.post("/predict", data=file.getvalue(), content_type="image/png")
    assert unnamed.json is not None
    assert unnamed.json["decision"] == "accept"


def test_by_the_open_inference_protocol_likewise(serve_keys: Callable[..., FlaskClient]) -> None:
    """Where a server only warns, it says it and accepts."""
    tensor = {"name": "images", "shape": [9, 16, 16, 3], "datatype": "UINT8", "data": [[[[51] * 3] * 16] * 16] * 9}
    for settings, expected in (({}, ["review"] * 8 + ["accept"]), ({"strange": "warn"}, ["accept"] * 9)):
        answer = serve_keys(**settings).post(
            "/v2/models/tiny/infer", json={"inputs": [tensor]}, headers={"X-Binsight-Camera": "belt-3"}
        )
        assert answer.headers["X-Binsight-Camera"] == "familiar;unlike=0;photos=9"
        assert answer.json is not None
        (decisions,) = (o["data"] for o in answer.json["outputs"] if o["name"] == "decision")
        assert decisions == expected


def test_a_camera_that_cannot_be_called_so(serve_keys: Callable[..., FlaskClient]) -> None:
    """Is refused before the photo is read."""
    client = serve_keys()
    for name in ("", "-belt", "a b", "belt/3", "x" * 65, "caf\u00e9"):
        answer = client.post(
            "/predict", data=photo("red"), content_type="image/png", headers={"X-Binsight-Camera": name}
        )
        assert answer.status_code == 400
        assert answer.json is not None
        assert answer.json["code"] == "bad_parameter"
        assert answer.json["detail"].startswith("X-Binsight-Camera: expected a name of letters")


def test_a_key_is_a_client(serve_keys: Callable[..., FlaskClient]) -> None:
    """Two cameras behind one address, each with its key; also by the Open Inference Protocol."""
    keys = {name: new_key(name) for name in ("yard", "hall")}
    client = serve_keys(api_keys=tuple(stored for _, stored in keys.values()))
    headers = {name: {"X-API-Key": key} for name, (key, _) in keys.items()}
    pixels = [[[[255, 0, 0]] * 16] * 16] * 20
    tensor = {"name": "images", "shape": [20, 16, 16, 3], "datatype": "UINT8", "data": pixels}
    answer = client.post("/v2/models/tiny/infer", json={"inputs": [tensor]}, headers=headers["yard"])
    assert answer.headers["X-Binsight-Camera"] == "strange;unlike=20;photos=20"
    assert answer.json is not None
    (decisions,) = (o["data"] for o in answer.json["outputs"] if o["name"] == "decision")
    assert decisions == ["accept"] * 19 + ["review"]
    other = client.post("/predict", data=photo("red"), content_type="image/png", headers=headers["hall"])
    assert other.status_code == 200
    assert "X-Binsight-Camera" not in other.headers
