"""Probes, metrics, version."""

from __future__ import annotations

import re

from tests.serving.conftest import photo, service_of, upload

from binsight import __version__


def test_live_is_not_ready(make_app):
    """A server that still loads lives, and must not be sent photos."""
    app = make_app(load=False)
    client = app.test_client()
    assert client.get("/health/live").status_code == 200
    assert client.get("/health").json == {"status": "loading", "models": []}
    answer = client.get("/health/ready")
    assert (answer.status_code, answer.json["code"]) == (503, "loading")
    service_of(app).load()
    assert client.get("/health/ready").json == {"status": "ready"}
    assert client.get("/health").json == {"status": "ok", "models": ["tiny"]}
    service_of(app).drain(20)
    assert client.get("/health/ready").status_code == 503
    assert client.get("/health/live").json["status"] == "draining"


def test_the_version_says_what_runs(client):
    """For bug reports."""
    assert client.get("/version").json["version"] == __version__


def metrics(client) -> dict[str, float]:
    """Series → value."""
    lines = client.get("/metrics").text.splitlines()
    return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in lines if not line.startswith("#")}


def test_metrics_count_requests_photos_decisions_and_refusals(make_app):
    """Each photo once, each refusal by its code."""
    client = make_app().test_client()
    client.post("/predict", **upload(photo("red"), photo("green"), b"x"))
    client.post("/predict", data=b"x", content_type="image/png")
    found = metrics(client)
    assert found['binsight_requests_total{method="POST",route="/predict",status="200"}'] == 1
    assert found['binsight_requests_total{method="POST",route="/predict",status="415"}'] == 1
    assert found['binsight_categories_total{category="red",model="tiny"}'] == 1
    assert found['binsight_decisions_total{decision="accept",model="tiny",reason="none"}'] == 2
    assert found['binsight_rejects_total{code="not_an_image"}'] == 2
    assert found["binsight_queue_depth"] == 0
    assert found["binsight_pending_bytes"] == 0
    for stage in ("read", "queue", "decode", "infer", "render"):
        assert found[f'binsight_stage_seconds_count{{stage="{stage}"}}'] >= 2


def test_no_client_can_make_the_number_of_series_grow(client):
    """Paths, methods, models, names and codes of their own choice do not become labels."""
    client.get("/nothing")
    client.open("/predict", method="PURGE")
    client.post("/predict?model=none", **upload(photo()))
    before = set(metrics(client))
    for number in range(20):
        client.get(f"/nothing/{number}")
        client.open("/predict", method=f"METHOD{number}")
        client.post(f"/predict?model=none{number}", headers={"User-Agent": str(number)}, **upload(photo()))
        client.get(f"/models/none{number}")
    after = set(metrics(client))
    grown = {re.sub(r'le="[^"]*",?', "", series) for series in after - before}
    assert all('route="/models/<name>"' in series or 'route="/metrics"' in series for series in grown)
