"""The web page as it is served: what a browser may load, run and keep."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest

from binsight.serving.app import create_app
from binsight.serving.settings import Settings

if TYPE_CHECKING:
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
