"""Labelling: leases, two people, undo, hidden checks, claims that get no more than their share, live accuracy."""

from __future__ import annotations

import threading

import pytest
from tests.loop.filling import CLASSES, MODEL, jpeg, put
from tests.loop.test_queue import claim

from binsight.loop.counts import Counts, Seen
from binsight.loop.labelling import AlreadyLabelledError, AnswerError, Labelling
from binsight.loop.queue import UnknownPhotoError
from binsight.loop.sampling import Chances, Stratum
from binsight.loop.standing import count_claims, live_accuracy, read_status


@pytest.fixture
def desk(queue):
    """Return the labelling of the queue."""
    return Labelling(queue, CLASSES)


def set_double(queue, *, is_double):
    """Say for all photos whether two people are to look."""
    with queue.changing() as found:
        found.execute("UPDATE items SET is_double = ?", (is_double,))


def label_all(desk, labeller, answer="red"):
    """Label whatever comes; return the ids."""
    done = []
    while items := desk.next(labeller):
        assert len(done) < 200
        desk.answer(labeller, items[0].id, answer(items[0].id) if callable(answer) else answer,
                    event=f"{labeller}-{items[0].id}-{len(done)}")  # fmt: skip
        done.append(items[0].id)
    return done


def test_no_photo_is_given_to_two_people(queue, desk, clock):
    """Until the lease of five minutes ends, or one asks again."""
    ids = {put(queue, n) for n in range(6)}
    set_double(queue, is_double=False)
    ada, bob = desk.next("ada", count=3), desk.next("bob", count=9)
    assert {i.id for i in ada} | {i.id for i in bob} == ids
    assert (len(ada), len(bob)) == (3, 3)
    assert {i.id for i in desk.next("ada", count=3)} == {i.id for i in ada}
    clock.move(seconds=301)
    assert len(desk.next("bob", count=9)) == 6


