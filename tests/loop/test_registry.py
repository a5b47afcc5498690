"""The registry: models that never change, promotion that is proven, a rollback that stays, steps that break nothing."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys

import pytest
from tests.loop.crashes import crash_at_each_step
from tests.tiny_bundle import tiny_bundle, tiny_manifest

from binsight.bundle import load_bundle, verify_bundle
from binsight.errors import BundleError, InputError
from binsight.loop.registry import NotProvenError, Registry, RegistryError


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    """Return bundles of three versions."""
    folder = tmp_path_factory.mktemp("bundles")
    return {v: tiny_bundle(folder / v, manifest=tiny_manifest(version=f"{v}.0.0")) for v in "123"}


@pytest.fixture
def registry(tmp_path, bundles):
    """Return a registry with a champion, version 1, and a challenger, version 2."""
    registry = Registry(tmp_path / "registry", create=True)
    for version in "12":
        registry.add(bundles[version], by="ada")
    return registry


def versions(registry):
    """Return the versions of champion, challenger and previous."""
    by_hash = {m.sha256: m.version[0] for m in registry.models()} | {None: "-"}
    aliases = registry.aliases
    return "".join(by_hash[sha] for sha in (aliases.champion, aliases.challenger, aliases.previous))


def pass_gate(registry, challenger="challenger", champion="champion", verdict="promote"):
    """Record what a gate found."""
    found = {"challenger": registry.find(challenger).sha256, "champion": registry.find(champion).sha256}
    with registry.ledger.writing():
        registry.ledger.append("gate", **found, verdict=verdict)


def check_whole(registry):
    """Every alias is of a model that is there whole, the file says what the ledger says, the chain is whole."""
    registry.repair()
    aliases = json.loads((registry.directory / "aliases.json").read_text())
    assert registry.aliases.champion == aliases["champion"]
    assert registry.aliases.previous == aliases["previous"]
    for sha256 in filter(None, aliases.values()):
        registry.check(sha256)
        assert verify_bundle(registry.path(sha256)) == []
    assert not list((registry.directory / "models").glob(".*"))


def test_the_first_model_is_the_champion_and_the_next_the_challenger(registry, bundles):
    """Adding one that is there changes nothing; an older one becomes the challenger again."""
    assert versions(registry) == "12-"
    registry.add(bundles["2"], by="ada")
    assert (len(registry.ledger.read()), registry.name) == (2, "tiny")
    registry.add(bundles["3"], by="ada")
    registry.add(bundles["2"], by="ada")
    assert (versions(registry), [m.version[0] for m in registry.models()]) == ("12-", ["1", "2", "3"])


def test_a_model_is_a_copy_named_by_its_hash(registry, bundles, tmp_path):
    """The same content has the same name, from a folder or a zip."""
    packed = tiny_bundle(tmp_path / "1.zip", manifest=tiny_manifest(version="1.0.0"))
    model = registry.find("champion")
    assert registry.path(model.sha256).read_bytes() == packed.read_bytes()
    assert load_bundle(registry.path(model.sha256)).manifest == load_bundle(bundles["1"]).manifest


def test_a_model_is_found_by_alias_hash_and_version(registry):
    """What is none of them, or means two, is refused with what there is."""
    model = registry.find("champion")
    assert registry.find(model.sha256[:6]) == registry.find(model.sha256) == registry.find("1.0.0") == model
    for nothing in ("previous", model.sha256[:5], "9.0.0", "", "../x"):
        with pytest.raises(RegistryError, match=r"no model .*; there are tiny 1\.0\.0"):
            registry.find(nothing)


def test_only_what_a_gate_let_pass_is_promoted(registry):
    """A gate's newest word counts, and only against the present champion."""
    with pytest.raises(NotProvenError, match="no gate has found"):
        registry.promote(by="ada")
    pass_gate(registry)
    pass_gate(registry, verdict="not proven")
    with pytest.raises(NotProvenError):
        registry.promote(by="ada")
    pass_gate(registry)
    registry.promote(by="ada")
    assert versions(registry) == "2-1"
    with pytest.raises(NotProvenError):  # the way back was not tried
        registry.promote("previous", by="ada")
    with pytest.raises(RegistryError, match="already"):
        registry.promote("champion", by="ada")


