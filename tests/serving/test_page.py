"""The web page as it is served: what a browser may load, run and keep."""

from __future__ import annotations

import gzip
import json
import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest
from tests.serving.browser.device_runtime import forget_files, write_runtime

from binsight.serving import page as page_module
from binsight.serving.app import create_app
from binsight.serving.security import new_key
from binsight.serving.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from flask.testing import FlaskClient


class Page(HTMLParser):
    """Collects the tags of a page with their attributes, and what is inside of scripts and styles."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.inline: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        if self.lasttag in {"script", "style"} and data.strip() and self.tags[-1][0] == self.lasttag:
            self.inline.append(data)

    def addresses(self) -> list[str]:
        """Return everything the page refers to, but places on itself."""
        values = [attrs.get(key) for _, attrs in self.tags for key in ("href", "src", "action")]
        return [value for value in values if value and not value.startswith("#")]


@pytest.fixture(scope="module")
def client(shared_bundle: Path) -> FlaskClient:
    """Return a client of a server without corrections, whose model is not loaded yet."""
    return create_app(Settings(models=(str(shared_bundle),), access_log=False), load=False).test_client()


@pytest.fixture(scope="module")
def page(client: FlaskClient) -> Page:
    """Return the page."""
    return Page(client.get("/").text)


@pytest.fixture
def new_files() -> Iterator[None]:
    """Let the page look again which files there are, before and after."""
    forget_files()
    yield
    forget_files()


def static_files(page: Page) -> list[str]:
    """Return the addresses of the page's static files."""
    return sorted({"/" + address for address in page.addresses() if address.startswith("static/")})


def test_policy(client: FlaskClient) -> None:
    """The page's policy allows nothing inline, no eval, and no other server."""
    policy = client.get("/").headers["Content-Security-Policy"]
    directives = dict(directive.split(" ", 1) for directive in policy.split("; "))
    assert directives["default-src"] == "'none'"
    assert directives["script-src"] == directives["style-src"] == directives["connect-src"] == "'self'"
    assert directives["frame-ancestors"] == "'none'"
    assert "unsafe" not in policy
    assert "http" not in policy


def test_nothing_inline(page: Page) -> None:
    """The page has no inline script, style or event handler: the policy would stop them."""
    assert page.inline == []
    attributes = {key for _, attrs in page.tags for key in attrs}
    assert not {key for key in attributes if key == "style" or key.startswith("on")}
    assert all(attrs.get("src") for tag, attrs in page.tags if tag == "script")


def test_works_offline_and_below_a_prefix(page: Page) -> None:
    """Everything the page refers to is on the same server, relative to the page."""
    assert page.addresses()
    assert not [address for address in page.addresses() if address.startswith("/") or ":" in address]


def test_files_exist(client: FlaskClient, page: Page) -> None:
    """Every file that the page, its modules and its manifest refer to is there."""
    for address in static_files(page):
        answer = client.get(address)
        assert answer.status_code == 200, address
        folder = address.rpartition("/")[0]
        named = re.findall(
            r'(?:from|import) "\./([\w.-]+)"|"src": "([\w.-]+)"', answer.text if "png" not in address else ""
        )
        for name in (a or b for a, b in named):
            assert client.get(f"{folder}/{name}").status_code == 200, name


def test_preloads_every_module(client: FlaskClient, page: Page) -> None:
    """Every module that a module imports is loaded ahead, without waiting for that one."""
    modules = [address for address in static_files(page) if address.endswith(".js")]
    imported = {name for address in modules for name in re.findall(r'from "\./([\w.-]+)"', client.get(address).text)}
    assert {address.rpartition("/")[2] for address in modules} == imported | {"app.js"}


def test_ids(client: FlaskClient, page: Page) -> None:
    """Every element that a script asks for by its id is on the page, once."""
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    scripts = "".join(client.get(address).text for address in static_files(page) if address.endswith(".js"))
    asked = set(re.findall(r'(?:\$|getElementById|write)\("([\w-]+)"', scripts))
    assert asked - set(ids) == set()


def test_kept_for_ever(client: FlaskClient, page: Page) -> None:
    """Static files may be kept for ever: their folder's name changes when one of them does."""
    for address in static_files(page):
        assert client.get(address).headers["Cache-Control"] == "public, max-age=31536000, immutable"


def test_other_version(client: FlaskClient, page: Page) -> None:
    """A page of another version gets the present file, which is not kept."""
    name = next(address for address in static_files(page) if address.endswith("app.js")).rpartition("/")[2]
    answer = client.get(f"/static/0123456789abcdef/{name}")
    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-cache")


@pytest.mark.parametrize("address", ["/", "/favicon.ico"])
def test_not_modified(client: FlaskClient, address: str) -> None:
    """What has not changed is not sent again."""
    tag = client.get(address).headers["ETag"]
    answer = client.get(address, headers={"If-None-Match": tag})
    assert (answer.status_code, answer.data) == (304, b"")


@pytest.mark.parametrize("name", ["nothing.js", "page.py", "..%2fpage.py", "%2e%2e", "index.html", ".js"])
def test_nothing_else(client: FlaskClient, page: Page, name: str) -> None:
    """Nothing but the page's own files is there."""
    folder = static_files(page)[0].rpartition("/")[0]
    assert client.get(f"{folder}/{name}").status_code == 404


