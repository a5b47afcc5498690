"""`/predict` and `/models`."""

from __future__ import annotations

import base64
import io
import json
import math
import threading

import numpy as np
import pytest
from PIL import Image
from tests.patience import PATIENCE_S
from tests.serving.conftest import photo, service_of, upload

from binsight.predictor import Predictor


def test_the_original_call_gives_the_original_keys_first(client):
    """`curl -F file=@can.jpg …/predict` works as it always did."""
    answer = client.post("/predict", **upload(photo("green")))
    assert answer.status_code == 200
    assert list(answer.json)[:3] == ["predicted_category", "biodegradability", "confidence_scores"]
    assert answer.json["predicted_category"] == "green"
    assert answer.json["biodegradability"] == "biodegradable"


def test_the_scores_are_the_model_s(client):
    """A red photo has the logits (4, 0, 0); the scores are their softmax and sum to 1."""
    answer = client.post("/predict", data=photo("red"), content_type="image/png").json
    expected = math.exp(4) / (math.exp(4) + 2)
    assert answer["confidence"] == pytest.approx(expected, abs=1e-6)
    assert sum(answer["confidence_scores"].values()) == pytest.approx(1, abs=1e-5)
    assert answer["model"] == {"name": "tiny", "version": "1.0.0", "precision": "float"}
    assert set(answer["timing_ms"]) == {"decode", "infer"}


def test_the_answer_is_the_library_s_answer(client, shared_bundle):
    """Over HTTP or from Python, but for the time it took."""
    data = photo("blue", "JPEG")
    answer = client.post("/predict", data=data, content_type="image/jpeg").json
    expected = Predictor.load(shared_bundle).predict_bytes(data).to_dict()
    assert {**answer, "timing_ms": 0} == {**expected, "timing_ms": 0}


def test_all_three_ways_to_send_a_photo_agree(client):
    """Form, raw body, base64 in JSON."""
    data = photo("green")
    answers = [
        client.post("/predict", **upload(data)),
        client.post("/predict", data=data, content_type="image/png"),
        client.post("/predict", json={"image_base64": base64.b64encode(data).decode()}),
    ]
    assert len({json.dumps({**a.json, "timing_ms": 0}) for a in answers}) == 1


def test_several_photos_give_a_list_in_order_each_with_its_own_result_or_error(client):
    """One that cannot be read does not spoil the others."""
    answer = client.post("/predict", **upload(photo("red"), b"no photo", b"", photo("blue")))
    assert answer.status_code == 200
    results = answer.json
    assert [r.get("predicted_category") for r in results] == ["red", None, None, "blue"]
    assert [r["source"] for r in results] == ["a.png"] * 4
    assert (results[1]["error"]["code"], results[1]["error"]["status"]) == ("not_an_image", 415)
    assert (results[2]["error"]["code"], results[2]["error"]["status"]) == ("empty", 400)


def test_top_lists_the_most_probable_categories(client):
    """Most probable first, as many as there are at most."""
    answer = client.post("/predict?top=2", data=photo("blue"), content_type="image/png").json
    assert [entry["category"] for entry in answer["top"]] == ["blue", "red"]
    assert answer["top"][0]["confidence"] == answer["confidence"]
    assert len(client.post("/predict?top=99", **upload(photo())).json["top"]) == 3


def test_heatmap_is_a_png_of_the_photo_and_changes_nothing_else(client):
    """Not larger than what fits a screen, in the photo's proportions."""
    data = photo("red", size=(2000, 1000))
    plain = client.post("/predict", data=data, content_type="image/png").json
    answer = client.post("/predict?heatmap=1", data=data, content_type="image/png").json
    head, _, body = answer.pop("heatmap").partition(",")
    assert head == "data:image/png;base64"
    assert Image.open(io.BytesIO(base64.b64decode(body))).size == (768, 384)
    assert {**answer, "timing_ms": 0} == {**plain, "timing_ms": 0}


def test_a_model_can_be_chosen(make_app, shared_bundle, zipped):
    """The first one answers where none is asked for; another name is a 404."""
    client = make_app(models=(f"a={shared_bundle}", f"b={zipped}")).test_client()
    assert client.post("/predict?model=b", **upload(photo())).status_code == 200
    answer = client.post("/predict?model=c", **upload(photo()))
    assert (answer.status_code, answer.json["code"]) == (404, "unknown_model")


@pytest.mark.parametrize("query", ["top=0", "top=x", "top=1001", "heatmap=maybe", "model=", "top=-1&heatmap=2"])
def test_a_bad_parameter_is_named(client, query):
    """All of them at once, and their values are not repeated."""
    answer = client.post(f"/predict?{query}", **upload(photo()))
    assert (answer.status_code, answer.json["code"]) == (400, "bad_parameter")
    assert {e["field"] for e in answer.json["errors"]} == {part.split("=")[0] for part in query.split("&")}


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        (b"", 400, "empty"),
        (b"hello", 415, "not_an_image"),
        (photo()[:60], 422, "truncated"),
        (photo("red", "JPEG", (400, 300))[:400], 422, "truncated"),
        (b"\xff\xd8\xff" + b"x" * 100, 422, "broken"),
    ],
)
def test_a_photo_that_cannot_be_read_gets_its_status(client, data, status, code):
    """400, 415, 422: with a stable code."""
    answer = client.post("/predict", data=data, content_type="image/jpeg")
    assert (answer.status_code, answer.json["status"]) == (status, status)
    assert answer.json["code"] in {code, "broken"}
    assert answer.mimetype == "application/problem+json"


