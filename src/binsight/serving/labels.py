"""`/label`: the page where people label kept photos, blind, and its calls. A labeller is the name of a key."""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import TYPE_CHECKING

from flask import Blueprint, Response, g, render_template, request

from binsight.errors import BinsightError, OutputError
from binsight.loop.grid import Grid, answer_grid, offer_grid
from binsight.loop.labelling import Labelling
from binsight.loop.queue import Queue
from binsight.loop.standing import read_status
from binsight.serving import label_schemas as schemas
from binsight.serving.calls import Calls, parse_body
from binsight.serving.page import html_response, page_digest, protect
from binsight.serving.problems import ProblemError, answer_error
from binsight.serving.service import current_service

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

    from binsight.serving.schemas import Answer

__all__ = ["LABELS", "label_page_blueprint", "labels_blueprint"]

LABELS = Calls("Labels", "/label", problems=("ledger_away", "forbidden", "rate_limited"))
_ITEM, _GONE = "/items/{item}", ("unknown_photo",)
_ID = re.compile(r"[0-9a-f]{64}")
_ANY = 64 * "0"  # where no photo is named


def label_page_blueprint() -> Blueprint:
    """`GET /label`: a shell, the same for everyone; what it shows asks for a key."""
    blueprint = Blueprint("label_page", __name__, template_folder="templates")

    @blueprint.get("/label")
    def page() -> ResponseReturnValue:
        """Where people label."""
        return html_response(render_template("label.html", root="", digest=page_digest()))

    blueprint.after_request(protect)
    return blueprint


def labels_blueprint() -> Blueprint:
    """Calls below `/label/`."""
    blueprint = Blueprint("labels", __name__)
    blueprint.before_request(_check_item)
    blueprint.register_error_handler(BinsightError, lambda error: answer_error(_problem(error)))
    return LABELS.add_to(blueprint)


def _check_item() -> None:
    if not _ID.fullmatch((request.view_args or {}).get("item", _ANY)):
        raise ProblemError("unknown_photo", "expected a photo's id, 64 hex digits")


def _problem(error: BinsightError) -> BinsightError:
    """What labelling refuses, as a problem."""
    if isinstance(error, OutputError):
        return ProblemError("ledger_away", "the labels cannot be written now; try again", retry_after_s=2)
    if error.code == "label":
        return ProblemError("bad_parameter", str(error))
    if error.code in {"unknown_photo", "already_labelled"}:
        return ProblemError(error.code, str(error))
    return error


def _queue() -> Queue:
    keeper = current_service().keeper
    assert keeper is not None  # noqa: S101 - there are no such calls without one
    return keeper.queue


def _desk() -> Labelling:
    return Labelling(_queue(), current_service().model(None).bundle.manifest.taxonomy.ids)


def _who() -> str:
    return str(g.client).removeprefix("key:")


@LABELS.call("get", "/status", "How far labelling is, and the answers there are.", schemas.LabelStatus)
def _status() -> Answer:
    status = read_status(_queue())
    classes = current_service().model(None).bundle.manifest.taxonomy.classes
    return schemas.LabelStatus(
        labeller=_who(),
        classes=[schemas.LabelClass(id=c.id, title=c.title) for c in classes],
        kept=status.kept,
        open=status.open,
        labelled=status.labelled,
        undecided=status.undecided,
        by_reason=status.by_reason,
    )


@LABELS.call("post", "/next", "Photos to label, leased.", schemas.LabelItems, body=schemas.LabelQuestion)
def _next() -> Answer:
    question = parse_body(schemas.LabelQuestion)
    items = _desk().next(_who(), count=question.count, skip=question.skip)
    status = read_status(_queue())
    found = [schemas.LabelItem(**asdict(item)) for item in items]
    return schemas.LabelItems(items=found, labelled=status.labellers.get(_who(), 0), open=status.open)


@LABELS.call("post", "/grid", "Photos that may all be of one class.", schemas.LabelGridOffer, ("length_required",))
def _grid() -> Answer:
    grid = offer_grid(_queue(), _who(), current_service().model(None).bundle.manifest.taxonomy.ids)
    if grid is None:
        return schemas.LabelGridOffer(grid=None)
    return schemas.LabelGridOffer(grid=schemas.LabelGrid(**asdict(grid) | {"items": list(grid.items)}))


@LABELS.call(
    "post", "/grid/answer", "Say which of them are something else.", schemas.LabelGridTaken, body=schemas.GridBody
)
def _answer_grid() -> Answer:
    body = parse_body(schemas.GridBody)
    grid = Grid(body.category, tuple(body.items), body.ticket)
    is_found = answer_grid(_queue(), _who(), grid, set(body.wrong), event=f"{_who()}:{body.event}")
    labelled = len(set(body.items) - set(body.wrong)) if is_found else 0
    return schemas.LabelGridTaken(found=is_found, labelled=labelled)


@LABELS.call("post", "/undo", "Take back the last label.", schemas.LabelUndone, ("length_required",))
def _undo() -> Answer:
    item = _desk().undo(_who())
    return schemas.LabelUndone(item=None if item is None else schemas.LabelItem(**asdict(item)))


@LABELS.call(
    "post",
    _ITEM,
    "Say what a photo shows.",
    schemas.LabelTaken,
    (*_GONE, "already_labelled"),
    body=schemas.LabelBody,
)
def _label(item: str) -> Answer:
    body = parse_body(schemas.LabelBody)
    _desk().answer(
        _who(), item, body.answer, event=f"{_who()}:{body.event}", ms=body.ms, mode=body.mode, revealed=body.revealed
    )
    return schemas.LabelTaken(id=item)


@LABELS.call("get", _ITEM + "/photo", "The photo.", "image/jpeg", _GONE)
def _photo(item: str) -> Response:
    path = _queue().photo(item)
    if not path.is_file():
        raise ProblemError("unknown_photo", "this photo has expired, or was deleted")
    return Response(path.read_bytes(), mimetype="image/jpeg", headers={"Cache-Control": "private, max-age=600"})


@LABELS.call("post", _ITEM + "/reveal", "What the model said.", schemas.LabelReveal, _GONE)
def _reveal(item: str) -> Answer:
    category, confidence = _desk().reveal(item)
    return schemas.LabelReveal(category=category, confidence=confidence)


@LABELS.call("post", _ITEM + "/skip", "Leave it open.", schemas.LabelTaken, _GONE)
def _skip(item: str) -> Answer:
    _desk().skip(_who(), item)
    return schemas.LabelTaken(id=item)
