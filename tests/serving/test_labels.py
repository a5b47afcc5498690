"""The calls of `/label`: keys whose names are the labellers, blind items, answers that count once."""

from __future__ import annotations

import pytest
from tests.loop.filling import jpeg, put
from tests.serving.conftest import service_of

from binsight.loop.standing import read_status
from binsight.serving.security import new_key

KEYS = {name: new_key(name) for name in ("ada", "bob")}


@pytest.fixture
def app(make_app, tmp_path):
    """Return an application with three photos to label, each by one person."""
    app = make_app(loop_dir=tmp_path / "loop", label_keys=tuple(stored for _, stored in KEYS.values()))
    queue = service_of(app).keeper.queue
    for number in range(3):
        put(queue, number)
    with queue.changing() as rows:
        rows.execute("UPDATE items SET is_double = 0")
    return app


def call(app, path, who="ada", **values):
    """Return status and JSON of a call."""
    headers = {"Authorization": f"Bearer {KEYS[who][0]}"}
    answer = app.test_client().post(f"/label/{path}", headers=headers, json=values)
    return answer.status_code, answer.json


def test_without_keys_there_is_no_labelling(make_app, tmp_path):
    """And without a right key neither, but for the empty page."""
    assert make_app(loop_dir=tmp_path / "a").test_client().get("/label").status_code == 404


def test_a_key_is_asked_for(app):
    """One that may only classify, or none, does not do."""
    assert app.test_client().get("/label").status_code == 200
    assert app.test_client().post("/label/next", json={}).status_code == 401
    assert app.test_client().get(f"/label/items/{'0' * 64}/photo").status_code == 401


def test_two_people_label_everything_once(app):
    """Each answer is told to be written; the same event again changes nothing; who is late is told."""
    queue = service_of(app).keeper.queue
    (first,) = call(app, "next")[1]["items"]
    others = call(app, "next", "bob", count=5)[1]["items"]
    assert len({first["id"], *(o["id"] for o in others)}) == 3
    assert set(first) == {"id", "until"}
    for _ in range(2):
        assert call(app, f"items/{first['id']}", answer="red", event="00000001", ms=800) == (200, {"id": first["id"]})
    late = call(app, f"items/{first['id']}", "bob", answer="red", event="00000002")
    assert (late[0], late[1]["code"]) == (409, "already_labelled")
    for item in others:
        assert call(app, f"items/{item['id']}", "bob", answer="not_waste", event=item["id"][:8])[0] == 200
    assert read_status(queue).labellers == {"ada": 1, "bob": 2}
    assert call(app, "next")[1] == {"items": [], "labelled": 1, "open": 0}


def test_undo_skip_and_reveal(app):
    """On the server, so that they work from any page."""
    item = call(app, "next")[1]["items"][0]["id"]
    assert call(app, "undo")[1] == {"item": None}
    call(app, f"items/{item}", answer="red", event="00000001")
    assert call(app, "undo")[1]["item"]["id"] == item
    assert call(app, f"items/{item}/skip")[0] == 200
    assert call(app, f"items/{item}/reveal")[1] == {"category": "red", "confidence": 0.9}
    assert call(app, "next", count=3)[1]["items"][-1]["id"] == item


def test_a_photo_is_shown_to_labellers(app):
    """By its id alone."""
    headers = {"X-API-Key": KEYS["ada"][0]}
    item = call(app, "next")[1]["items"][0]["id"]
    client = app.test_client()
    assert client.get(f"/label/items/{item}/photo", headers=headers).data in [jpeg(n) for n in range(3)]
    for nothing in ("0" * 64, "..%2fqueue.sqlite3", "x"):
        assert client.get(f"/label/items/{nothing}/photo", headers=headers).json["code"] in {
            "unknown_photo",
            "not_found",
        }
    status = client.get("/label/status", headers=headers).json
    assert (status["labeller"], [c["id"] for c in status["classes"]]) == ("ada", ["red", "green", "blue"])


@pytest.mark.parametrize(
    "values",
    [{"answer": "purple", "event": "00000001"}, {"answer": "red"}, {"answer": "red", "event": "x" * 8, "n": 1}],
)
def test_what_is_no_answer_is_400(app, values):
    """Nothing is written."""
    item = call(app, "next")[1]["items"][0]["id"]
    assert call(app, f"items/{item}", **values)[0] == 400
    assert read_status(service_of(app).keeper.queue).labellers == {}


def test_a_visible_person_has_the_photo_deleted(app):
    """At once."""
    queue = service_of(app).keeper.queue
    item = call(app, "next")[1]["items"][0]["id"]
    assert call(app, f"items/{item}", answer="person", event="00000001")[0] == 200
    assert not queue.photo(item).exists()
    assert call(app, f"items/{item}/reveal")[1]["code"] == "unknown_photo"
