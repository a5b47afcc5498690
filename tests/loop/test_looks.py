"""Looks at locked photos: there are ten, they follow the photos, and then newer photos are locked."""

from __future__ import annotations

import shutil

import pytest
from tests.loop.crashes import crash_at_each_step
from tests.loop.filling import CLASSES, Clock, put
from tests.loop.test_labelling import label_all, set_double
from tests.loop.test_queue import claim

from binsight.loop.labelling import Labelling
from binsight.loop.ledger import Ledger
from binsight.loop.looks import SpentError, record_look, retire
from binsight.loop.queue import Queue
from binsight.loop.versions import freeze, newest_version, read_split, versions

PHOTOS = [f"{number:064x}"[::-1] for number in range(1, 41)]


@pytest.fixture
def ledger(tmp_path):
    """Return a ledger with ten looks at 20 photos."""
    ledger = Ledger(tmp_path / "ledger.jsonl")
    for number in range(1, 11):
        assert look(ledger, PHOTOS[:20]) == number
    return ledger


@pytest.fixture
def queue(tmp_path):
    """Return a queue with 20 labelled photos in a version, half of them locked, and 10 labelled since, 5 locked."""
    queue = Queue(tmp_path / "loop", create=True, now=Clock())
    add(queue, range(20))
    freeze(queue)
    add(queue, range(20, 30))
    return queue


def add(queue, numbers):
    """Keep photos drawn at random, and label them; every other one is locked."""
    items = [put(queue, number) for number in numbers]
    with queue.changing() as rows:
        deal = [("locked" if number % 2 else "train", item) for number, item in enumerate(items)]
        rows.executemany("UPDATE items SET split = ? WHERE id = ?", deal)
    set_double(queue, is_double=False)
    label_all(Labelling(queue, CLASSES), "ada")


def look(ledger, photos):
    """Look at photos; the number of the look."""
    return record_look(ledger, photos=photos, challenger="new", champion="old")


def locked(queue):
    """Return the locked photos of the newest version."""
    return set(read_split(newest_version(queue.directory), "locked"))


@pytest.mark.parametrize("photos", [PHOTOS[:20], PHOTOS[:11], PHOTOS[9:29], PHOTOS[:40], PHOTOS[19::-1]])
def test_looks_follow_the_photos(ledger, photos):
    """Fewer, more or some others make no new set, nor does another order."""
    with pytest.raises(SpentError, match="looked at 10 times"):
        look(ledger, photos)
    assert len(ledger.read()) == 10


@pytest.mark.parametrize("photos", [PHOTOS[20:], PHOTOS[10:30]])
def test_other_photos_have_looks_of_their_own(ledger, photos):
    """Where at most half of them were looked at."""
    assert look(ledger, photos) == 1


def test_photos_are_written_down_once(ledger):
    """With the first look at them."""
    assert ["photos" in entry.details for entry in ledger.read()] == [True] + 9 * [False]


def test_after_ten_looks_newer_photos_are_locked(queue):
    """What was looked at is in train from then on, and what no version had is locked."""
    old = locked(queue)
    for _ in range(10):
        look(queue.ledger, old)
    claimed = claim(queue, 28, corrected="red")[0]
    label_all(Labelling(queue, CLASSES), "bob")
    in_train = set(read_split(newest_version(queue.directory), "train"))
    assert (retire(queue), retire(queue)) == (10, 0)
    freeze(queue)
    new = locked(queue)
    assert len(new) == 9
    assert new.isdisjoint(old | in_train)
    assert set(read_split(newest_version(queue.directory), "train")) == old | in_train | {claimed}
    assert look(queue.ledger, new) == 1
    (entry,) = (e for e in queue.ledger.read() if e.event == "retire")
    assert (entry.details["photos"], entry.details["locked"]) == (10, 4)


def test_what_nobody_looked_at_stays_locked(queue):
    """Also photos that were locked after the looks."""
    before = locked(queue)
    assert retire(queue) == 0
    freeze(queue)
    later = locked(queue) - before
    look(queue.ledger, before)
    assert (len(later), retire(queue)) == (5, 10)
    freeze(queue)
    assert locked(queue) == later


def test_a_death_while_retiring(queue, tmp_path, monkeypatch):
    """Leaves the old photos locked or the new ones; the same command finishes it."""
    monkeypatch.setattr("binsight.loop.versions.duplicate_groups", lambda found, **_: range(len(found)))
    old = locked(queue)
    look(queue.ledger, old)
    whole, here = shutil.copytree(queue.directory, tmp_path / "whole"), tmp_path / "here"

    def once():
        shutil.rmtree(here, ignore_errors=True)
        shutil.copytree(whole, here)
        retire(Queue(here))
        freeze(Queue(here))

    for _ in crash_at_each_step(monkeypatch, once):
        survivor = Queue(here)
        retire(survivor)
        freeze(survivor)
        assert len(locked(survivor)) == 10
        assert locked(survivor).isdisjoint(old)
        assert len(versions(survivor)) == 2
