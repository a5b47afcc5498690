"""`/openapi.json`, and `/docs`: the same document for people, made here, without scripts or anything from elsewhere."""

from __future__ import annotations

import json
from typing import Any

from flask import Blueprint, Response, request
from markupsafe import Markup, escape

from binsight.serving.openapi import openapi_document
from binsight.serving.problems import KINDS
from binsight.serving.settings import Settings

__all__ = ["docs_blueprint"]

_STYLE = """
:root{color-scheme:light dark;--line:#8886;--soft:#8882}
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:0 auto;padding:1rem}
code,pre{font-family:ui-monospace,monospace;font-size:.9em}
pre{overflow:auto;padding:.75rem;background:var(--soft);border-radius:.4rem}
details{border:1px solid var(--line);border-radius:.4rem;margin:.5rem 0;padding:.4rem .8rem}
summary{cursor:pointer;overflow-wrap:anywhere}
summary b{display:inline-block;min-width:3.5rem}
table{border-collapse:collapse;width:100%}
th,td{text-align:left;vertical-align:top;padding:.3rem .5rem;border-bottom:1px solid var(--line)}
td:first-child{white-space:nowrap}
"""
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


def docs_blueprint(settings: Settings, *, has_lines: bool = False, has_offline: bool = False) -> Blueprint:
    """`GET /openapi.json` and `GET /docs`, both written once at the start."""
    blueprint = Blueprint("docs", __name__)
    document = openapi_document(settings, has_lines=has_lines, has_offline=has_offline)
    text, page = json.dumps(document, indent=1), _page(document)

    @blueprint.get("/openapi.json")
    def openapi() -> Response:
        return Response(text, mimetype="application/json")

    @blueprint.get("/docs")
    def docs() -> Response:
        response = Response(page, mimetype="text/html", headers={"Content-Security-Policy": _POLICY})
        response.add_etag()
        response.make_conditional(request)
        return response

    return blueprint


def _page(document: dict[str, Any]) -> str:
    groups: dict[str, list[Markup]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            groups.setdefault(operation["tags"][0], []).append(_operation(method, path, operation))
    calls = Markup("").join(Markup("<h2>{}</h2>{}").format(tag, Markup("").join(ops)) for tag, ops in groups.items())
    problems = Markup("").join(
        Markup("<tr id='problem-{0}'><td><code>{0}</code></td><td>{1}</td><td>{2}</td></tr>").format(
            code, kind.status, kind.title
        )
        for code, kind in KINDS.items()
    )
    shapes = Markup("").join(
        Markup("<details id='schema-{0}'><summary><code>{0}</code></summary><pre>{1}</pre></details>").format(
            name, json.dumps(schema, indent=1)
        )
        for name, schema in document["components"]["schemas"].items()
    )
    return (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'><title>binsight API</title>"
        "<meta name='viewport' content='width=device-width'>"
        f"<style>{_STYLE}</style></head><body><main><h1>binsight API {escape(document['info']['version'])}</h1>"
        f"<p>{escape(document['info']['description'])} <a href='openapi.json'>OpenAPI document</a></p>{calls}"
        f"<h2>Problems</h2><table><tr><th>code</th><th>status</th><th>meaning</th></tr>{problems}</table>"
        f"<h2>Types</h2>{shapes}</main></body></html>"
    )


def _operation(method: str, path: str, operation: dict[str, Any]) -> Markup:
    body = operation.get("requestBody", {}).get("content", {})
    rows = [
        *((p["name"], f"{p['in']}: {p.get('description', '')}") for p in operation.get("parameters", [])),
        *((media, "body: " + _shape(content["schema"])) for media, content in body.items()),
        *((status, _answer(response)) for status, response in operation["responses"].items()),
    ]
    table = Markup("").join(Markup("<tr><td><code>{}</code></td><td>{}</td></tr>").format(*row) for row in rows)
    return Markup("<details><summary><b>{}</b> <code>{}</code> {}</summary><table>{}</table></details>").format(
        method.upper(), path, operation["summary"], table
    )


def _answer(response: dict[str, Any]) -> str | Markup:
    shapes = [_shape(content["schema"]) for content in response["content"].values()]
    return Markup("{} {}").format(response["description"], Markup(" or ").join(shapes))


def _shape(schema: dict[str, Any]) -> Markup:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return Markup("<a href='#schema-{0}'>{0}</a>").format(name)
    if "oneOf" in schema:
        return Markup(" or ").join(_shape(option) for option in schema["oneOf"])
    properties = schema.get("properties", {})
    return Markup("{}").format(f"form with {', '.join(properties)}" if properties else schema.get("format", "text"))
