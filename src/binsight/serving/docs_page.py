"""`/openapi.json`, and `/docs`: the same document for people, made here, without scripts or anything from elsewhere."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

from flask import Blueprint, Response, render_template, request

from binsight.serving.openapi import openapi_document
from binsight.serving.problems import KINDS
from binsight.serving.settings import Settings

__all__ = ["docs_blueprint"]

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


def docs_blueprint(settings: Settings, *, has_lines: bool = False, has_offline: bool = False) -> Blueprint:
    """`GET /openapi.json`, written once at the start, and `GET /docs`."""
    blueprint = Blueprint("docs", __name__, template_folder="templates")
    document = openapi_document(settings, has_lines=has_lines, has_offline=has_offline)
    text = json.dumps(document, indent=1)
    groups: dict[str, list[tuple[str, str, Any]]] = {}
    for path, methods in document["paths"].items():
        for method, call in methods.items():
            groups.setdefault(call["tags"][0], []).append((method, path, call))
    blueprint.app_template_filter("printed")(partial(json.dumps, indent=1))

    @blueprint.get("/openapi.json")
    def openapi() -> Response:
        return Response(text, mimetype="application/json")

    @blueprint.get("/docs")
    def docs() -> Response:
        page = render_template("docs.html", document=document, groups=groups, kinds=KINDS)
        response = Response(page, mimetype="text/html", headers={"Content-Security-Policy": _POLICY})
        response.add_etag()
        response.make_conditional(request)
        return response

    return blueprint
