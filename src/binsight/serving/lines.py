"""`/lines/{name}/…`: how lines are, their pieces and alarms, the audit, and frames that devices push."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

from flask import Blueprint, Response, current_app, request

from binsight.errors import BinsightError, ImageError, InputError
from binsight.serving import line_schemas as schemas
from binsight.serving.calls import BODY, PHOTO, Calls, parse_body, parse_query
from binsight.serving.line_port import Line
from binsight.serving.problems import ProblemError, answer_error
from binsight.serving.schemas import Answer
from binsight.serving.service import current_service
from binsight.serving.streams import STREAMS, Broadcaster, Event
from binsight.serving.uploads import read_body

__all__ = ["LINE", "LIST", "lines_blueprint"]

_LINES = "binsight.lines"


_EVENTS = (
    "Events `anew` (LineAnew), `overview` (LineOverview), `pieces` (of PieceEntry), `alarm` (AlarmEntry), `frame`."
)
_PUSH = (*BODY, *PHOTO, "not_here", "queue_full")
_PIECE = "/pieces/{piece}"
LIST = Calls("Lines", "", problems=("rate_limited",), guarded=True)
LINE = Calls(
    "Lines",
    "/lines/{name}",
    problems=("unknown_line", "rate_limited", "ledger_away"),
    changing=("forbidden", "draining"),
    guarded=True,
)


def _collector(line: Line) -> Callable[[], Iterable[Event]]:
    return lambda: (Event(name, data, passing) for name, data, passing in line.news())


def _anew(line: Line) -> Callable[[], Event]:
    return lambda: Event("anew", line.anew())


def lines_blueprint(lines: Sequence[Line]) -> Blueprint:
    """Everything about `lines` that is JSON or a picture."""
    blueprint = Blueprint("lines", __name__)
    known = {line.name: (line, Broadcaster(_collector(line), _anew(line))) for line in lines}
    blueprint.record(lambda state: state.app.extensions.update({_LINES: known}))
    blueprint.register_error_handler(BinsightError, lambda error: answer_error(_problem(error)))
    return LINE.add_to(LIST.add_to(blueprint))


def _known() -> dict[str, tuple[Line, Broadcaster]]:
    return cast("dict[str, tuple[Line, Broadcaster]]", current_app.extensions[_LINES])


def _find(name: str) -> tuple[Line, Broadcaster]:
    if name not in _known():
        raise ProblemError("unknown_line", f"expected one of {', '.join(_known())}, got {name[:64]!r}")
    return _known()[name]


def _line(name: str) -> Line:
    return _find(name)[0]


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


@LIST.call("get", "/lines.json", "The lines.", schemas.LineList)
def _lines() -> Answer:
    return schemas.LineList.model_validate({"lines": [line.about() for line, _ in _known().values()]})


@LINE.call("get", "/overview", "How a line is.", schemas.LineOverview)
def _overview(name: str) -> Answer:
    return schemas.LineOverview.model_validate(_line(name).overview())


@LINE.call("get", "/events", _EVENTS, "text/event-stream", ("bad_parameter",), schemas.EventsQuery)
def _events(name: str) -> Response:
    """The stream goes on after this answer, without a thread, where the server can do that; else the client returns."""
    stream = _find(name)[1]
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


@LINE.call("get", "/frame", "The newest picture of the belt.", "image/jpeg", ("no_frame",))
def _frame(name: str) -> Response:
    jpeg = _line(name).jpeg()
    if jpeg is None:
        raise ProblemError("no_frame", "the line runs elsewhere, or its camera gave nothing yet", retry_after_s=2)
    return Response(jpeg, mimetype="image/jpeg")


@LINE.call(
    "post", "/frames", "Push a picture of the belt.", schemas.FrameAnswer, (*BODY, *PHOTO, "not_here", "queue_full")
)
def _push(name: str) -> Answer:
    line = _line(name)
    kind = request.mimetype
    if not kind.startswith("image/"):
        raise ProblemError("unsupported_media_type", f"expected image/jpeg, got {kind[:100] or 'no content type'!r}")
    said = parse_query(dict(request.headers), schemas.FrameHeaders)
    data = read_body(request, current_service().settings.max_photo_bytes)
    newest = line.push(data, device=said.device, sequence=said.sequence, age_s=said.age_ms / 1000, encoder=said.encoder)
    return schemas.FrameAnswer.model_validate({"newest": newest})


@LINE.call(
    "post",
    "/trigger",
    "Say that a piece is at the trigger line now.",
    schemas.TriggerAnswer,
    ("not_here",),
    body=schemas.TriggerBody,
)
def _trigger(name: str) -> Answer:
    line = _line(name)
    line.trigger(parse_body(schemas.TriggerBody).encoder if request.content_length else None)
    return schemas.TriggerAnswer.model_validate({"taken": True})


@LINE.call("get", "/pieces", "The newest pieces.", schemas.PieceList, ("bad_parameter",), schemas.PiecesQuery)
def _pieces(name: str) -> Answer:
    line = _line(name)
    query = parse_query(request.args, schemas.PiecesQuery)
    statuses = () if query.status is None else (query.status,)
    found = line.account.pieces(limit=query.limit, before=query.before, lane=query.lane, statuses=statuses)
    return schemas.PieceList.model_validate(found)


@LINE.call("get", _PIECE, "A piece.", schemas.PieceDetail, ("unknown_piece",))
def _piece(name: str, piece: str) -> Answer:
    line = _line(name)
    found = line.account.piece(piece)
    if found is None:
        raise ProblemError("unknown_piece", f"the ledger of {line.name} has no piece {piece[:26]!r}")
    return schemas.PieceDetail.model_validate(found)


@LINE.call("get", _PIECE + "/views/{view}", "One of its views.", "image/jpeg", ("unknown_piece",))
@LINE.call("get", _PIECE + "/picture", "Its picture.", "image/jpeg", ("unknown_piece",))
def _picture(name: str, piece: str, view: int | None = None) -> Response:
    jpeg = _line(name).account.picture(piece, view)
    if jpeg is None:
        raise ProblemError("unknown_piece", f"no such picture of {piece[:26]!r} is kept")
    return Response(jpeg, mimetype="image/jpeg", headers={"Cache-Control": "private, max-age=3600"})


@LINE.call("get", "/shifts", "Sums of shifts.", schemas.ShiftList, ("bad_parameter",), schemas.CountQuery)
def _shifts(name: str) -> Answer:
    return schemas.ShiftList.model_validate(_line(name).shifts(parse_query(request.args, schemas.CountQuery).count))


@LINE.call("get", "/alarms", "Alarms.", schemas.AlarmList, ("bad_parameter",), schemas.LimitQuery)
def _alarms(name: str) -> Answer:
    line = _line(name)
    return schemas.AlarmList.model_validate(line.account.events(parse_query(request.args, schemas.LimitQuery).limit))


@LINE.call("post", "/audit/next", "A piece to label, blind.", schemas.AuditItem, body=schemas.AuditQuestion)
def _audit_next(name: str) -> Answer:
    line = _line(name)
    question = parse_body(schemas.AuditQuestion)
    return schemas.AuditItem.model_validate(line.account.next_to_audit(question.auditor, question.skip))


@LINE.call(
    "post",
    "/audit/{piece}",
    "Say what a piece is.",
    schemas.LabelAnswer,
    ("already_labelled",),
    body=schemas.AuditLabel,
)
def _audit(name: str, piece: str) -> Answer:
    line = _line(name)
    label = parse_body(schemas.AuditLabel)
    progress = line.label(piece, label.category, label.auditor)
    return schemas.LabelAnswer.model_validate({"id": piece, "category": label.category, **progress})