def test_a_photo_over_the_limits_is_413(make_app):
    """In bytes or in pixels."""
    client = make_app(max_photo_bytes=2000, max_pixels=100).test_client()
    for data in (photo(size=(11, 10)), photo() + b"x" * 2000):
        answer = client.post("/predict", data=data, content_type="image/png")
        assert (answer.status_code, answer.json["code"]) == (413, "too_large")


def test_eight_clients_with_one_file_name_each_get_their_own_answer(app):
    """The original's fault: photos of one name overwrote each other."""
    colours = ["red", "green", "blue"]
    wrong: list[str] = []

    def ask(number: int) -> None:
        client = app.test_client()
        for turn in range(12):
            colour = colours[(number + turn) % 3]
            answer = client.post("/predict", **upload(photo(colour), name="photo.png"))
            if answer.status_code != 200 or answer.json["predicted_category"] != colour:
                wrong.append(f"{colour}: {answer.status_code} {answer.text}")

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert wrong == []


def test_a_full_queue_is_429_with_retry_after(make_app, monkeypatch, gate):
    """At once: the photo is not even received."""
    app = make_app(queue_size=1, max_files=1, workers=1)
    gate.hold(monkeypatch, service_of(app).store.get())
    answers = []

    def ask():
        answers.append(app.test_client().post("/predict", **upload(photo())).status_code)

    first, second = threading.Thread(target=ask), threading.Thread(target=ask)
    first.start()
    assert gate.entered.acquire(timeout=PATIENCE_S)
    second.start()
    while service_of(app).queue.depth == 0 and second.is_alive():
        second.join(0.01)
    refused = app.test_client().post("/predict", **upload(photo()))
    gate.opened.set()
    first.join(PATIENCE_S)
    second.join(PATIENCE_S)
    assert (refused.status_code, refused.json["code"]) == (429, "queue_full")
    assert int(refused.headers["Retry-After"]) >= 1
    assert answers == [200, 200]


def test_a_photo_that_waits_too_long_is_503_and_not_computed(make_app, monkeypatch, gate):
    """The deadline counts from when the photo arrived."""
    app = make_app(workers=1, deadline_s=0.2)
    model = service_of(app).store.get()
    gate.hold(monkeypatch, model)
    first = threading.Thread(target=lambda: app.test_client().post("/predict", **upload(photo())))
    first.start()
    assert gate.entered.acquire(timeout=PATIENCE_S)
    answer = app.test_client().post("/predict", **upload(photo()))
    gate.opened.set()
    first.join(PATIENCE_S)
    assert (answer.status_code, answer.json["code"]) == (503, "deadline")
    assert answer.headers["Retry-After"]
    assert not gate.entered.acquire(blocking=False)


def test_before_the_model_is_loaded_and_while_draining_photos_get_503(make_app):
    """With Retry-After, so that clients come back."""
    app = make_app(load=False)
    client, service = app.test_client(), service_of(app)
    answer = client.post("/predict", **upload(photo()))
    assert (answer.status_code, answer.json["code"]) == (503, "loading")
    service.load()
    assert client.post("/predict", **upload(photo())).status_code == 200
    assert service.drain(20)
    answer = client.post("/predict", **upload(photo()))
    assert (answer.status_code, answer.json["code"]) == (503, "draining")
    assert answer.headers["Retry-After"]


def test_a_mistake_of_the_server_is_500_without_a_word_of_why(app, client, monkeypatch, caplog):
    """The log has the traceback, the client a request id."""
    model = service_of(app).store.get()
    for engine in (model.narrow, model.wide):
        monkeypatch.setattr(engine, "run", lambda *_: 1 / 0)
    answer = client.post("/predict", headers={"X-Request-ID": "id-1"}, **upload(photo()))
    assert (answer.status_code, answer.json["code"], answer.json["request_id"]) == (500, "internal", "id-1")
    assert "ZeroDivisionError" not in answer.text
    assert "ZeroDivisionError" in caplog.text


def test_models_are_listed_and_described(client):
    """The default one is marked; classes say what they mean."""
    (summary,) = client.get("/models").json["models"]
    assert (summary["name"], summary["default"], summary["previous_version"]) == ("tiny", True, None)
    detail = client.get("/models/tiny").json
    assert [c["id"] for c in detail["classes"]] == ["red", "green", "blue"]
    assert detail["input_size"] == [16, 16]
    assert detail["metrics"]["val"]["values"]["accuracy"]["value"] == 1.0
    assert client.get("/models/none").status_code == 404


def test_a_batch_of_photos_agrees_with_each_alone(make_app):
    """Whatever is run together, the scores do not change."""
    client = make_app().test_client()
    rng = np.random.default_rng(5)
    photos = []
    for _ in range(8):
        file = io.BytesIO()
        Image.fromarray(rng.integers(0, 256, (20, 20, 3), dtype=np.uint8)).save(file, "PNG")
        photos.append(file.getvalue())
    together = client.post("/predict", **upload(*photos)).json
    for data, entry in zip(photos, together, strict=True):
        alone = client.post("/predict", data=data, content_type="image/png").json
        assert entry["confidence_scores"] == pytest.approx(alone["confidence_scores"], abs=1e-4)
