"""`binsight registry`, as a user types it."""

from __future__ import annotations

import json

import pytest
from tests.tiny_bundle import tiny_bundle, tiny_manifest


@pytest.fixture
def models(tmp_path, binsight):
    """Return a registry with a champion, version 1, and a challenger, version 2."""
    for version in "12":
        bundle = tiny_bundle(tmp_path / version, manifest=tiny_manifest(version=f"{version}.0.0"))
        assert binsight("registry", "add", tmp_path / "models", bundle).code == 0
    return tmp_path / "models"


def test_promotes_and_rolls_back(binsight, models):
    """A promotion that is not proven says what to do; one with a reason and a rollback are in the ledger."""
    refused = binsight("registry", "promote", models, "challenger")
    assert (refused.code, "binsight gate" in refused.err, refused.err.count("\n")) == (2, True, 1)
    assert " is champion" in binsight("registry", "promote", models, "challenger", "--override", "caps").out
    assert binsight("registry", "rollback", models, "--reason", "worse").out.startswith("tiny 1.0.0")
    listed = {m["version"]: m["aliases"] for m in binsight("registry", "list", models, "--json").objects()}
    assert listed == {"1.0.0": ["champion"], "2.0.0": ["previous"]}
    events = json.loads(binsight("registry", "show", models, "2.0.0", "--json").out)
    assert [e["event"] for e in events] == ["add", "promote"]
    assert "worse" in binsight("registry", "show", models).out
    assert "2.0.0" in binsight("registry", "list", models).out


@pytest.mark.parametrize(
    "arguments",
    [["list", "none"], ["add", "models", "no-such-bundle"], ["promote", "models", "3.0.0"], ["rollback", "models"],
     ["show", "models", "abc"], ["push", "models", "champion", "--to", "elsewhere"], ["promote", "models"]],
)  # fmt: skip
def test_wrong_use_is_one_line_and_2(binsight, models, monkeypatch, arguments):
    """And the registry stays as it was."""
    monkeypatch.chdir(models.parent)
    before = (models / "ledger.jsonl").read_bytes()
    run = binsight("registry", *arguments)
    assert (run.code, run.out, "Traceback" in run.err) == (2, "", False)
    assert (models / "ledger.jsonl").read_bytes() == before


def test_an_altered_ledger_is_said(binsight, models):
    """By every command."""
    ledger = models / "ledger.jsonl"
    ledger.write_text(ledger.read_text().replace("2.0.0", "3.0.0"))
    for arguments in (["list"], ["show"], ["rollback"]):
        run = binsight("registry", *arguments[:1], models)
        assert (run.code, "line 2 was altered" in run.err) == (2, True)
