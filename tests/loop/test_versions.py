"""Versions: named by their hash, copies in one split, claims capped, and no step that breaks them."""

from __future__ import annotations

import hashlib
import shutil

import pytest
from tests.loop.crashes import crash_at_each_step
from tests.loop.filling import CLASSES, Clock, put
from tests.loop.test_labelling import label_all, set_double
from tests.loop.test_queue import claim

from binsight.dataset import scan
from binsight.errors import InputError
from binsight.loop.labelling import Labelling
from binsight.loop.queue import Queue
from binsight.loop.versions import NothingLabelledError, compare_versions, freeze, newest_version, versions


@pytest.fixture
def queue(tmp_path):
    """Return a queue with 20 labelled photos."""
    queue = Queue(tmp_path / "loop", create=True, now=Clock())
    for number in range(20):
        put(queue, number)
    set_double(queue, is_double=False)
    label_all(Labelling(queue, CLASSES), "ada")
    return queue


def test_a_version_is_a_manifest_named_by_its_hash(queue):
    """It can be read as any data set, and freezing the same again changes nothing."""
    version = freeze(queue)
    path = newest_version(queue.directory)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == version.sha256 == path.stem
    found = scan(path)
    assert (len(found), set(found.splits), found.classes) == (20, {"train", "locked"}, ("red",))
    assert all(s.error is None and s.extra["labellers"] == "ada" for s in found)
    assert freeze(queue) == version
    assert len(versions(queue)) == 1


def test_what_changed(queue):
    """Added, removed, relabelled."""
    first = freeze(queue)
    desk = Labelling(queue, CLASSES)
    items = [s.path[-68:-4] for s in scan(newest_version(queue.directory))]
    desk.answer("ada", items[0], "blue", event="a")
    desk.answer("ada", items[1], "unclear", event="b")
    desk.answer("ada", items[2], "not_waste", event="c")
    put(queue, 99)
    set_double(queue, is_double=False)
    label_all(desk, "ada")
    second = freeze(queue)
    found = compare_versions(queue, first.sha256[:8], second.sha256)
    assert [len(part) for part in (found.added, found.removed, found.relabelled)] == [1, 1, 2]
    assert scan(newest_version(queue.directory)).classes == ("blue", "not-waste", "red")
    with pytest.raises(InputError, match="expected one version"):
        compare_versions(queue, "zzz", second.sha256)


def test_one_client_brings_a_tenth_at_most(queue):
    """However many of his corrections two people confirm."""
    for number in range(100, 130):
        claim(queue, number, corrected="red")
    with queue.changing() as rows:
        for number, row in enumerate(rows.execute("SELECT id FROM items WHERE is_correction").fetchall()):
            for who in ("ada", "bob"):
                rows.execute(
                    "INSERT INTO events (token, item, labeller, at, kind, answer, mode, is_gold, saw) "
                    "VALUES (?, ?, ?, '', 'label', 'red', '', 0, '')",
                    (f"{who}{number}", row["id"], who),
                )
    version = freeze(queue)
    assert (sum(version.photos.values()), version.left_out) == (22, 28)


def test_nothing_labelled_is_said(tmp_path):
    """And nothing is written."""
    queue = Queue(tmp_path / "empty", create=True)
    with pytest.raises(NothingLabelledError):
        freeze(queue)
    assert newest_version(queue.directory) is None


def test_a_death_while_freezing(queue, tmp_path, monkeypatch):
    """Leaves the version whole, or none."""
    whole, here = shutil.copytree(queue.directory, tmp_path / "whole"), tmp_path / "here"
    monkeypatch.setattr("binsight.loop.versions.duplicate_groups", lambda found, **_: range(len(found)))

    def once():
        shutil.rmtree(here, ignore_errors=True)
        shutil.copytree(whole, here)
        freeze(Queue(here))

    for _ in crash_at_each_step(monkeypatch, once):
        survivor = Queue(here)
        for version in versions(survivor):
            path = here / "datasets" / f"{version.sha256}.csv"
            assert hashlib.sha256(path.read_bytes()).hexdigest() == version.sha256
        assert freeze(survivor).photos == freeze(survivor).photos
        assert len(versions(survivor)) == 1
