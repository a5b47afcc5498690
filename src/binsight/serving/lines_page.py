"""The pages of lines: the dashboard at `/lines/{name}`, the page of one piece, and that of the blind audit.

They are shells, the same for everyone; what they show comes from `/lines/{name}/…`, with a key where one is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from flask import Blueprint, abort, redirect, render_template

from binsight.serving.page import html_response, page_digest, protect

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

__all__ = ["lines_page_blueprint"]


def lines_page_blueprint(names: Sequence[str]) -> Blueprint:
    """`GET /lines`, `/lines/{name}`, `/lines/{name}/audit`, `/lines/{name}/piece/{id}`."""
    blueprint = Blueprint("lines_page", __name__, template_folder="templates")

    def page(template: str, *, up: int, name: str | None = None) -> ResponseReturnValue:
        if name is not None and name not in names:
            abort(404)
        # Addresses are relative, so that the pages work below a prefix that a proxy strips.
        return html_response(render_template(template, root="../" * up, digest=page_digest(), name=name, names=names))

    @blueprint.get("/lines")
    def index() -> ResponseReturnValue:
        """All lines; where there is only one, its page."""
        return redirect(f"lines/{names[0]}") if len(names) == 1 else page("lines.html", up=0)

    @blueprint.get("/lines/<name>")
    def board(name: str) -> ResponseReturnValue:
        """The dashboard of a line."""
        return page("lines-board.html", up=1, name=name)

    @blueprint.get("/lines/<name>/audit")
    def audit(name: str) -> ResponseReturnValue:
        """Where people label the audit."""
        return page("lines-audit.html", up=2, name=name)

    @blueprint.get("/lines/<name>/piece/<piece>")
    def piece(name: str, piece: str) -> ResponseReturnValue:  # noqa: ARG001 - the page reads it from its address
        """The page of one piece."""
        return page("lines-piece.html", up=3, name=name)

    blueprint.after_request(protect)
    return blueprint
