"""The OpenAPI document and its page agree with the application."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from binsight.loop.registry import Registry
from binsight.serving.openapi import openapi_document
from binsight.serving.problems import KINDS
from binsight.serving.security import new_key
from binsight.serving.settings import Settings

# Not part of the API: the page and its files.
_PAGE = {"/", "/sw.js", "/teach", "/label", "/favicon.ico", "/static/<version>/<name>", "/docs", "/openapi.json"}


@pytest.mark.parametrize("keeping", [("feedback_dir", "teach_dir"), ("registry_dir", "loop_dir")])
def test_every_route_is_documented_and_every_documented_route_exists(make_app, shared_bundle, tmp_path: Path, keeping):
    """With everything turned on that can be."""
    Registry(tmp_path / "registry_dir", create=True).add(shared_bundle, by="ada")
    keys = (new_key("a")[1],)
    labels = {"label_keys": keys, "models": ("waste8",)} if "loop_dir" in keeping else {}
    app = make_app(admin_keys=keys, **labels, **{name: tmp_path / name for name in keeping})
    routes = {
        (re.sub(r"<(\w+)>", r"{\1}", rule.rule), method.lower())
        for rule in app.url_map.iter_rules()
        if rule.rule not in _PAGE
        for method in rule.methods - {"HEAD", "OPTIONS"}
    }
    document = app.test_client().get("/openapi.json").json
    assert {(path, method) for path, methods in document["paths"].items() for method in methods} == routes


def test_calls_that_are_off_are_not_in_the_document(client):
    """No admin, no feedback, no keys."""
    document = client.get("/openapi.json").json
    assert not any(path.startswith(("/admin", "/feedback")) for path in document["paths"])
    assert "securitySchemes" not in document["components"]


def test_calls_that_need_a_key_say_so(make_app):
    """Probes do not."""
    document = make_app(api_keys=(new_key("a")[1],)).test_client().get("/openapi.json").json
    assert document["paths"]["/predict"]["post"]["security"] == [{"bearer": []}, {"header": []}]
    assert "401" in document["paths"]["/predict"]["post"]["responses"]
    assert "security" not in document["paths"]["/health"]["get"]


def test_every_reference_leads_somewhere(client):
    """No name of a type is dangling."""
    document = client.get("/openapi.json").json
    references = set(re.findall(r'"\$ref": ?"#/components/schemas/(\w+)"', client.get("/openapi.json").text))
    assert references
    assert references <= set(document["components"]["schemas"])


class _Page(HTMLParser):
    def __init__(self):
        super().__init__()
        self.ids, self.links, self.tags = set(), set(), set()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        values = dict(attrs)
        self.ids.add(values.get("id"))
        self.links |= {values[key] for key in ("href", "src") if key in values}


def test_the_page_explains_every_problem_and_needs_nothing_from_elsewhere(client):
    """No script, no other host; every link within the page has its target."""
    page = _Page()
    page.feed(client.get("/docs").text)
    assert {f"problem-{code}" for code in KINDS} <= page.ids
    assert page.tags.isdisjoint({"script", "link", "img", "iframe"})
    assert {link[1:] for link in page.links if link.startswith("#")} <= page.ids
    assert {link for link in page.links if not link.startswith("#")} == {"openapi.json"}


def test_the_page_is_not_sent_twice(client):
    """304 when the browser has it."""
    etag = client.get("/docs").headers["ETag"]
    assert client.get("/docs", headers={"If-None-Match": etag}).status_code == 304


@pytest.mark.parametrize("name", ["top", "heatmap", "model"])
def test_the_parameters_are_those_that_validate(client, name):
    """From the same type; null cannot be said in an address."""
    parameters = client.get("/openapi.json").json["paths"]["/predict"]["post"]["parameters"]
    (parameter,) = [p for p in parameters if p["name"] == name]
    assert parameter["in"] == "query"
    assert "anyOf" not in parameter["schema"]
    assert not parameter.get("required", False)


def test_settings_alone_make_the_document():
    """It needs no model, so that it can be published with a release."""
    assert openapi_document(Settings())["openapi"] == "3.1.0"
