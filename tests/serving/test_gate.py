"""What happens to every request: ids, keys, rates, origins, headers, log lines."""

from __future__ import annotations

import io
import json

import pytest
from tests.serving.conftest import photo, upload

from binsight.serving.security import new_key

KEY, STORED = new_key("phone")
ADMIN, STORED_ADMIN = new_key("boss")


def test_without_keys_everyone_may_classify(client):
    """The default, for a server that only its own machine can reach."""
    assert client.post("/predict", **upload(photo())).status_code == 200


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"X-API-Key": "wrong"}])
def test_with_keys_a_wrong_one_is_401(make_app, headers):
    """And the answer says how to send one."""
    client = make_app(api_keys=(STORED,)).test_client()
    for answer in (client.post("/predict", headers=headers, **upload(photo())), client.get("/models", headers=headers)):
        assert (answer.status_code, answer.json["code"]) == (401, "unauthorized")
        assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "headers", [{"Authorization": f"Bearer {KEY}"}, {"X-API-Key": KEY}, {"Authorization": f"Bearer {ADMIN}"}]
)
def test_with_keys_a_right_one_passes(make_app, headers):
    """In either header; an admin's key opens everything."""
    client = make_app(api_keys=(STORED,), admin_keys=(STORED_ADMIN,)).test_client()
    assert client.post("/predict", headers=headers, **upload(photo())).status_code == 200


@pytest.mark.parametrize(
    "path", ["/health", "/health/live", "/health/ready", "/metrics", "/version", "/openapi.json", "/docs", "/", "/v2"]
)
def test_probes_and_pages_need_no_key(make_app, path):
    """Or an orchestrator could not tell that the server lives."""
    assert make_app(api_keys=(STORED,)).test_client().get(path).status_code == 200


def test_a_client_that_asks_too_often_gets_429(make_app):
    """And is told when to come back; probes do not count."""
    client = make_app(rate_limit=0.001, rate_burst=2).test_client()
    codes = [client.post("/predict", **upload(photo())).status_code for _ in range(2)]
    answer = client.post("/predict", **upload(photo()))
    assert (codes, answer.status_code, answer.json["code"]) == ([200, 200], 429, "rate_limited")
    assert int(answer.headers["Retry-After"]) > 1
    assert client.get("/health").status_code == 200


def test_each_key_has_a_rate_of_its_own(make_app):
    """Clients behind one address are told apart by their keys."""
    other, stored = new_key("other")
    client = make_app(api_keys=(STORED, stored), rate_limit=0.001, rate_burst=1).test_client()
    codes = [
        client.post("/predict", headers={"X-API-Key": key}, **upload(photo())).status_code for key in (KEY, KEY, other)
    ]
    assert codes == [200, 429, 200]


def test_a_forwarded_address_is_believed_only_from_a_trusted_proxy(make_app):
    """Otherwise any client could pretend to be many."""
    for proxies, expected in ((0, [200, 429]), (1, [200, 200])):
        client = make_app(rate_limit=0.001, rate_burst=1, trusted_proxies=proxies).test_client()
        codes = [
            client.post("/predict", headers={"X-Forwarded-For": address}, **upload(photo())).status_code
            for address in ("192.0.2.1", "192.0.2.2")
        ]
        assert codes == expected


def test_a_request_id_is_passed_on_if_it_is_one_and_made_otherwise(client):
    """A header that could forge log lines is replaced."""
    assert client.get("/health", headers={"X-Request-ID": "abc-1"}).headers["X-Request-ID"] == "abc-1"
    made = client.get("/health", headers={"X-Request-ID": "a b"}).headers["X-Request-ID"]
    assert len(made) == 32


def test_only_pages_of_listed_origins_may_read_answers(make_app):
    """With the preflight that browsers send first."""
    client = make_app(cors_origins=("https://a.example",)).test_client()
    allowed = client.post("/predict", headers={"Origin": "https://a.example"}, **upload(photo()))
    assert allowed.headers["Access-Control-Allow-Origin"] == "https://a.example"
    other = client.post("/predict", headers={"Origin": "https://b.example"}, **upload(photo()))
    assert "Access-Control-Allow-Origin" not in other.headers
    preflight = client.options(
        "/predict", headers={"Origin": "https://a.example", "Access-Control-Request-Method": "POST"}
    )
    assert preflight.status_code == 204
    assert "POST" in preflight.headers["Access-Control-Allow-Methods"]


def test_a_preflight_needs_no_key(make_app):
    """Browsers send none with it."""
    client = make_app(cors_origins=("https://a.example",), api_keys=(STORED,)).test_client()
    assert client.options("/predict", headers={"Origin": "https://a.example"}).status_code == 204


def test_answers_are_not_sniffed_stored_or_run(client):
    """The headers that keep a browser from doing more with an answer than show it."""
    headers = client.post("/predict", **upload(photo())).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"
    assert headers["Content-Security-Policy"].startswith("default-src 'none'")


def test_the_access_log_has_one_json_object_per_request(make_app):
    """With the id, who, what, how it ended and how long it took; nothing a client sends can break a line."""
    stream = io.StringIO()
    client = make_app(log_stream=stream, api_keys=(STORED,)).test_client()
    client.post("/predict?top=1", headers={"X-API-Key": KEY, "X-Request-ID": "id-1"}, **upload(photo()))
    client.get("/no\nthing\x00" + "x" * 400)
    first, second = (json.loads(line) for line in stream.getvalue().splitlines())
    assert (first["request_id"], first["client"], first["path"]) == ("id-1", "key:phone", "/predict")
    assert (first["status"], first["code"]) == (200, None)
    assert (second["status"], second["code"], len(second["path"])) == (404, "not_found", 200)
    assert KEY not in stream.getvalue()


def test_a_log_that_is_gone_does_not_stop_the_server(make_app):
    """A closed pipe is no reason to refuse photos."""
    stream = io.StringIO()
    client = make_app(log_stream=stream).test_client()
    stream.close()
    assert client.get("/health").status_code == 200


@pytest.mark.parametrize("path", ["/nothing", "/static/../x", "/models/x/y", "/predict/"])
def test_what_is_not_there_is_a_problem_with_status_404(client, path):
    """Not a page of HTML."""
    answer = client.get(path)
    assert (answer.status_code, answer.json["code"]) == (404, "not_found")


def test_a_wrong_method_is_405_and_names_the_right_ones(client):
    """In the header that HTTP has for it."""
    answer = client.get("/predict")
    assert (answer.status_code, answer.json["code"]) == (405, "method_not_allowed")
    assert "POST" in answer.headers["Allow"]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("modle=lab", "did you mean model?"),
        ("Top=3", "did you mean top?"),
        ("x=1", "top, heatmap, model"),
        ("top=1&top=2", "2 times"),
    ],
)
def test_a_parameter_without_effect_is_refused(client, query, message):
    """Misspelled, unknown or given twice: the answer would be another than was asked for."""
    answer = client.post(f"/predict?{query}", **upload(photo()))
    assert (answer.status_code, answer.json["code"]) == (400, "bad_parameter")
    assert message in answer.json["detail"]


def test_calls_without_parameters_say_so(client):
    """A page may still be asked for with whatever a cache or a campaign adds."""
    assert "none here" in client.get("/models?modle=lab").json["detail"]
    assert client.get("/health?x=1").status_code == 200
    assert client.get("/?utm_source=x").status_code == 200
