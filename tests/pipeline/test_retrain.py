"""Retraining: from labels to a challenger, never from what judges it, and no step at which a kill does harm."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from tests.adapt.world import PLANT_LIGHT, shots
from tests.loop import conftest
from tests.loop.crashes import crash_at_each_step
from tests.loop.plant import feed, label, make_plant, stored
from tests.loop.test_labelling import set_double
from tests.pipeline.tiny import FAST
from tests.tiny_bundle import tiny_taxonomy

from binsight.adapt import adapt
from binsight.bundle import load_bundle, photo_key, read_calibration, verify_bundle
from binsight.dataset import scan
from binsight.errors import DatasetError
from binsight.loop.contest import hold_contest
from binsight.loop.gate import judge
from binsight.loop.queue import Queue, TooManyClaimsError
from binsight.loop.registry import Registry
from binsight.loop.versions import NothingLabelledError, freeze, newest_version, read_split
from binsight.pipeline import retrain as module
from binsight.pipeline.auxiliary import read_labelled, read_unlabelled
from binsight.pipeline.presets import resolve_config
from binsight.pipeline.retrain import FullTraining, NothingNewError, retrain
from binsight.predictor import Predictor

tmp_path = conftest.tmp_path  # a folder in memory


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with loop and registry, of which one model was retrained; no test changes it."""
    folder = tmp_path_factory.mktemp("plant")
    queue, registry = make_plant(folder)
    shutil.copytree(folder, folder.parent / "labelled")
    taught = retrain(queue, registry, by="ada", workers=1).taught
    (folder.parent / "suspects").write_text("\n".join(Path(s.path).stem for s in taught.suspects))
    return folder


@pytest.fixture
def here(whole: Path, tmp_path: Path) -> tuple[Queue, Registry]:
    """Return loop and registry, labelled but not retrained yet."""
    folder = shutil.copytree(whole.parent / "labelled", tmp_path / "here")
    return Queue(folder / "loop"), Registry(folder / "models")


