"""Pieces of a line in the queue of a loop: counted once, drawn with known chances, some for being unlike the rest."""

from __future__ import annotations

import datetime as dt

import pytest
from tests.adapt.world import factory_bundle, shots
from tests.line.ledger.filling import AT, piece
from tests.loop.plant import stored

from binsight.line.film import Film
from binsight.line.harvest import take_pieces
from binsight.line.ledger.database import open_database
from binsight.line.ledger.writer import LedgerWriter
from binsight.loop.counts import Counts, FeatureDrift
from binsight.loop.queue import Queue
from binsight.loop.sampling import Quotas, Stratum
from binsight.loop.votes import read_photos
from binsight.predictor import Predictor
from binsight.probability.mmd import Shift

ALL = Quotas(random=1e9, review=1e9)


@pytest.fixture
def ledger(tmp_path):
    """Return a ledger of 40 pieces, every fourth of which was sent to review."""
    database = open_database(f"sqlite:///{tmp_path / 'line.sqlite'}")
    fill(database, range(1, 41))
    yield database
    database.dispose()


def fill(database, numbers):
    """Write pieces with pictures, and one that was not decided."""
    pictures = [stored(shot) for shot in (*shots("red", 60), *shots("blue", 60))]
    writer = LedgerWriter(database, threaded=False)
    for seq in numbers:
        found = piece(seq, minutes=seq, drawn=True, decision="review" if seq % 4 == 0 else "accept")
        writer.put(found)
        writer.keep(found, Film(pictures[seq + 59 * (seq % 8 == 0)]))
    writer.put(piece(1000 + max(numbers), status="seen", category=None, decision=None))
    writer.flush()


@pytest.fixture
def loop(tmp_path):
    """Return queue and counts, an hour after the first piece."""
    return (
        Queue(tmp_path / "loop", create=True, now=lambda: AT + dt.timedelta(hours=2)),
        Counts(tmp_path / "loop"),
    )


def photos(queue):
    """Return the queue's photos."""
    with queue.reading() as rows:
        return read_photos(rows)


def test_all_are_counted_and_come_once(loop, ledger):
    """With what the model had said; the next time only what is new."""
    queue, counts = loop
    found = take_pieces(queue, counts, ledger, "line1", ALL)
    assert (found.counted, found.kept, found.diverse) == (40, 40, 0)
    assert counts.of_model("waste8 2.0.0") == {
        Stratum("accept", "metal_cans"): 30,
        Stratum("review", "metal_cans"): 10,
    }
    assert {p.reasons for p in photos(queue)} == {("random",), ("random", "review")}
    assert take_pieces(queue, counts, ledger, "line1", ALL).counted == 0
    fill(ledger, range(41, 44))
    assert take_pieces(queue, counts, ledger, "line1", ALL).counted == 3
    assert queue.find(f"line:{piece(1, minutes=1).id}")


def test_a_few_are_drawn_with_known_chances(loop, ledger):
    """Five a week of each stratum at least; a day's reviews by their quota."""
    queue, counts = loop
    found = take_pieces(queue, counts, ledger, "line1", Quotas(random=0, review=5))
    with queue.reading() as rows:
        chances = {tuple(row) for row in rows.execute("SELECT chance_random, chance_review FROM items")}
    assert chances == {(0.0, 0.5)}
    assert 0 < found.kept < 10


def test_twice_as_many_at_random_while_a_notice_of_drift_stands(loop, ledger):
    """Of the model that it is about."""
    chances = []
    for model in ("other 1.0.0", "waste8 2.0.0"):
        queue, counts = loop[0], Counts(loop[0].directory / model)
        counts.keep_looks(FeatureDrift(model, "2026-11-27T12:00:00Z", 90, ((40, Shift(0.5, 0.001)),) * 2))
        take_pieces(queue, counts, ledger, "line1", Quotas(random=20, review=1e9))
        with queue.changing() as rows:
            chances.append({row[0] for row in rows.execute("SELECT chance_random FROM items WHERE is_review")})
            rows.execute("DELETE FROM items")
    (usual,), (more,) = chances
    assert more == pytest.approx(2 * usual)


def test_what_is_unlike_the_others_comes_too(loop, ledger, tmp_path):
    """For training only: the blue ones among the reviews first, twenty a week at most."""
    queue, counts = loop
    predictor = Predictor.load(factory_bundle(tmp_path / "bundle"), threads=1)
    found = take_pieces(queue, counts, ledger, "line1", Quotas(random=0, review=0), predictor=predictor)
    assert (found.kept, found.diverse) == (10, 10)
    assert {(p.reasons, p.split, p.chance) for p in photos(queue)} == {(("diverse",), "train", 0)}
    fill(ledger, [*range(44, 60, 4)])
    assert take_pieces(queue, counts, ledger, "line1", Quotas(random=0, review=0), predictor=predictor).diverse == 4


def test_who_is_killed_takes_the_same_again(loop, ledger, monkeypatch):
    """Pictures are kept once, and pieces counted once."""
    queue, counts = loop
    with monkeypatch.context() as patch:
        patch.setattr(counts, "add", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            take_pieces(queue, counts, ledger, "line1", ALL)
    assert take_pieces(queue, counts, ledger, "line1", ALL).counted == 40
    assert (len(photos(queue)), sum(counts.of_model("waste8 2.0.0").values())) == (40, 40)
