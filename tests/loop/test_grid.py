"""Grids: only for training, with two planted tiles; who misses one labels single photos again."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.loop.filling import CLASSES, MODEL, Clock, put

from binsight.loop.counts import Counts, Seen
from binsight.loop.grid import answer_grid, offer_grid
from binsight.loop.labelling import AnswerError, Labelling
from binsight.loop.queue import Queue
from binsight.loop.sampling import Stratum
from binsight.loop.standing import live_accuracy
from binsight.loop.versions import freeze, newest_version
from binsight.loop.votes import read_photos


@pytest.fixture
def queue(tmp_path):
    """Return a queue with 14 photos that the model takes for red, and three that two people know to be blue."""
    return fill(Queue(tmp_path / "loop", create=True, now=Clock()))


def fill(queue):
    """Fill it; all are for training but one, and one is looked at by two."""
    items = [put(queue, n) for n in range(17)]
    with queue.changing() as rows:
        rows.execute("UPDATE items SET is_double = 0, split = 'train'")
        rows.executemany("UPDATE items SET is_double = 1 WHERE id = ?", [(item,) for item in items[13:]])
        rows.execute("UPDATE items SET split = 'locked' WHERE id = ?", (items[12],))
    desk = Labelling(queue, CLASSES)
    for item in items[14:]:
        for who in ("ada", "bob"):
            desk.answer(who, item, "blue", event=f"{who}-{item}")
    return queue


def photos(queue):
    """Return the queue's photos by id."""
    with queue.reading() as rows:
        return {p.id: p for p in read_photos(rows)}


def planted(queue, grid):
    """Return the planted tiles."""
    return {item for item in grid.items if photos(queue)[item].truth == "blue"}


def test_ten_of_one_class_and_two_others(queue):
    """None that judges, none that two people look at; leased to one labeller."""
    grid = offer_grid(queue, "eve", CLASSES)
    found = [photos(queue)[item] for item in grid.items]
    assert (grid.category, len(found), len(planted(queue, grid))) == ("red", 12, 2)
    assert all(p.split == "train" and not p.is_double for p in found if p.truth is None)
    assert offer_grid(queue, "ada", CLASSES) is None
    assert not {i.id for i in Labelling(queue, CLASSES).next("ada", count=20)} & set(grid.items)


def test_what_is_not_tapped_is_labelled(queue):
    """What is tapped stays open; the same answer again changes nothing; the version says how it was labelled."""
    grid = offer_grid(queue, "eve", CLASSES)
    other = next(item for item in grid.items if item not in planted(queue, grid))
    wrong = planted(queue, grid) | {other}
    assert [answer_grid(queue, "eve", grid, wrong, event="event-1") for _ in range(2)] == [True, True]
    labelled = {i for i in grid.items if photos(queue)[i].truth == "red"}
    assert labelled == set(grid.items) - wrong
    assert photos(queue)[other].votes == {}
    freeze(queue, workers=1)
    rows = newest_version(queue.directory).read_text().splitlines()
    assert sum(",grid," in row for row in rows) == len(labelled)


def test_a_missed_tile_takes_everything_back(queue):
    """And 20 single labels come before the next grid."""
    grid = offer_grid(queue, "eve", CLASSES)
    assert answer_grid(queue, "eve", grid, set(sorted(planted(queue, grid))[:1]), event="event-1") is False
    assert all(photos(queue)[i].votes == {} for i in set(grid.items) - planted(queue, grid))
    assert offer_grid(queue, "eve", CLASSES) is None
    for n in range(100, 130):
        put(queue, n)
    with queue.changing() as rows:
        rows.execute("UPDATE items SET split = 'train' WHERE split = 'hard' OR split = 'locked'")
    desk = Labelling(queue, CLASSES)
    for number in range(20):
        (item,) = desk.next("eve")
        desk.answer("eve", item.id, "red", event=f"single-{number}")
    assert len(planted(queue, grid)) == 2
    assert offer_grid(queue, "eve", CLASSES) is None  # the tiles that were planted once are known: one is left


def test_a_grid_of_ones_own_is_refused(queue):
    """Without the planted tiles, of another class, or given to somebody else."""
    grid = offer_grid(queue, "eve", CLASSES)
    own = tuple(i for i in grid.items if i not in planted(queue, grid))
    for who, changed in (("eve", {"items": own}), ("eve", {"category": "green"}), ("bob", {})):
        with pytest.raises(AnswerError):
            answer_grid(queue, who, replace(grid, **changed), set(), event="event-1")


def test_grids_never_count_for_the_accuracy(queue):
    """Neither what was labelled in one nor what was tapped and labelled later."""
    counts = Counts(queue.directory)
    counts.add([Seen(MODEL, Stratum("accept", "red"), queue.now())] * 100)
    before = live_accuracy(queue, counts, MODEL).labelled
    grid = offer_grid(queue, "eve", CLASSES)
    other = next(item for item in grid.items if item not in planted(queue, grid))
    answer_grid(queue, "eve", grid, planted(queue, grid) | {other}, event="event-1")
    Labelling(queue, CLASSES).answer("ada", other, "green", event="event-2")
    assert live_accuracy(queue, counts, MODEL).labelled == before
