"""`/label`: the page where people label kept photos, blind, and its calls. A labeller is the name of a key."""

from __future__ import annotations

import re
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING

from flask import Blueprint, Response, g, render_template, request

from binsight.errors import BinsightError, OutputError
from binsight.loop.grid import Grid, answer_grid, offer_grid
from binsight.loop.labelling import Labelling
from binsight.loop.queue import Queue
from binsight.loop.standing import read_status
from binsight.serving import label_schemas as schemas
from binsight.serving.api import add_view, parse_body
from binsight.serving.page import html_response, page_digest, protect
from binsight.serving.problems import ProblemError, answer_error
from binsight.serving.service import current_service

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

    from binsight.serving.schemas import Answer

__all__ = ["label_page_blueprint", "labels_blueprint"]

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


def labels_blueprint(queue: Queue) -> Blueprint:
    """Calls below `/label/`."""
    blueprint = Blueprint("labels", __name__)

    blueprint.before_request(_check_item)
    blueprint.register_error_handler(BinsightError, lambda error: answer_error(_problem(error)))
    route = partial(add_view, blueprint)
    route("/label/status", "status", lambda: _status(queue))
    route("/label/next", "next", lambda: _next(queue), "POST")
    route("/label/grid", "grid", lambda: _grid(queue), "POST")
    route("/label/grid/answer", "grid_answer", lambda: _answer_grid(queue), "POST")
    route("/label/undo", "undo", lambda: _undo(queue), "POST")
    route("/label/items/<item>", "label", lambda item: _label(queue, item), "POST")
    route("/label/items/<item>/photo", "photo", lambda item: _photo(queue, item))
    route("/label/items/<item>/reveal", "reveal", lambda item: _reveal(queue, item), "POST")
    route("/label/items/<item>/skip", "skip", lambda item: _skip(queue, item), "POST")
    return blueprint


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


def _desk(queue: Queue) -> Labelling:
    return Labelling(queue, current_service().model(None).bundle.manifest.taxonomy.ids)


def _who() -> str:
    return str(g.client).removeprefix("key:")


def _status(queue: Queue) -> Answer:
    status = read_status(queue)
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


def _next(queue: Queue) -> Answer:
    question = parse_body(schemas.LabelQuestion)
    items = _desk(queue).next(_who(), count=question.count, skip=question.skip)
    status = read_status(queue)
    found = [schemas.LabelItem(**asdict(item)) for item in items]
    return schemas.LabelItems(items=found, labelled=status.labellers.get(_who(), 0), open=status.open)


def _label(queue: Queue, item: str) -> Answer:
    body = parse_body(schemas.LabelBody)
    _desk(queue).answer(
        _who(), item, body.answer, event=f"{_who()}:{body.event}", ms=body.ms, mode=body.mode, revealed=body.revealed
    )
    return schemas.LabelTaken(id=item)


def _photo(queue: Queue, item: str) -> Response:
    path = queue.photo(item)
    if not path.is_file():
        raise ProblemError("unknown_photo", "this photo has expired, or was deleted")
    return Response(path.read_bytes(), mimetype="image/jpeg", headers={"Cache-Control": "private, max-age=600"})


def _reveal(queue: Queue, item: str) -> Answer:
    category, confidence = _desk(queue).reveal(item)
    return schemas.LabelReveal(category=category, confidence=confidence)


def _skip(queue: Queue, item: str) -> Answer:
    _desk(queue).skip(_who(), item)
    return schemas.LabelTaken(id=item)


def _grid(queue: Queue) -> Answer:
    grid = offer_grid(queue, _who(), current_service().model(None).bundle.manifest.taxonomy.ids)
    if grid is None:
        return schemas.LabelGridOffer(grid=None)
    return schemas.LabelGridOffer(grid=schemas.LabelGrid(**asdict(grid) | {"items": list(grid.items)}))


def _answer_grid(queue: Queue) -> Answer:
    body = parse_body(schemas.GridBody)
    grid = Grid(body.category, tuple(body.items), body.ticket)
    is_found = answer_grid(queue, _who(), grid, set(body.wrong), event=f"{_who()}:{body.event}")
    labelled = len(set(body.items) - set(body.wrong)) if is_found else 0
    return schemas.LabelGridTaken(found=is_found, labelled=labelled)


def _undo(queue: Queue) -> Answer:
    item = _desk(queue).undo(_who())
    return schemas.LabelUndone(item=None if item is None else schemas.LabelItem(**asdict(item)))
