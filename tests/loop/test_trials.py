"""Which models are compared: begun once, ended by whoever, for 14 days after a promotion, told by the ledger alone."""

from __future__ import annotations

import pytest
from tests.loop.filling import Clock
from tests.tiny_bundle import tiny_bundle, tiny_manifest

from binsight.loop.registry import NotProvenError, Registry, RegistryError
from binsight.loop.trials import begin_challenge, due_trials, end_trial, find_challenge, find_trial, why_ended


@pytest.fixture
def registry(tmp_path):
    """Return a registry with a champion and a challenger, and a clock that stands still."""
    registry = Registry(tmp_path / "registry", create=True, now=Clock())
    for version in "12":
        registry.add(tiny_bundle(tmp_path / version, manifest=tiny_manifest(version=f"{version}.0.0")), by="ada")
    return registry


def due(registry):
    """Return kind and share of what is due."""
    return [(t.kind, t.share) for t in due_trials(registry.ledger.read(), registry.ledger.now())]


def test_a_challenge_begins_once(registry):
    """A server that starts again goes on with it; another share does not begin anew."""
    assert due(registry) == []
    first = begin_challenge(registry, by="server")
    lines = len(registry.ledger.read())
    assert begin_challenge(registry, by="server") == first
    assert len(registry.ledger.read()) == lines
    other = begin_challenge(registry, by="ada", share=0.5)
    assert (other.id, other.share, due(registry)) == (first.id, 0.5, [("challenge", 0.5)])


def test_what_somebody_ended_stays_ended(registry):
    """Until somebody begins it again: with the evidence that there was, so that nobody tries until luck helps."""
    trial = begin_challenge(registry, by="server")
    for _ in range(2):
        end_trial(registry, trial, by="ada", reason="too many to label")
    assert [e.event for e in registry.ledger.read()].count("shadow") == 2
    assert (begin_challenge(registry, by="server").id, due(registry)) == (trial.id, [])
    assert (begin_challenge(registry, by="ada", share=1.0).id, due(registry)) == (trial.id, [("challenge", 1.0)])


def test_without_a_challenger_there_is_nothing_to_begin(registry):
    """It is said how to come by one."""
    registry.promote(by="ada", override="x")
    with pytest.raises(RegistryError, match="registry add"):
        begin_challenge(registry, by="ada")


def test_a_new_champion_is_watched_for_14_days(registry):
    """Beside a challenger that comes meanwhile; not after a rollback."""
    begin_challenge(registry, by="server")
    registry.promote(by="ada", override="x")
    (watch,) = due_trials(registry.ledger.read(), registry.ledger.now())
    aliases = registry.aliases
    assert (watch.kind, watch.old, watch.new, watch.shadow) == (
        "watch", aliases.previous, aliases.champion, aliases.previous
    )  # fmt: skip
    registry.ledger.now.move(days=13.9)
    assert due(registry) == [("watch", 1.0)]
    registry.ledger.now.move(days=0.2)
    assert due(registry) == []
    registry.ledger.now.move(days=-10)
    end_trial(registry, watch, by="ada")
    assert due(registry) == []


def test_why_a_comparison_is_over(registry, tmp_path):
    """As the ledger has it, also for one that began before the server did."""
    first = begin_challenge(registry, by="server")
    registry.add(tiny_bundle(tmp_path / "3", manifest=tiny_manifest(version="3.0.0")), by="ada")
    assert why_ended(registry.ledger.read(), first) == "another challenger"
    second = begin_challenge(registry, by="server")
    end_trial(registry, second, by="ada", reason="enough")
    assert why_ended(registry.ledger.read(), second) == "enough"
    registry.promote("2.0.0", by="ada", override="x")
    entries = registry.ledger.read()
    assert (why_ended(entries, first), find_trial(entries, first.id)) == ("promoted", first)
    (watch,) = [t for t in due_trials(entries, registry.ledger.now()) if t.kind == "watch"]
    assert (find_trial(entries, watch.id), find_trial(entries, "0")) == (watch, None)
    assert why_ended(entries, watch) == "14 days are over"
    registry.rollback(by="ada", reason="caps")
    assert why_ended(registry.ledger.read(), watch) == "caps"


def test_a_rollback_refutes_what_was_found_before(registry):
    """Neither the gate's word nor the live evidence counts any more; and only the champion that is meant goes back."""
    first = begin_challenge(registry, by="server")
    pair = {"challenger": first.new, "champion": first.old}
    with registry.ledger.writing():
        registry.ledger.append("gate", **pair, verdict="promote")
    registry.promote(by="ada")
    with pytest.raises(RegistryError, match="not the champion"):
        registry.rollback(by="server", of=first.old)
    registry.rollback(by="server", of=first.new)
    assert due(registry) == []
    with pytest.raises(RegistryError, match="not the champion"):
        registry.rollback(by="server", of=first.new)  # a second server has found the same
    with pytest.raises(NotProvenError):
        registry.promote("2.0.0", by="ada")
    assert find_challenge(registry.ledger.read(), first.new, first.old) is None