def test_two_people_at_once(queue, desk):
    """Label everything, each photo once."""
    ids = {put(queue, n) for n in range(30)}
    set_double(queue, is_double=False)
    done = {}
    threads = [threading.Thread(target=lambda who=w: done.update({who: label_all(desk, who)})) for w in ("ada", "bob")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(done["ada"] + done["bob"]) == sorted(ids)
    assert read_status(queue).labelled == 30


def test_an_answer_that_is_sent_twice_counts_once(queue, desk):
    """As after a broken connection."""
    item = put(queue, 1)
    for _ in range(3):
        desk.answer("ada", item, "red", event="t1")
    with queue.reading() as found:
        assert found.execute("SELECT COUNT(*) FROM events").fetchone()[0] == 1


def test_what_is_no_answer_is_refused(queue, desk):
    """Nothing is written."""
    item = put(queue, 1)
    with pytest.raises(AnswerError, match="expected one of red, green, blue, not_waste"):
        desk.answer("ada", item, "purple", event="t")
    with pytest.raises(UnknownPhotoError):
        desk.answer("ada", "0" * 64, "red", event="t")
    with pytest.raises(UnknownPhotoError):
        desk.skip("ada", "0" * 64)
    assert read_status(queue).labellers == {}


def test_who_is_late_is_told(queue, desk, clock):
    """A lease that has ended is no label lost, unless another has labelled the photo meanwhile."""
    item = put(queue, 1)
    set_double(queue, is_double=False)
    desk.next("ada")
    clock.move(seconds=400)
    desk.next("bob")
    desk.answer("bob", item, "red", event="b")
    with pytest.raises(AlreadyLabelledError):
        desk.answer("ada", item, "green", event="a")
    desk.answer("bob", item, "blue", event="b2")  # one's own word may be corrected
    assert read_status(queue).labelled == 1


def test_two_look_and_a_third_decides(queue, desk):
    """Neither sees the other's; agreement settles it."""
    item, other = put(queue, 1), put(queue, 2)
    set_double(queue, is_double=True)
    for n, (who, word) in enumerate((("ada", "red"), ("bob", "red"))):
        desk.answer(who, other, word, event=f"o{n}")
    desk.answer("ada", item, "red", event="1")
    assert item in {i.id for i in desk.next("bob", count=5)}
    desk.answer("bob", item, "green", event="2")
    assert (read_status(queue).undecided, read_status(queue).open) == (1, 1)
    assert desk.next("ada", count=5) == desk.next("bob", count=5) == []
    assert [i.id for i in desk.next("cem", count=5)] == [item]
    desk.answer("cem", item, "green", event="3")
    status = read_status(queue)
    assert (status.undecided, status.open, status.labelled, status.agreement.photos) == (0, 0, 2, 2)
    assert status.agreement.share.value == 0.5


def test_undo_goes_back_label_by_label(queue, desk):
    """At most 20, only one's own, and the events stay."""
    for n in range(25):
        put(queue, n)
    set_double(queue, is_double=False)
    done = label_all(desk, "ada")
    assert desk.undo("bob") is None
    undone = []
    while item := desk.undo("ada"):
        undone.append(item.id)
    assert undone == done[::-1][:20]
    assert read_status(queue).labelled == 5
    desk.answer("ada", undone[-1], "blue", event="again")
    assert desk.undo("ada").id == undone[-1]
    with queue.reading() as found:
        assert found.execute("SELECT COUNT(*) FROM events").fetchone()[0] == 25 + 20 + 2


def test_a_skipped_photo_stays_open_and_comes_last(queue, desk):
    """For this labeller; others get it as any."""
    for n in range(4):
        put(queue, n)
    set_double(queue, is_double=False)
    first = desk.next("ada")[0].id
    desk.skip("ada", first)
    assert [i.id for i in desk.next("ada", count=4)][-1] == first
    assert read_status(queue).open == 4


def test_a_person_has_the_photo_deleted(queue, desk):
    """At once, with everything about it."""
    item = put(queue, 1)
    desk.answer("ada", item, "person", event="p")
    assert not queue.photo(item).exists()
    assert read_status(queue).kept == 0


def test_hidden_checks(queue, desk, monkeypatch):
    """Photos of which two people agreed come again to others, and count for nothing but the check."""
    monkeypatch.setattr("binsight.loop.labelling._GOLD_SHARE", 1.0)
    gold = put(queue, 1)
    set_double(queue, is_double=True)
    for who in ("ada", "bob"):
        desk.answer(who, gold, "red", event=who)
    for n in range(2, 6):
        put(queue, n)
    with queue.changing() as found:
        found.execute("UPDATE items SET is_double = 0 WHERE id != ?", (gold,))
    assert desk.next("cem")[0].id == gold
    desk.answer("cem", gold, "green", event="c")
    assert gold not in label_all(desk, "cem")
    status = read_status(queue)
    assert (status.gold, status.labelled, status.undecided) == ({"cem": (0, 1)}, 5, 0)


def test_claims_get_a_tenth_of_the_labels_at_most(queue, desk):
    """However many one client sends, and labellers look at everything else first or not at all."""
    for n in range(1000, 1060):
        put(queue, n)
    set_double(queue, is_double=False)
    for n in range(90):
        claim(queue, n)
    done = label_all(desk, "ada") + label_all(desk, "bob")
    looked = {row["item"] for row in claims(queue)} & set(done)
    assert 1 <= len(looked) <= 0.12 * len(set(done))
    (found,) = count_claims(queue)
    assert (found.claims, found.settled, found.right) == (90, len(looked), 0)


def claims(queue):
    """Return what was claimed."""
    with queue.reading() as found:
        return found.execute("SELECT * FROM claims").fetchall()


def test_wrong_corrections_move_nothing(queue, desk):
    """Neither the accuracy nor what photos are taken for; the client is seen, and withdrawn in one step."""
    counts = Counts(queue.directory)
    for n in range(1000, 1040):
        put(queue, n)
    counts.add([Seen(MODEL, Stratum("accept", "red"), queue.now())] * 40)
    label_all(desk, "ada")
    label_all(desk, "bob")
    before = live_accuracy(queue, counts, MODEL)
    for n in range(1000, 1090):
        claim(queue, n)
    label_all(desk, "ada")
    label_all(desk, "bob")
    assert live_accuracy(queue, counts, MODEL) == before
    assert before.overall.value == 1
    (found,) = count_claims(queue)
    assert (found.right, found.settled > 0) == (0, True)
    queue.withdraw(found.client)
    assert count_claims(queue) == []
    assert live_accuracy(queue, counts, MODEL) == before


def test_live_accuracy_weighs_what_was_drawn(queue, desk):
    """Unclear photos do not count; what is no waste is right where it was sent to review."""
    counts = Counts(queue.directory)
    review = {"stratum": Stratum("review", "red"), "chances": Chances(0, 0.5), "is_random": False, "is_review": True}
    truth = {put(queue, n): ("green" if n == 0 else "unclear" if n == 9 else "red") for n in range(10)}
    truth |= {put(queue, n, **review): ("not_waste" if n < 15 else "green") for n in range(10, 20)}
    set_double(queue, is_double=False)
    counts.add([Seen(MODEL, Stratum("accept", "red"), queue.now())] * 900)
    counts.add([Seen(MODEL, Stratum("review", "red"), queue.now())] * 100)
    label_all(desk, "ada", truth.get)
    found = live_accuracy(queue, counts, MODEL)
    assert found.overall.value == pytest.approx(0.9 * 8 / 9 + 0.1 * 0.5)
    assert (found.labelled, found.covered, found.accepted.value) == (19, 1, pytest.approx(8 / 9))


def test_what_the_model_said_is_told_on_demand_only(queue, desk):
    """And the label is marked."""
    item = put(queue, 1)
    assert vars(type(desk.next("ada")[0]))["__slots__"] == ("id", "until")
    assert desk.reveal(item) == ("red", 0.9)
    desk.answer("ada", item, "red", event="t", revealed=True, ms=900)
    with queue.reading() as found:
        row = found.execute("SELECT saw, ms FROM events").fetchone()
    assert tuple(row) == ("prediction", 900)
    assert jpeg(1) == queue.photo(item).read_bytes()
