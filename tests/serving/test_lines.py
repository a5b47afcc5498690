"""Lines over HTTP: every call and every refusal."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from tests.line.watched import WatchedLine, jpeg
from tests.serving.conftest import service_of

from binsight.line.film import Film
from binsight.serving import line_schemas
from binsight.serving.app import create_app
from binsight.serving.openapi import openapi_document
from binsight.serving.security import new_key
from binsight.serving.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from flask.testing import FlaskClient

Serve = "Callable[..., FlaskClient]"


@pytest.fixture
def line(tmp_path: Path) -> Iterator[WatchedLine]:
    """Return a line that runs in this process."""
    line = WatchedLine(tmp_path)
    yield line
    line.close()


@pytest.fixture
def serve_lines(shared_bundle: Path) -> Iterator[Callable[..., FlaskClient]]:
    """Make clients of applications that show lines."""
    apps = []

    def serve(*lines: WatchedLine, **settings: Any) -> FlaskClient:
        app = create_app(
            Settings(models=(str(shared_bundle),), access_log=False, **settings),
            lines=[line.monitor for line in lines],
        )
        app.testing = False
        apps.append(app)
        return app.test_client()

    yield serve
    for app in apps:
        assert service_of(app).drain(20)


@pytest.fixture
def client(line: WatchedLine, serve_lines: Callable[..., FlaskClient]) -> FlaskClient:
    """Return a client of a server that shows `line`."""
    return serve_lines(line)


def test_pages(client: FlaskClient) -> None:
    """Pages are strict: nothing inline, nothing from elsewhere; each file that they name is there."""
    assert client.get("/lines").headers["Location"] == "lines/line1"
    for page in ("/lines/line1", "/lines/line1/audit", "/lines/line1/piece/01J"):
        answer = client.get(page)
        assert answer.status_code == 200
        assert "script-src 'self'" in answer.headers["Content-Security-Policy"]
        html = answer.get_data(as_text=True)
        assert "<script>" not in html
        assert "style=" not in html
        assert "http://" not in html
        assert "https://" not in html
        up = page.count("/") - 1
        names = re.findall(r'(?:href|src)="((?:\.\./)*)(static/[^"]+)"', html)
        assert len(names) >= 5
        for dots, name in names:
            assert dots == "../" * up
            assert client.get("/" + name).status_code == 200
    assert client.get("/lines/line2").status_code == 404


def test_list_page(tmp_path: Path, line: WatchedLine, serve_lines: Callable[..., FlaskClient]) -> None:
    """Several lines have a page that lists them."""
    other = WatchedLine(tmp_path, line={"name": "line2"})
    html = serve_lines(line, other).get("/lines").get_data(as_text=True)
    assert 'href="lines/line1"' in html
    assert 'href="lines/line2"' in html
    other.close()


def test_a_server_without_lines(serve_lines: Callable[..., FlaskClient]) -> None:
    """There is nothing at these addresses, in the documentation or in the metrics."""
    client = serve_lines()
    for path in ("/lines", "/lines.json", "/lines/line1/overview"):
        assert client.get(path).status_code == 404
    assert "/lines.json" not in client.get("/openapi.json").json["paths"]
    assert b"binsight_line" not in client.get("/metrics").data


def test_overview(line: WatchedLine, client: FlaskClient) -> None:
    """How it is, in one object."""
    line.piece()
    found = client.get("/lines/line1/overview").json
    assert (found["pieces"], found["here"], found["state"]["camera"]) == (1, True, "ok")
    about = client.get("/lines.json").json["lines"]
    assert [entry["name"] for entry in about] == ["line1"]


def test_pieces(line: WatchedLine, client: FlaskClient) -> None:
    """A list, filtered and by pages; one piece with all that is known; its picture."""
    piece = line.piece(thumbnail="t")
    left = line.review()
    found = client.get("/lines/line1/pieces?limit=1").json
    assert ([entry["id"] for entry in found["pieces"]], found["next"]) == ([left.id], left.id)
    assert [entry["id"] for entry in client.get("/lines/line1/pieces?lane=1").json["pieces"]] == [piece.id]
    assert [entry["id"] for entry in client.get("/lines/line1/pieces?status=fail_safe").json["pieces"]] == [left.id]
    detail = client.get(f"/lines/line1/pieces/{piece.id}").json
    assert [entry["step"] for entry in detail["times"]][-1] == "confirmed"
    picture = client.get(f"/lines/line1/pieces/{piece.id}/picture")
    assert (picture.mimetype, picture.data[:2]) == ("image/jpeg", b"\xff\xd8")
    assert client.get(f"/lines/line1/pieces/{left.id}/picture").json["code"] == "unknown_piece"
    assert detail["views"] == []
    assert client.get("/lines/line1/pieces/nobody").json["code"] == "unknown_piece"


def test_views(line: WatchedLine, client: FlaskClient) -> None:
    """Each view of a piece: what the model said of it, and its picture."""
    view = {"frame": 7, "at": "2026-01-01T00:01:40.000Z", "box": [1, 2, 3, 4], "sharpness": 0.5, "voted": True}
    said = {"category": "red", "decision": "accept", "reason": None, "unfamiliarity": None, "scores": {"red": 0.9}}
    film = Film(b"best", (view | said | {"bytes": 3}, view | said | {"bytes": 2}), b"onetw")
    piece = line.change(line.piece(thumbnail="t"), film=film)
    views = client.get(f"/lines/line1/pieces/{piece.id}").json["views"]
    assert [(entry["frame"], entry["scores"]) for entry in views] == [
        (7, [{"category": "red", "probability": 0.9}])
    ] * 2
    address = f"/lines/line1/pieces/{piece.id}/views"
    assert [client.get(f"{address}/{number}").data for number in (1, 2)] == [b"one", b"tw"]
    assert client.get(f"{address}/1").mimetype == "image/jpeg"
    for number, code in (
        ("3", "unknown_piece"),
        ("0", "unknown_piece"),
        ("9" * 30, "unknown_piece"),
        ("x", "not_found"),
    ):
        assert client.get(f"{address}/{number}").json["code"] == code


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=x", "lane=-1", "status=gone", "before=nobody", "limt=3", "limit=1&limit=2"]
)
def test_bad_query(client: FlaskClient, query: str) -> None:
    """What cannot be asked is refused, not passed over."""
    answer = client.get(f"/lines/line1/pieces?{query}")
    assert (answer.status_code, answer.json["code"]) == (400, "bad_parameter")


def test_shifts_and_alarms(line: WatchedLine, client: FlaskClient) -> None:
    """Sums of shifts; alarms that came and went, the newest first."""
    line.piece()
    line.engine.alarms.set("link", active=True, detail="no connection")
    line.engine.alarms.set("link", active=False)
    assert [shift["pieces"] for shift in client.get("/lines/line1/shifts").json["shifts"]] == [1]
    assert [event["active"] for event in client.get("/lines/line1/alarms").json["events"]] == [False, True]


def test_unknown_line(client: FlaskClient) -> None:
    """Every call of a line that is not there says which there are."""
    for path in ("overview", "events", "frame", "pieces", "pieces/x", "pieces/x/picture", "shifts", "alarms"):
        answer = client.get(f"/lines/nobody/{path}")
        assert (answer.status_code, answer.json["code"]) == (404, "unknown_line")
        assert "line1" in answer.json["detail"]


def test_frame(line: WatchedLine, client: FlaskClient) -> None:
    """The newest picture of the belt; 503 before there is one."""
    assert client.get("/lines/line1/frame").json["code"] == "no_frame"
    line.show(1)
    assert client.get("/lines/line1/frame").data[:2] == b"\xff\xd8"


def test_push(line: WatchedLine, client: FlaskClient) -> None:
    """A device pushes frames; the line gets the newest, with its age and the belt's counts."""
    headers = {
        "X-Binsight-Device": "cam", "X-Binsight-Sequence": "7", "X-Binsight-Age-Ms": "120.5",
        "X-Binsight-Encoder": "42",
    }  # fmt: skip
    answer = client.post("/lines/line1/frames", data=jpeg(), content_type="image/jpeg", headers=headers)
    assert answer.json == {"newest": True}
    again = client.post("/lines/line1/frames", data=jpeg(), content_type="image/jpeg", headers=headers)
    assert again.json == {"newest": False}
    frame = line.source.read(0)
    assert frame is not None
    assert frame.encoder == 42
    assert 0.12 <= line.clock.now() - frame.captured_s < 5


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X-Binsight-Age-Ms", "-1"),
        ("X-Binsight-Age-Ms", "nan"),
        ("X-Binsight-Age-Ms", "soon"),
        ("X-Binsight-Age-Ms", "1e300"),
        ("X-Binsight-Sequence", "-1"),
        ("X-Binsight-Sequence", "1.5"),
        ("X-Binsight-Sequence", "٣"),
        ("X-Binsight-Sequence", "9" * 30),
        ("X-Binsight-Encoder", str(2**32)),
        ("X-Binsight-Device", "x" * 65),
    ],
)
def test_push_with_a_bad_header(client: FlaskClient, name: str, value: str) -> None:
    """A header that cannot be is named."""
    answer = client.post(
        "/lines/line1/frames", data=jpeg(), content_type="image/jpeg", headers={name: value.encode().decode("latin-1")}
    )
    assert (answer.status_code, answer.json["code"]) == (400, "bad_parameter")
    assert name in answer.json["detail"]