def test_an_override_is_recorded(registry):
    """With who and why."""
    registry.promote(by="ada", override="the old one cannot see caps")
    last = registry.ledger.read()[-1]
    assert (last.event, last.details["by"], last.details["override"]) == (
        "promote",
        "ada",
        "the old one cannot see caps",
    )
    assert last.details["proof"] is None


def test_a_rollback_stays(registry, bundles):
    """Another look at the folder finds it as it was left; a second rollback undoes the first."""
    with pytest.raises(RegistryError, match="no previous"):
        registry.rollback(by="ada")
    registry.promote(by="ada", override="trust me")
    assert registry.rollback(by="ada", reason="worse").version == "1.0.0"
    assert versions(Registry(registry.directory)) == "1-2"
    registry.add(bundles["3"], by="ada")
    assert versions(registry) == "132"
    registry.rollback(by="ada")
    assert versions(registry) == "231"


def test_a_model_that_was_altered_or_removed_is_never_put_in_place(registry):
    """Neither by promotion nor by rollback."""
    path = registry.path(registry.find("challenger").sha256)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(BundleError, match="altered"):
        registry.promote(by="ada", override="x")
    path.unlink()
    with pytest.raises(BundleError, match="No such file"):
        registry.promote(by="ada", override="x")
    assert versions(registry) == "12-"


def test_a_broken_bundle_is_not_registered(registry, bundles, tmp_path):
    """Nothing of it stays."""
    broken = shutil.copytree(bundles["3"], tmp_path / "broken")
    (broken / "card.md").write_text("other")
    with pytest.raises(BundleError, match="expected 59 bytes"):
        registry.add(broken, by="ada")
    assert len(list((registry.directory / "models").iterdir())) == 2


def test_no_registry_is_said(tmp_path):
    """With what to do."""
    with pytest.raises(InputError, match="registry add"):
        Registry(tmp_path)


WORK = {
    "add": lambda registry, bundles: registry.add(bundles["3"], by="ada"),
    "promote": lambda registry, _bundles: registry.promote("2.0.0", by="ada", override="x"),
    "rollback": lambda registry, _bundles: registry.rollback(by="ada"),
}


@pytest.mark.parametrize("work", WORK)
def test_a_death_at_any_step_leaves_old_or_new(registry, bundles, tmp_path, monkeypatch, work):
    """Never anything between, and the next change works."""
    registry.promote(by="ada", override="x")
    if work == "promote":
        registry.rollback(by="ada")
    old = versions(registry)
    whole = shutil.copytree(registry.directory, tmp_path / "whole")
    reference = Registry(shutil.copytree(whole, tmp_path / "reference"))
    WORK[work](reference, bundles)
    new = versions(reference)
    assert old != new
    here = tmp_path / "here"

    def once():
        shutil.rmtree(here, ignore_errors=True)
        shutil.copytree(whole, here)
        WORK[work](Registry(here), bundles)

    seen = set()
    # Copying the folder is not part of the work, and takes none of the steps that may fail.
    for _ in crash_at_each_step(monkeypatch, once):
        survivor = Registry(here)
        seen.add(versions(survivor))
        check_whole(survivor)
        if versions(survivor) == old:
            WORK[work](survivor, bundles)
        assert versions(survivor) == new
        check_whole(survivor)
    assert seen == {old, new}


CHILD = """
import sys
from pathlib import Path
from binsight.loop.registry import Registry
registry = Registry(Path(sys.argv[1]))
while True:
    registry.rollback(by="child")
    print("done", flush=True)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no kill -9")
def test_kill_9(registry, tmp_path):
    """A process that does nothing but roll back is killed in the middle of it, several times."""
    registry.promote(by="ada", override="x")
    for turn in range(4):
        command = [sys.executable, "-c", CHILD, str(registry.directory)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            for _ in range(2 + turn):
                assert child.stdout.readline() == "done\n"
            os.kill(child.pid, signal.SIGKILL)
        check_whole(registry)
    assert len(registry.ledger.read()) >= 3 + 2 + 3 + 4 + 5