@pytest.mark.parametrize("address", ["/", "/favicon.ico", "/static/x/app.js"])
def test_headers(client: FlaskClient, address: str) -> None:
    """No answer is guessed at, framed, or told to other sites."""
    headers = client.get(address).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "no-referrer"


class TestWithoutTheServer:
    """Where the extra is installed: its files, the worker that keeps the page, and the model."""

    @pytest.fixture
    def client(
        self, shared_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, new_files: None
    ) -> FlaskClient:
        monkeypatch.syspath_prepend(str(tmp_path))
        monkeypatch.setattr(page_module, "_RUNTIME", write_runtime(tmp_path))
        return create_app(Settings(models=(str(shared_bundle),), access_log=False)).test_client()

    def test_service_worker(self, client: FlaskClient) -> None:
        """It names every file that the page needs without the server, and changes with the page."""
        answer = client.get("/sw.js")
        assert (answer.mimetype, answer.headers["Cache-Control"]) == ("text/javascript", "no-cache")
        files = re.search(r"const FILES = (.*);", answer.text)
        assert files is not None
        named = json.loads(files[1])
        assert {address for address in Page(client.get("/").text).addresses() if address.startswith("static/")} < {
            *named
        }
        for address in named:
            found = client.get(f"/{address}")
            assert found.status_code == 200, address
            for name in re.findall(r'(?:from|import) "\./([\w.-]+)"', found.text if address.endswith("js") else ""):
                assert f"{address.rpartition('/')[0]}/{name}" in named, name
        assert 'data-device="on"' in client.get("/").text

    def test_compressed(self, client: FlaskClient) -> None:
        """The runtime goes out compressed to whoever takes that, and not as the file that it is here."""
        place = f"/static/{page_module.page_digest()}/ort-wasm-simd-threaded.wasm"
        packed = client.get(place, headers={"Accept-Encoding": "gzip"})
        assert (packed.mimetype, packed.headers["Content-Encoding"]) == ("application/wasm", "gzip")
        assert gzip.decompress(packed.data) == client.get(place).data
        assert client.get(place + ".gz").status_code == 404

    def test_only_the_worker_compiles(self, client: FlaskClient) -> None:
        """The page's own policy stays as strict as without."""
        policy = client.get(f"/static/{page_module.page_digest()}/device-worker.js").headers["Content-Security-Policy"]
        assert policy == "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self'"
        assert "wasm" not in client.get("/").headers["Content-Security-Policy"]

    @pytest.mark.parametrize("name", ["bundle.json", "model.onnx"])
    def test_model(self, client: FlaskClient, shared_bundle: Path, name: str) -> None:
        """It is given as the bundle has it, and not sent again while it is the same."""
        answer = client.get(f"/models/tiny/bundle/{name}")
        assert answer.data == (shared_bundle / name).read_bytes()
        assert answer.headers["Cache-Control"] == "private, no-cache"
        again = client.get(f"/models/tiny/bundle/{name}", headers={"If-None-Match": answer.headers["ETag"]})
        assert (again.status_code, again.data) == (304, b"")
        assert client.get(f"/models/other/bundle/{name}").json["code"] == "unknown_model"
        assert client.get("/models/tiny/bundle/card.md").status_code == 404

    def test_needs_a_key(self, client: FlaskClient, shared_bundle: Path) -> None:
        """The model is for those who may classify; the page's files are for all."""
        settings = Settings(models=(str(shared_bundle),), access_log=False, api_keys=(new_key("a")[1],))
        guarded = create_app(settings, load=False).test_client()
        assert guarded.get("/models/tiny/bundle/model.onnx").status_code == 401
        assert guarded.get("/sw.js").status_code == 200

    def test_documented(self, client: FlaskClient) -> None:
        """Both calls are in the API's document."""
        assert "/models/{name}/bundle/model.onnx" in client.get("/openapi.json").json["paths"]


def test_not_installed(shared_bundle: Path, monkeypatch: pytest.MonkeyPatch, new_files: None) -> None:
    """Without the extra there is no switch, no worker that keeps the page, and no model to fetch."""
    monkeypatch.setattr(page_module, "_RUNTIME", "no_such_package")
    client = create_app(Settings(models=(str(shared_bundle),), access_log=False), load=False).test_client()
    assert 'data-device="off"' in client.get("/").text
    for address in ("/sw.js", "/models/tiny/bundle/bundle.json", "/static/x/ort.wasm.bundle.min.mjs"):
        assert client.get(address).status_code == 404
    assert not any("bundle" in path for path in client.get("/openapi.json").json["paths"])


def test_loading(client: FlaskClient) -> None:
    """The page is there before the model is."""
    assert client.get("/health/ready").status_code == 503
    assert client.get("/").status_code == 200


def test_feedback(client: FlaskClient, shared_bundle: Path, tmp_path: Path) -> None:
    """The page offers corrections, and says that they are stored, only where the operator turned them on."""
    settings = Settings(models=(str(shared_bundle),), access_log=False, feedback_dir=tmp_path)
    on = create_app(settings, load=False).test_client().get("/").text
    off = client.get("/").text
    assert ('data-feedback="on"' in on, 'data-feedback="on"' in off) == (True, False)
    assert ("are not kept" in on, "are not kept" in off) == (False, True)