@pytest.mark.parametrize(
    ("data", "kind", "code"),
    [
        (b"", "image/jpeg", "empty"),
        (b"%PDF-1.7", "image/jpeg", "not_an_image"),
        (jpeg(), "text/plain", "unsupported_media_type"),
        (b"\xff" * 3_000_000, "image/jpeg", "too_large"),
    ],
)
def test_push_of_no_picture(
    line: WatchedLine, serve_lines: Callable[..., FlaskClient], data: bytes, kind: str, code: str
) -> None:
    """What is no picture, or too large, is refused with the reason."""
    client = serve_lines(line, max_photo_bytes=2_000_000)
    assert client.post("/lines/line1/frames", data=data, content_type=kind).json["code"] == code


def test_push_elsewhere(tmp_path: Path, serve_lines: Callable[..., FlaskClient]) -> None:
    """A line that runs in another program takes nothing here: 409."""
    line = WatchedLine(tmp_path, here=False)
    client = serve_lines(line)
    answer = client.post("/lines/line1/frames", data=jpeg(), content_type="image/jpeg")
    assert (answer.status_code, answer.json["code"]) == (409, "not_here")
    assert client.post("/lines/line1/trigger").json["code"] == "not_here"
    assert client.get("/lines/line1/overview").json["here"] is False
    line.close()