@pytest.fixture
def quick(whole: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let the model be there at once: the one that was taught before, written by the same call."""
    made = Registry(whole / "models").path(Registry(whole / "models").find("challenger").sha256)

    def copy(_bundle: object, _photos: object, out: Path, **_: object) -> None:
        module.write_whole(out, made.read_bytes())

    monkeypatch.setattr(module, "adapt", copy)
    return made


def share_right(bundle: Path) -> float:
    """How many of fresh photos of the plant a bundle tells."""
    predictor = Predictor.load(bundle, threads=1)
    return float(np.mean([
        p.category == name for name in ("red", "green", "blue")
        for p in predictor.predict_images(list(shots(name, 40, light=PLANT_LIGHT, seed=9)))
    ]))  # fmt: skip


def test_the_challenger_is_better_and_says_what_it_was_made_of(whole: Path) -> None:
    """In both ledgers and in the bundle; the champion stays."""
    queue, registry = Queue(whole / "loop"), Registry(whole / "models")
    new, old = registry.find("challenger"), registry.find("champion")
    assert share_right(registry.path(old.sha256)) < 0.7
    assert share_right(registry.path(new.sha256)) > 0.9
    version = newest_version(queue.directory).stem
    (line,) = [e.details for e in queue.ledger.read() if e.event == "train"]
    assert (line["model"], line["version"], line["base"], line["by"]) == (new.sha256, version, old.sha256, "ada")
    assert registry.ledger.read()[-1].details["labels"] == version
    bundle = load_bundle(registry.path(new.sha256))
    assert verify_bundle(registry.path(new.sha256)) == []
    assert bundle.manifest.version == new.version == "1.0.0-retrained1"
    assert bundle.manifest.training["adapted"][-1]["labels"] == version
    assert "binsight retrain" in bundle.read("card.md").decode()
    assert not list((queue.directory / "retrain").iterdir())


def test_what_judges_is_never_learned_from(whole: Path) -> None:
    """The new model has learned from every photo of train but suspect ones, and from none that is locked or hard."""
    queue, registry = Queue(whole / "loop"), Registry(whole / "models")
    record = read_calibration(load_bundle(registry.path(registry.find("challenger").sha256)))
    manifest, suspects = newest_version(queue.directory), (whole.parent / "suspects").read_text().split()
    assert len(suspects) <= 3
    for split, is_seen in (("train", True), ("locked", False), ("hard", False)):
        photos = read_split(manifest, split).keys() - suspects
        keys = np.array([photo_key(queue.photo(item).read_bytes()) for item in photos], np.uint64)
        assert len(photos) > 0 or split == "hard"
        assert all((record.used(role, keys) == is_seen).all() for role in ("trained", "calibrated"))


def test_the_same_labels_teach_once(whole: Path) -> None:
    """And it is said of which model."""
    with pytest.raises(NothingNewError, match=r"1\.0\.0-retrained1"):
        retrain(Queue(whole / "loop"), Registry(whole / "models"), by="ada")


def test_the_next_one_begins_where_the_first_did(here, quick, monkeypatch) -> None:
    """So what was forgotten since is in no later model, and photos that were left out are strange to it."""
    queue, registry = here
    base = registry.find("champion").sha256
    first = retrain(queue, registry, by="ada").model
    registry.promote(by="ada", override="a test")
    label(queue, feed(queue, 2, seed=5))
    taught = []
    monkeypatch.setattr(module, "adapt", lambda bundle, photos, out, **_: taught.append((bundle, photos)) or
                        shutil.copy(registry.path(base), out))  # fmt: skip
    queue.directory.joinpath("retrain").mkdir(exist_ok=True)
    second = retrain(queue, registry, by="ada")
    assert taught[0][0] == registry.path(base)
    assert second.base.sha256 == base
    line = [e.details for e in queue.ledger.read() if e.event == "train"][-1]
    assert (line["parent"], line["base"]) == (first.sha256, base)


def test_the_full_way_learns_the_same_photos(here, photos, monkeypatch, reporter) -> None:
    """Beside those that the champion was made from; empty places as photos of none of the classes."""
    queue, registry = here
    truth = feed(queue, 3, seed=8)
    label(queue, dict.fromkeys(truth, "not_waste"))
    known = queue.directory / "retrain"
    found = []

    def train(dataset, config, places, *, resume, **_) -> None:
        found.append((config, read_labelled(config.data.also, tiny_taxonomy()), read_unlabelled(config.data.outliers)))
        assert (resume, len(dataset), places.bundle.parent) == (True, 60, known)
        shutil.copy(registry.path(registry.find("champion").sha256), places.bundle)

    monkeypatch.setattr("binsight.pipeline.train.train", train)
    full = FullTraining(scan(photos), resolve_config(flags=FAST), reporter)
    made = retrain(queue, registry, by="ada", full=full)
    ((config, also, outliers),) = found
    learned = read_split(newest_version(queue.directory), "train")
    assert {Path(s.path).stem: s.class_id for s in also} == {i: c for i, c in learned.items() if c != "not-waste"}
    assert {Path(s.path).stem for s in outliers} == {i for i, c in learned.items() if c == "not-waste"}
    assert (config.bundle.name, config.bundle.version) == (made.base.name, "1.0.0-retrained1")
    assert [e.details["base"] for e in queue.ledger.read() if e.event == "train"] == [None]


def test_nothing_to_learn_is_said(tmp_path: Path) -> None:
    """No label, or one class alone; the registry stays as it was."""
    queue, registry = make_plant(tmp_path, 0)
    with pytest.raises(NothingLabelledError):
        retrain(queue, registry, by="ada")
    label(queue, feed(queue, 8, names=("red",)))
    with pytest.raises(DatasetError, match="two classes"):
        retrain(queue, registry, by="ada", workers=1)
    assert len(registry.models()) == 1


def test_a_death_at_any_step_is_made_good(here, quick, monkeypatch, tmp_path) -> None:
    """Chains are whole, both ledgers name the same model, and the same command finishes it: once."""
    queue, _ = here
    folder, one = queue.directory.parent, tmp_path / "one"
    monkeypatch.setattr("binsight.loop.versions.duplicate_groups", lambda found, **_: range(len(found)))
    freeze(queue)  # which has a test of its own

    def once() -> None:
        shutil.rmtree(one, ignore_errors=True)
        shutil.copytree(folder, one)
        retrain(Queue(one / "loop"), Registry(one / "models"), by="ada")

    seen = set()
    for _ in crash_at_each_step(monkeypatch, once):
        loop, models = Queue(one / "loop"), Registry(one / "models")
        said = [e.details["model"] for e in loop.ledger.read() if e.event == "train"]
        assert {m.sha256 for m in models.models()[1:]} <= set(said)
        seen.add((len(said), len(models.models())))
        try:
            assert retrain(loop, models, by="ada").model.sha256 == models.find("challenger").sha256
        except NothingNewError:
            assert len(models.models()) == 2
        assert [e.event for e in loop.ledger.read()].count("train") == 1
        assert verify_bundle(models.path(models.find("challenger").sha256)) == []
        assert not list((one / "loop" / "retrain").iterdir())
    assert seen == {(0, 1), (1, 1), (1, 2)}


def test_forgetting_names_the_models(here, quick) -> None:
    """Those that learned from the photo, and those that were begun from such a one."""
    queue, registry = here
    made = retrain(queue, registry, by="ada").model.sha256
    with queue.ledger.writing():
        queue.ledger.append("train", model="heir", key="", version="another", base=made)
        queue.ledger.append("train", model="stranger", key="", version="another", base="x")
    item = next(iter(read_split(newest_version(queue.directory), "train")))
    assert queue.forget(item).models == (made, "heir")


def test_a_photo_that_is_forgotten_meanwhile_is_in_no_model(here, quick, monkeypatch) -> None:
    """The model that learned from it is thrown away, and the next run does without it."""
    queue, registry = here
    copy = module.adapt

    def forgets(bundle: object, photos: Path, out: Path, **rest: object) -> None:
        queue.forget(next(iter(read_split(photos, "train"))))
        copy(bundle, photos, out, **rest)

    monkeypatch.setattr(module, "adapt", forgets)
    with pytest.raises(NothingNewError, match="1 of the photos were forgotten"):
        retrain(queue, registry, by="ada")
    assert len(registry.models()) == 1
    monkeypatch.setattr(module, "adapt", copy)
    assert retrain(queue, registry, by="ada").model.version == "1.0.0-retrained1"


def test_5000_wrong_corrections_move_nothing(here, monkeypatch) -> None:
    """A hundred are kept, in quarantine: the labels that teach are the same to the byte."""
    queue, registry = here
    before = freeze(queue)
    files = [stored(shot) for shot in shots("blue", 400, light=PLANT_LIGHT, seed=77)]
    refused = 0
    with queue.changing() as rows:
        monkeypatch.setattr(queue, "changing", lambda: nullcontext(rows))  # one transaction for 5,000 calls
        for number in range(5000):
            try:
                queue.claim(files[number % 400], client="mallory", corrected="red", predicted="blue", model="tiny")
            except TooManyClaimsError:
                refused += 1
    monkeypatch.undo()
    found = retrain(queue, registry, by="ada")
    assert refused > 3000
    assert (found.version, found.waiting) == (before, 100)


def test_what_two_careless_people_confirm_stays_a_tenth(here) -> None:
    """Of what is new, however often one client is confirmed; and no gate lets a poisoned model pass."""
    queue, registry = here
    first = sum(freeze(queue).photos.values())
    items = {}
    for shot in shots("blue", 60, light=PLANT_LIGHT, seed=77):
        item, _ = queue.claim(stored(shot), client="mallory", corrected="red", predicted="blue", model="tiny")
        items[item] = "red"
    with queue.changing() as rows:
        rows.executemany(
            "INSERT INTO events (token, item, labeller, at, kind, answer, mode, is_gold, saw) "
            "VALUES (?, ?, ?, '', 'label', 'red', '', 0, '')",
            [(f"{who}{item}", item, who) for item in items for who in ("ada", "bob")],
        )
    label(queue, feed(queue, 3, seed=6) | items)
    version = freeze(queue)
    wrong = [item for split in version.photos for item in read_split(newest_version(queue.directory), split)
             if item in items]  # fmt: skip
    assert (len(wrong), sum(version.photos.values())) == (1, first + 9 + 1)
    assert version.left_out == 59
    poisoned = queue.directory / "poisoned"
    lies = {"red": "blue", "blue": "green", "green": "red"}
    manifest = newest_version(queue.directory)
    lied = manifest.with_name("lied.csv")
    lied.write_text("".join(f"{line}\n" for line in _lying(manifest.read_text().splitlines(), lies)))
    adapt(registry.path(registry.find("champion").sha256), lied, poisoned, workers=1, lesson=module._lesson(version))
    contest = hold_contest(poisoned, registry.path(registry.find("champion").sha256), manifest, workers=1)
    assert contest.split == "locked"
    assert judge(contest.locked, contest.hard, contest.cost, margin=0.005).verdict != "promote"


def _lying(lines: list[str], lies: dict[str, str]) -> list[str]:
    return [lines[0]] + [
        line.replace(f",{own},", f",{lies[own]},") for line in lines[1:] for own in [line.split(",")[1]]
    ]


CHILD = """
import sys
from contextlib import nullcontext
from pathlib import Path
from binsight.loop.labelling import Labelling
from binsight.loop.queue import Queue
from binsight.loop.versions import freeze
queue = Queue(Path(sys.argv[1]))
desk = Labelling(queue, ("red", "green", "blue"))
for number, (item,) in enumerate(iter(lambda: desk.next("eve"), [])):
    desk.answer("eve", item.id, "red", event=f"eve-{item.id}")
    print(item.id, flush=True)
    if number % 2:
        freeze(queue, workers=1)
    if number % 3 == 2:
        queue.forget(item.id)
        print("-" + item.id, flush=True)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no kill -9")
def test_kill_9_loses_and_doubles_no_label(here) -> None:
    """A process that labels, freezes and forgets is killed in the middle of it, twice."""
    queue, _ = here
    feed(queue, 8, seed=3)
    set_double(queue, is_double=False)
    said: list[str] = []
    for turn in range(2):
        command = [sys.executable, "-c", CHILD, str(queue.directory)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            said += [child.stdout.readline().strip() for _ in range(6 + turn)]
            os.kill(child.pid, signal.SIGKILL)
            said += child.stdout.read().split()
        queue = Queue(queue.directory)
        gone = {line[1:] for line in said if line.startswith("-")}
        with queue.reading() as rows:
            labels = [row["item"] for row in rows.execute("SELECT item FROM events WHERE labeller = 'eve'")]
        forgotten = {e.details["mark"] for e in queue.ledger.read() if e.event == "forget"}
        answered = {line for line in said if not line.startswith("-")} - gone
        lost = answered - set(labels)
        # What was answered is there once, unless it was being forgotten when the process died.
        assert len(labels) == len(set(labels))
        assert len(lost) <= turn + 1
        assert len(forgotten) == len(gone) + len(lost)
        assert scan(newest_version(queue.directory)).classes


def test_improbable_labels_do_not_teach(here) -> None:
    """They are told; a model taught with them would trust itself less than it may."""
    queue, registry = here
    with queue.changing() as rows:
        wrong = [row["id"] for row in rows.execute("SELECT id FROM items WHERE split = 'train' ORDER BY id LIMIT 2")]
        for item in wrong:
            truth = rows.execute("SELECT answer FROM events WHERE item = ?", (item,)).fetchone()["answer"]
            lie = {"red": "green", "green": "red", "blue": "green"}[truth]
            rows.execute("UPDATE events SET answer = ? WHERE item = ?", (lie, item))
    taught = retrain(queue, registry, by="ada", workers=1).taught
    assert {Path(s.path).stem for s in taught.suspects} >= set(wrong)
    assert sum(c.photos for c in taught.classes) <= len(read_split(newest_version(queue.directory), "train")) - 2
