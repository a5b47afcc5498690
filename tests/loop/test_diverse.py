"""Candidates: set aside, few, gone like other photos, and those unlike the rest are taken to be labelled."""

from __future__ import annotations

import pytest
from tests.adapt.world import factory_bundle, shots
from tests.loop.filling import CLASSES, jpeg, put
from tests.loop.plant import stored

from binsight.loop.diverse import take_candidates
from binsight.loop.labelling import Labelling
from binsight.loop.queue import Queue, UnknownPhotoError
from binsight.loop.sampling import Chances, Stratum
from binsight.loop.votes import read_photos
from binsight.predictor import Predictor

REVIEW = {"stratum": Stratum("review", "red"), "is_random": False, "chances": Chances(0, 0.5)}


def offer(queue, number):
    """Set a photo aside; return its id."""
    return put(queue, number, **REVIEW, is_candidate=True)


def files(queue):
    """Return the ids of the photos on the disk."""
    return {path.stem for path in queue.directory.glob("photos/*/*.jpg")}


def photos(queue):
    """Return the photos of the queue."""
    with queue.reading() as rows:
        return read_photos(rows)


def test_nobody_labels_a_candidate_before_it_is_taken(queue):
    """Then it is for training only."""
    item = offer(queue, 1)
    assert (files(queue), photos(queue), Labelling(queue, CLASSES).next("ada")) == ({item}, [], [])
    assert (queue.take_candidate(item), queue.take_candidate(item)) == (True, False)
    (found,) = photos(queue)
    assert (found.id, found.reasons, found.split, found.chance) == (item, ("diverse",), "train", 0)
    assert queue.find("receipt-1") == item


@pytest.mark.parametrize("name", ["receipt-1", "hash"])
def test_a_candidate_is_forgotten_as_others_are(queue, name):
    """By receipt and by hash; it is not kept again, as a candidate or otherwise."""
    item = offer(queue, 1)
    queue.forget(item[:12] if name == "hash" else name)
    assert files(queue) == set()
    assert (offer(queue, 1), put(queue, 1)) == (None, None)
    assert not queue.take_candidate(item)
    with pytest.raises(UnknownPhotoError):
        queue.find("receipt-1")


def test_candidates_expire_and_are_few(queue, clock, monkeypatch):
    """The oldest goes first."""
    monkeypatch.setattr("binsight.loop.queue.MOST_CANDIDATES", 3)
    items = []
    for number in range(5):
        clock.move(days=1)
        items.append(offer(queue, number))
    assert files(queue) == set(items[2:])
    clock.move(days=8.5)
    assert (queue.expire(10), files(queue)) == (1, set(items[3:]))
    queue.take_candidate(items[3])
    clock.move(days=1)
    assert (queue.expire(10), files(queue)) == (1, {items[4]})  # when it goes was told when it came


def test_who_was_killed_while_forgetting_one(queue):
    """Has it finished by the next who opens the folder."""
    item = offer(queue, 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Queue, "_erase", lambda *_: None)
        queue.forget(item)
    assert files(queue) == {item}
    Queue(queue.directory)
    assert files(queue) == set()


def test_what_is_drawn_or_claimed_later_is_no_candidate_any_more(queue):
    """And what is there already becomes none."""
    items = [offer(queue, 1), offer(queue, 2), put(queue, 3)]
    put(queue, 1)
    queue.claim(jpeg(2), client="ada", corrected="red", predicted="blue", model="tiny 1.0.0")
    offer(queue, 3)
    assert [queue.take_candidate(item) for item in items] == [False] * 3
    assert [len(p.reasons) for p in photos(queue)] == [1] * 3


def test_those_unlike_the_others_are_taken(queue, clock, tmp_path):
    """First what is like nothing there; twenty a week at most."""
    predictor = Predictor.load(factory_bundle(tmp_path / "bundle"), threads=1)
    assert take_candidates(queue, predictor) == 0

    def keep(name, count, seed=0, **changes):
        return [
            queue.put(stored(shot), model="tiny 1.0.0", confidence=0.4, receipt=f"{name}{seed}{n}", **REVIEW | changes)
            for n, shot in enumerate(shots(name, count, seed=seed))
        ]

    keep("red", 3, is_review=True)
    blue = keep("blue", 12, is_review=False, is_candidate=True)
    green = keep("green", 12, is_review=False, is_candidate=True)
    queue.photo(blue[0]).unlink()
    assert take_candidates(queue, predictor) == 20
    taken = {p.id for p in photos(queue) if p.reasons == ("diverse",)}
    assert len(taken) == 20
    assert taken & set(blue)
    assert taken & set(green)
    assert blue[0] not in taken
    assert take_candidates(queue, predictor) == 0
    clock.move(days=8)
    assert take_candidates(queue, predictor) == 0  # what is left is old
    keep("blue", 2, seed=1, is_review=False, is_candidate=True)
    assert take_candidates(queue, predictor) == 2