def test_trigger(tmp_path: Path, serve_lines: Callable[..., FlaskClient]) -> None:
    """Something outside says that a piece is there, with counts or without."""
    line = WatchedLine(tmp_path, camera={"trigger": "external"})
    client = serve_lines(line)
    assert client.post("/lines/line1/trigger").json == {"taken": True}
    assert client.post("/lines/line1/trigger", json={"encoder": 5}).json == {"taken": True}
    assert [reading and reading.counts for reading in line.engine.triggers] == [None, 5]
    assert client.post("/lines/line1/trigger", json={"encoder": -5}).json["code"] == "bad_parameter"
    assert client.post("/lines/line1/trigger", data="{", content_type="application/json").status_code == 400
    line.close()


def test_audit(line: WatchedLine, client: FlaskClient) -> None:
    """A piece to label comes without a word of what the model said; a label is kept, another's is not."""
    piece = line.piece(thumbnail="t", audit_probability=0.5)
    item = client.post("/lines/line1/audit/next", json={"auditor": "ada"}).json
    assert item == {"id": piece.id, "open": 1, "labelled": 0, "without_picture": 0}
    kept = client.post(f"/lines/line1/audit/{piece.id}", json={"auditor": "ada", "category": "other"})
    assert kept.json == {"id": piece.id, "category": "other", "open": 0, "labelled": 1}
    taken = client.post(f"/lines/line1/audit/{piece.id}", json={"auditor": "bob", "category": "red"})
    assert (taken.status_code, taken.json["code"]) == (409, "already_labelled")
    for body in (
        {"auditor": "ada", "category": "purple"},
        {"category": "red"},
        {"auditor": "ada", "category": "red", "x": 1},
    ):
        assert client.post(f"/lines/line1/audit/{piece.id}", json=body).json["code"] == "bad_parameter"
    assert client.post("/lines/line1/audit/next", data="x").json["code"] == "unsupported_media_type"


