"""`/lines/{name}/…`: how lines are, their pieces and alarms, the audit, and frames that devices push."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from flask import Blueprint, Response, request

from binsight.errors import BinsightError, ImageError, InputError
from binsight.serving import line_schemas as schemas
from binsight.serving.api import add_view, parse_body, parse_query
from binsight.serving.line_port import Line
from binsight.serving.problems import ProblemError, answer_error
from binsight.serving.schemas import Answer
from binsight.serving.service import current_service
from binsight.serving.streams import STREAMS, Broadcaster, Event
from binsight.serving.uploads import read_body

__all__ = ["lines_blueprint"]

_MAX_DEVICE = 64


class _Desk:
    """The lines of one server, each with its stream of events."""

    def __init__(self, lines: Sequence[Line]) -> None:
        self._lines = {line.name: (line, Broadcaster(_collector(line), _anew(line))) for line in lines}

    @property
    def lines(self) -> Iterable[Line]:
        return [line for line, _ in self._lines.values()]

    def line(self, name: str) -> Line:
        return self._find(name)[0]

    def stream(self, name: str) -> Broadcaster:
        return self._find(name)[1]

    def _find(self, name: str) -> tuple[Line, Broadcaster]:
        if name not in self._lines:
            raise ProblemError("unknown_line", f"expected one of {', '.join(self._lines)}, got {name[:64]!r}")
        return self._lines[name]


def _collector(line: Line) -> Callable[[], Iterable[Event]]:
    return lambda: (Event(name, data, passing) for name, data, passing in line.news())


def _anew(line: Line) -> Callable[[], Event]:
    return lambda: Event("anew", line.anew())


def lines_blueprint(lines: Sequence[Line]) -> Blueprint:
    """Everything about `lines` that is JSON or a picture."""
    blueprint, desk = Blueprint("lines", __name__), _Desk(lines)

    blueprint.register_error_handler(BinsightError, lambda error: answer_error(_problem(error)))
    route = partial(add_view, blueprint)
    route(
        "/lines.json", "list", lambda: schemas.LineList.model_validate({"lines": [line.about() for line in desk.lines]})
    )
    route(
        "/lines/<name>/overview",
        "overview",
        lambda name: schemas.LineOverview.model_validate(desk.line(name).overview()),
    )
    route("/lines/<name>/events", "events", lambda name: _events(desk.stream(name)))
    route("/lines/<name>/frame", "frame", lambda name: _frame(desk.line(name)))
    route("/lines/<name>/frames", "push", lambda name: _push(desk.line(name)), "POST")
    route("/lines/<name>/trigger", "trigger", lambda name: _trigger(desk.line(name)), "POST")
    route("/lines/<name>/pieces", "pieces", lambda name: _pieces(desk.line(name)))
    route("/lines/<name>/pieces/<piece>", "piece", lambda name, piece: _piece(desk.line(name), piece))
    route("/lines/<name>/pieces/<piece>/picture", "picture", lambda name, piece: _picture(desk.line(name), piece))
    route(
        "/lines/<name>/pieces/<piece>/views/<int:view>",
        "view",
        lambda name, piece, view: _picture(desk.line(name), piece, view),
    )
    route("/lines/<name>/shifts", "shifts", lambda name: _shifts(desk.line(name)))
    route("/lines/<name>/alarms", "alarms", lambda name: _alarms(desk.line(name)))
    route("/lines/<name>/audit/next", "audit_next", lambda name: _audit_next(desk.line(name)), "POST")
    route("/lines/<name>/audit/<piece>", "audit", lambda name, piece: _audit(desk.line(name), piece), "POST")
    return blueprint


def _problem(error: BinsightError) -> BinsightError:
    """What a line refuses, as a problem."""
    if isinstance(error, ProblemError | ImageError):
        return error
    if error.code in {"not_here", "already_labelled"}:
        return ProblemError(error.code, str(error))
    if error.code == "ledger_away":
        return ProblemError("ledger_away", str(error), retry_after_s=5)
    if error.code == "label" or isinstance(error, InputError):
        return ProblemError("bad_parameter", str(error))
    return error


def _events(stream: Broadcaster) -> Response:
    """The stream goes on after this answer, without a thread, where the server can do that; else the client returns."""
    query = parse_query(request.args, schemas.EventsQuery)
    streams: list[Any] | None = request.environ.get(STREAMS)
    if request.method != "GET" or streams is None:
        return _stream_head(stream.first())
    subscription = stream.subscribe(without=() if query.frames else ("frame",))
    try:
        response = _stream_head(stream.first())
    except BaseException:
        subscription.close()
        raise
    streams.append(subscription)
    return response


def _stream_head(first: bytes) -> Response:
    response = Response(b"retry: 2000\n\n" + first, mimetype="text/event-stream")
    response.automatically_set_content_length = False
    del response.headers["Content-Length"]
    response.headers["X-Accel-Buffering"] = "no"  # nginx would keep it back
    return response


def _frame(line: Line) -> Response:
    jpeg = line.jpeg()
    if jpeg is None:
        raise ProblemError("no_frame", "the line runs elsewhere, or its camera gave nothing yet", retry_after_s=2)
    return Response(jpeg, mimetype="image/jpeg")


def _push(line: Line) -> Answer:
    kind = request.mimetype
    if not kind.startswith("image/"):
        raise ProblemError("unsupported_media_type", f"expected image/jpeg, got {kind[:100] or 'no content type'!r}")
    faults: list[dict[str, str]] = []
    age_ms = _number("X-Binsight-Age-Ms", faults, high=86_400_000.0)
    sequence = _whole("X-Binsight-Sequence", faults, high=2**53)
    encoder = _whole("X-Binsight-Encoder", faults, high=2**32 - 1)
    device = request.headers.get("X-Binsight-Device", "")
    if len(device) > _MAX_DEVICE or not device.isprintable():
        faults.append({"field": "X-Binsight-Device", "message": f"expected at most {_MAX_DEVICE} printable characters"})
    if faults:
        detail = "; ".join(f"{fault['field']}: {fault['message']}" for fault in faults)
        raise ProblemError("bad_parameter", detail, extra={"errors": faults})
    data = read_body(request, current_service().settings.max_photo_bytes)
    newest = line.push(data, device=device, sequence=sequence, age_s=(age_ms or 0) / 1000, encoder=encoder)
    return schemas.FrameAnswer.model_validate({"newest": newest})


def _number(name: str, faults: list[dict[str, str]], *, high: float) -> float | None:
    text = request.headers.get(name)
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= high:
        faults.append({"field": name, "message": f"expected a number from 0 to {high:,.0f}"})
    return value


def _whole(name: str, faults: list[dict[str, str]], *, high: int) -> int | None:
    text = request.headers.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= 16 and int(text) <= high):
        faults.append({"field": name, "message": f"expected a whole number from 0 to {high:,}"})
        return None
    return int(text)


def _trigger(line: Line) -> Answer:
    line.trigger(parse_body(schemas.TriggerBody).encoder if request.content_length else None)
    return schemas.TriggerAnswer.model_validate({"taken": True})


def _pieces(line: Line) -> Answer:
    query = parse_query(request.args, schemas.PiecesQuery)
    statuses = () if query.status is None else (query.status,)
    found = line.account.pieces(limit=query.limit, before=query.before, lane=query.lane, statuses=statuses)
    return schemas.PieceList.model_validate(found)


def _piece(line: Line, piece: str) -> Answer:
    found = line.account.piece(piece)
    if found is None:
        raise ProblemError("unknown_piece", f"the ledger of {line.name} has no piece {piece[:26]!r}")
    return schemas.PieceDetail.model_validate(found)


def _picture(line: Line, piece: str, view: int | None = None) -> Response:
    jpeg = line.account.picture(piece, view)
    if jpeg is None:
        raise ProblemError("unknown_piece", f"no such picture of {piece[:26]!r} is kept")
    return Response(jpeg, mimetype="image/jpeg", headers={"Cache-Control": "private, max-age=3600"})


def _shifts(line: Line) -> Answer:
    return schemas.ShiftList.model_validate(line.shifts(parse_query(request.args, schemas.CountQuery).count))


def _alarms(line: Line) -> Answer:
    return schemas.AlarmList.model_validate(line.account.events(parse_query(request.args, schemas.LimitQuery).limit))


def _audit_next(line: Line) -> Answer:
    question = parse_body(schemas.AuditQuestion)
    return schemas.AuditItem.model_validate(line.account.next_to_audit(question.auditor, question.skip))


def _audit(line: Line, piece: str) -> Answer:
    label = parse_body(schemas.AuditLabel)
    progress = line.label(piece, label.category, label.auditor)
    return schemas.LabelAnswer.model_validate({"id": piece, "category": label.category, **progress})
