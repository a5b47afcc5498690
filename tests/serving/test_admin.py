"""Reload and rollback over HTTP."""

from __future__ import annotations

import pytest
from tests.serving.conftest import photo, upload
from tests.serving.test_models import flip_a_bit, remove, replace

from binsight.serving.models import ModelStore, ReloadBusyError
from binsight.serving.security import new_key

ADMIN, STORED = new_key("boss")
HEADERS = {"Authorization": f"Bearer {ADMIN}"}


@pytest.fixture
def boss(make_app, bundle):
    """Return a client of a server whose admin calls are on, with a bundle of the test's own."""
    return make_app(models=(str(bundle),), admin_keys=(STORED,)).test_client()


def test_without_an_admin_key_there_are_no_admin_calls(client):
    """Not even as forbidden ones."""
    assert client.post("/admin/models/tiny/reload").status_code == 404


def test_a_wrong_key_is_401(boss):
    """Also no key, and also one that may only classify."""
    for headers in ({}, {"X-API-Key": "wrong"}):
        assert boss.post("/admin/models/tiny/reload", headers=headers).status_code == 401


def test_a_new_version_answers_after_the_reload_and_the_old_one_after_the_rollback(boss, bundle):
    """Between one request and the next."""
    replace(bundle, "2.0.0")
    answer = boss.post("/admin/models/tiny/reload", headers=HEADERS)
    assert answer.json == {"name": "tiny", "result": "loaded", "version": "2.0.0", "previous_version": "1.0.0"}
    assert boss.post("/predict", **upload(photo())).json["model"]["version"] == "2.0.0"
    assert boss.post("/admin/models/tiny/reload", headers=HEADERS).json["result"] == "unchanged"
    assert boss.post("/admin/models/tiny/rollback", headers=HEADERS).json["version"] == "1.0.0"
    assert boss.post("/predict", **upload(photo())).json["model"]["version"] == "1.0.0"


@pytest.mark.parametrize("damage", [flip_a_bit, remove])
def test_a_broken_bundle_is_422_names_no_path_and_changes_nothing(boss, bundle, damage):
    """The model that was there goes on."""
    replace(bundle, "2.0.0")
    damage(bundle)
    answer = boss.post("/admin/models/tiny/reload", headers=HEADERS)
    assert (answer.status_code, answer.json["code"]) == (422, "bundle")
    assert str(bundle.parent) not in answer.text
    assert boss.post("/predict", **upload(photo())).json["model"]["version"] == "1.0.0"


def test_nothing_to_roll_back_to_is_409(boss):
    """And an unknown model is 404."""
    answer = boss.post("/admin/models/tiny/rollback", headers=HEADERS)
    assert (answer.status_code, answer.json["code"]) == (409, "conflict")
    assert boss.post("/admin/models/none/rollback", headers=HEADERS).status_code == 404
    assert boss.post("/admin/models/none/reload", headers=HEADERS).status_code == 404


def test_another_site_s_page_cannot_use_an_admin_s_browser(boss):
    """Calls that change something are taken from the server's own origin only."""
    answer = boss.post("/admin/models/tiny/reload", headers={**HEADERS, "Origin": "https://evil.example"})
    assert (answer.status_code, answer.json["code"]) == (403, "forbidden")
    own = boss.post("/admin/models/tiny/reload", headers={**HEADERS, "Origin": "http://localhost"})
    assert own.status_code == 200


@pytest.mark.parametrize("origin", ["http://[", "null", "", "http://x:99999999", "\xe9", "a, b"])
def test_a_malformed_origin_is_403(boss, origin):
    """It is no page of this server, and no mistake of it."""
    answer = boss.post("/admin/models/tiny/reload", headers={**HEADERS, "Origin": origin})
    assert (answer.status_code, answer.json["code"]) == (403, "forbidden")


@pytest.mark.parametrize("name", ["Sec-Fetch-Site", "Host", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"])
@pytest.mark.parametrize("value", ["http://[", "::", "a, b", "x y", "\xe9", ""])
def test_no_malformed_header_is_a_mistake_of_the_server(make_app, bundle, name, value):
    """Whatever a client or a proxy writes there."""
    app = make_app(models=(str(bundle),), admin_keys=(STORED,), trusted_proxies=1)
    headers = {**HEADERS, "Origin": "http://localhost", name: value}
    assert app.test_client().post("/admin/models/tiny/reload", headers=headers).status_code < 500


def test_a_rollback_is_kept_by_reloads_until_one_is_forced(boss, bundle):
    """What was rolled back is not brought back by a call that only says reload, and is told apart from a bad bundle."""
    replace(bundle, "2.0.0")
    boss.post("/admin/models/tiny/reload", headers=HEADERS)
    boss.post("/admin/models/tiny/rollback", headers=HEADERS)
    answer = boss.post("/admin/models/tiny/reload", headers=HEADERS)
    assert (answer.status_code, answer.json["code"]) == (409, "rolled_back")
    assert "force=1" in answer.json["detail"]
    metrics = boss.get("/metrics").text
    assert 'binsight_model_changes_total{model="tiny",result="kept"} 1.0' in metrics
    assert 'result="refused"' not in metrics
    assert boss.post("/admin/models/tiny/reload?force=maybe", headers=HEADERS).json["code"] == "bad_parameter"
    forced = boss.post("/admin/models/tiny/reload?force=1", headers=HEADERS)
    assert forced.json == {"name": "tiny", "result": "loaded", "version": "2.0.0", "previous_version": "1.0.0"}


@pytest.mark.parametrize("call", ["reload", "rollback"])
def test_a_call_during_another_reload_is_told_when_to_come_back(boss, monkeypatch, call):
    """It says nothing about the bundle, and is counted apart from refused ones."""

    def busy(*_args, **_options):
        raise ReloadBusyError("another reload is under way")

    monkeypatch.setattr(ModelStore, call, busy)
    answer = boss.post(f"/admin/models/tiny/{call}", headers=HEADERS)
    assert (answer.status_code, answer.json["code"], answer.headers["Retry-After"]) == (409, "reload_busy", "1")
    assert 'result="refused"' not in boss.get("/metrics").text
