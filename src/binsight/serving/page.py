"""The web page at `/`: one HTML file, one style sheet, a few JavaScript modules, all from this package.

Static files live below a folder named after the hash of their content, so a browser may keep them for ever and still
never mixes two versions of the page.
"""

from __future__ import annotations

import hashlib
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from typing import TYPE_CHECKING

from flask import Blueprint, Response, abort, current_app, render_template, request

from binsight.serving.service import current_service

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

__all__ = ["html_response", "page_blueprint", "page_digest", "protect"]

# Everything comes from this server; nothing is inline, so injected markup can neither run nor load anything.
# Photos are previewed as blob:, heat maps and thumbnails are data:.
_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob: data:",
        "media-src 'self' blob:",
        "connect-src 'self'",
        "manifest-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
    )
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "Cross-Origin-Opener-Policy": "same-origin",
}
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json",
}
_FOR_EVER = "public, max-age=31536000, immutable"
_ASK_AGAIN = "no-cache"


def page_blueprint() -> Blueprint:
    """`GET /`, `GET /teach` and their static files, each with its cache headers and a strict Content-Security-Policy.

    The page offers corrections when the application also has the blueprint `feedback`, teaching when it has `lessons`,
    and links to `/docs` when there is such a page.
    """
    files, digest = _read_files(), page_digest()
    blueprint = Blueprint("page", __name__, template_folder="templates")

    @blueprint.get("/")
    def index() -> ResponseReturnValue:
        """The page itself; asked for anew each time, answered with 304 when it is the same."""
        has_docs = any(rule.rule == "/docs" for rule in current_app.url_map.iter_rules())
        html = render_template(
            "index.html",
            digest=digest,
            has_docs=has_docs,
            has_feedback="feedback" in current_app.blueprints,
            has_lessons="lessons" in current_app.blueprints,
            max_bytes=current_service().settings.max_photo_bytes,
            keep_days=current_service().settings.keep_days if "kept" in current_app.blueprints else None,
        )
        return html_response(html)

    @blueprint.get("/teach")
    def teach() -> ResponseReturnValue:
        """Where operators teach models a camera; 404 with the reason where that is off."""
        is_on = "lessons" in current_app.blueprints
        html = render_template(
            "teach.html", digest=digest, is_on=is_on, max_bytes=current_service().settings.max_photo_bytes
        )
        return html_response(html) if is_on else (html, 404)

    @blueprint.get("/static/<version>/<name>")
    def static(version: str, name: str) -> ResponseReturnValue:
        """A style sheet, module or icon; during an upgrade an older page gets the present one, uncached."""
        if name not in files:
            abort(404)
        return _file_response(files, name, _FOR_EVER if version == digest else _ASK_AGAIN)

    @blueprint.get("/favicon.ico")
    def favicon() -> ResponseReturnValue:
        """The icon, for pages that do not name one."""
        return _file_response(files, "icon.svg", "public, max-age=86400")

    blueprint.after_request(protect)
    return blueprint


def protect(response: Response) -> Response:
    """Add the security headers of a page."""
    response.headers.update(_HEADERS)
    return response


def html_response(html: str) -> Response:
    """A page; asked for anew each time, answered with 304 when it is the same."""
    response = Response(html, content_type="text/html; charset=utf-8", headers={"Cache-Control": _ASK_AGAIN})
    response.set_etag(hashlib.sha256(html.encode()).hexdigest()[:32])
    response.make_conditional(request)
    return response


@cache
def page_digest() -> str:
    """Names the folder below which the static files lie, `static/<digest>/<name>`."""
    return _digest(_read_files())


@cache
def _read_files() -> dict[str, bytes]:
    """Name → content of every static file. They are few and small, and this works from a zip archive, too."""
    folder: Traversable = resources.files("binsight.serving").joinpath("static")
    entries = sorted(folder.iterdir(), key=lambda entry: entry.name)
    return {entry.name: entry.read_bytes() for entry in entries if "." + entry.name.rpartition(".")[2] in _TYPES}


def _digest(files: dict[str, bytes]) -> str:
    total = hashlib.sha256()
    for name, content in files.items():
        total.update(f"{name}\0{len(content)}\0".encode() + content)
    return total.hexdigest()[:16]


def _file_response(files: dict[str, bytes], name: str, cache_control: str) -> Response:
    content_type = _TYPES["." + name.rpartition(".")[2]]
    response = Response(files[name], content_type=content_type, headers={"Cache-Control": cache_control})
    response.set_etag(hashlib.sha256(files[name]).hexdigest()[:32])
    response.make_conditional(request)
    return response
