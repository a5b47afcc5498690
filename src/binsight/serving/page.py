"""The web page at `/`: one HTML file, one style sheet, a few JavaScript modules, all from this package.

Where `binsight-web-offline` is installed, its files are there too, and the page can do without the server.

Static files live below a folder named after the hash of their content, so a browser may keep them for ever and still
never mixes two versions of the page.
"""

from __future__ import annotations

import gzip
import hashlib
import re
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from importlib.util import find_spec
from typing import TYPE_CHECKING

from flask import Blueprint, Response, abort, current_app, render_template, request

from binsight.serving.service import current_service

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

__all__ = ["has_runtime", "html_response", "page_blueprint", "page_digest", "protect"]

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
        "trusted-types binsight",
    )
)
# The network's own thread compiles WebAssembly; the page may not.
_WORKER = "device-worker.js"
_WORKER_POLICY = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self'"
# What that thread is made of; the page refers to all else that it needs.
_DEVICE_FILES = (_WORKER, "decide.js", "jpeg.js", "prepare.js", "resample.js")
_RUNTIME = "binsight_web_offline"
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
    ".mjs": "text/javascript; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".wasm": "application/wasm",
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
        return html_response(_index_html())

    @blueprint.get("/sw.js")
    def service_worker() -> ResponseReturnValue:
        """What keeps the page in a browser; it changes with the page. 404 where the page needs the server."""
        if not has_runtime():
            abort(404)
        html = _index_html()
        named = (*re.findall(r'static/[^"]+', html), *(f"static/{digest}/{name}" for name in _device_files()))
        version = hashlib.sha256(html.encode()).hexdigest()[:16]
        script = render_template("sw.js", version=version, files=sorted(set(named)))
        return _answer(script, "text/javascript; charset=utf-8")

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
        if name.endswith(".gz") or not {name, f"{name}.gz"} & files.keys():
            abort(404)
        return _file_response(files, name, _FOR_EVER if version == digest else _ASK_AGAIN)

    @blueprint.get("/favicon.ico")
    def favicon() -> ResponseReturnValue:
        """The icon, for pages that do not name one."""
        return _file_response(files, "icon.svg", "public, max-age=86400")

    blueprint.after_request(protect)
    return blueprint


def _index_html() -> str:
    settings, features = current_service().settings, current_app.blueprints
    return render_template(
        "index.html",
        digest=page_digest(),
        has_docs=any(rule.rule == "/docs" for rule in current_app.url_map.iter_rules()),
        has_device=has_runtime(),
        has_feedback="feedback" in features,
        has_lessons="lessons" in features,
        max_bytes=settings.max_photo_bytes,
        keep_days=settings.keep_days if "kept" in features else None,
    )


def protect(response: Response) -> Response:
    """Add the security headers of a page."""
    response.headers.update(_HEADERS)
    if request.path.endswith(f"/{_WORKER}"):
        response.headers["Content-Security-Policy"] = _WORKER_POLICY
    return response


def html_response(html: str) -> Response:
    """A page; asked for anew each time, answered with 304 when it is the same."""
    return _answer(html, "text/html; charset=utf-8")


def has_runtime() -> bool:
    """Whether the page can classify in the browser."""
    return find_spec(_RUNTIME) is not None


@cache
def page_digest() -> str:
    """Names the folder below which the static files lie, `static/<digest>/<name>`."""
    return _digest(_read_files())


@cache
def _read_files() -> dict[str, bytes]:
    """Name → content of every static file; that of `.gz` is compressed. They are few; a zip will do."""
    folders: list[Traversable] = [resources.files("binsight.serving").joinpath("static")]
    if has_runtime():
        folders.append(resources.files(_RUNTIME))
    entries = sorted((entry for folder in folders for entry in folder.iterdir()), key=lambda entry: entry.name)
    return {entry.name: entry.read_bytes() for entry in entries if _suffix(entry.name) in _TYPES}


def _device_files() -> list[str]:
    return [*_DEVICE_FILES, *(name.removesuffix(".gz") for name in _read_files() if name.endswith(".gz"))]


def _suffix(name: str) -> str:
    return "." + name.removesuffix(".gz").rpartition(".")[2]


def _digest(files: dict[str, bytes]) -> str:
    total = hashlib.sha256()
    for name, content in files.items():
        total.update(f"{name}\0{len(content)}\0".encode() + content)
    return total.hexdigest()[:16]


def _file_response(files: dict[str, bytes], name: str, cache_control: str) -> Response:
    content, encoding = files.get(name), None
    if content is None:
        content, encoding = files[f"{name}.gz"], "gzip"
        if not request.accept_encodings.quality("gzip"):
            content, encoding = gzip.decompress(content), None
    response = _answer(content, _TYPES[_suffix(name)], cache_control)
    if encoding:
        response.headers.update({"Content-Encoding": encoding, "Vary": "Accept-Encoding"})
    return response


def _answer(content: str | bytes, content_type: str, cache_control: str = _ASK_AGAIN) -> Response:
    response = Response(content, content_type=content_type, headers={"Cache-Control": cache_control})
    response.set_etag(hashlib.sha256(response.get_data()).hexdigest()[:32])
    response.make_conditional(request)
    return response