def test_other_sites_change_nothing(line: WatchedLine, client: FlaskClient) -> None:
    """A page of another site cannot label, push or trigger with a visitor's browser."""
    for path in ("audit/next", "audit/x", "frames", "trigger"):
        answer = client.post(f"/lines/line1/{path}", json={}, headers={"Sec-Fetch-Site": "cross-site"})
        assert (answer.status_code, answer.json["code"]) == (403, "forbidden")


def test_keys(line: WatchedLine, serve_lines: Callable[..., FlaskClient]) -> None:
    """Where keys are asked for, pages are open and all that they show needs one."""
    key, stored = new_key("board")
    client = serve_lines(line, api_keys=(stored,))
    assert client.get("/lines/line1").status_code == 200
    assert client.get("/lines/line1/overview").status_code == 401
    assert client.get("/lines/line1/events").status_code == 401
    assert client.get("/lines/line1/overview", headers={"X-API-Key": key}).status_code == 200


def test_ledger_away(line: WatchedLine, client: FlaskClient) -> None:
    """A database that does not answer is 503 with a time to come back, and no page of metrics is lost."""
    line.monitor.account.database = sa.create_engine("sqlite:////nowhere/at/all.sqlite")
    answer = client.get("/lines/line1/pieces")
    assert (answer.status_code, answer.json["code"], answer.headers["Retry-After"]) == (503, "ledger_away", "5")
    assert client.get("/metrics").status_code == 200


def test_stream_without_the_bridge(line: WatchedLine, client: FlaskClient) -> None:
    """Under another server the stream ends after saying all that counts, and the client comes back."""
    line.piece()
    answer = client.get("/lines/line1/events")
    assert answer.mimetype == "text/event-stream"
    retry, event = answer.get_data(as_text=True).strip().split("\n\n")
    assert retry == "retry: 2000"
    name, data = event.split("\n")
    assert name == "event: anew"
    anew = line_schemas.LineAnew.model_validate(json.loads(data.removeprefix("data: ")))
    assert anew.overview.pieces == len(anew.newest) == 1
    assert client.head("/lines/line1/events").status_code == 200


def test_metrics(line: WatchedLine, client: FlaskClient) -> None:
    """Pieces by lane and status, latency, alarms and the frame's age, for Prometheus."""
    line.piece()
    line.piece()
    line.review(latency_ms=None)
    line.engine.alarms.set("link", active=True)
    text = client.get("/metrics").get_data(as_text=True)
    for row in (
        'binsight_line_pieces_total{lane="1",line="line1",status="confirmed"} 2.0',
        'binsight_line_pieces_total{lane="0",line="line1",status="fail_safe"} 1.0',
        'binsight_line_latency_seconds_bucket{le="0.035",line="line1"} 0.0',
        'binsight_line_latency_seconds_bucket{le="0.05",line="line1"} 2.0',
        'binsight_line_latency_seconds_count{line="line1"} 2.0',
        'binsight_line_frame_age_seconds{line="line1"} 0.038',
        'binsight_line_alarm{code="link",line="line1"} 1.0',
        'binsight_line_alarms_total{code="link",line="line1"} 1.0',
        'binsight_line_readable{line="line1"} 1.0',
    ):
        assert row in text


def test_documented(line: WatchedLine, client: FlaskClient) -> None:
    """Every call is in the OpenAPI document, with the problems that it answers with."""
    rules = {
        re.sub(r"<(?:int:)?(\w+)>", r"{\1}", rule.rule)
        for rule in client.application.url_map.iter_rules()
        if rule.endpoint.startswith("lines.")
    }
    paths = openapi_document(Settings(), has_lines=True)["paths"]
    assert {path for path in paths if path.startswith("/lines")} == rules
    assert "409" in paths["/lines/{name}/frames"]["post"]["responses"]
    assert "X-Binsight-Age-Ms" in [p["name"] for p in paths["/lines/{name}/frames"]["post"]["parameters"]]
