"""`binsight retrain`, as a user types it."""

from __future__ import annotations

import json

import pytest
from tests.loop.plant import make_plant


@pytest.fixture(scope="module")
def plant(tmp_path_factory):
    """Return a folder with a loop of a few labelled photos and a registry."""
    folder = tmp_path_factory.mktemp("plant")
    make_plant(folder, 6)
    return folder


def test_a_challenger_and_what_comes_next(binsight, plant):
    """Then the same again has nothing to learn: one line, and 2."""
    pair = (plant / "loop", "--registry", plant / "models")
    run = binsight("retrain", *pair, "-q")
    assert run.code == 0
    for words in (
        "only train is learned from",
        "right on photos left out",
        "challenger: tiny 1.0.0-retrained1",
        "gate",
    ):
        assert words in run.out
    (again, described) = binsight("retrain", *pair, "-q"), binsight("registry", "list", plant / "models", "--json")
    assert (again.code, again.err.count("\n"), "nothing was labelled since" in again.err) == (2, 1, True)
    assert [json.loads(line)["version"] for line in described.out.splitlines()] == ["1.0.0", "1.0.0-retrained1"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("nowhere", "--registry", "models"), "serve --loop"),
        (("loop", "--registry", "nowhere"), "registry add"),
        (("loop",), "--registry"),
        (("loop", "--registry", "models", "--config", "models/aliases.json"), "--original"),
    ],
)
def test_what_is_missing_is_said(binsight, plant, monkeypatch, arguments, words):
    """In one line, with 2."""
    monkeypatch.chdir(plant)
    run = binsight("retrain", *arguments, "-q")
    assert (run.code, words in run.err) == (2, True)
