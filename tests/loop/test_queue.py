"""The queue: what is kept, claimed, withdrawn, expired and forgotten, and what no client can move."""

from __future__ import annotations

import shutil

import pytest
from tests.loop.crashes import crash_at_each_step
from tests.loop.filling import MODEL, jpeg, put

from binsight.errors import InputError
from binsight.loop.queue import Queue, TooManyClaimsError, UnknownPhotoError
from binsight.loop.sampling import Chances, Stratum


def rows(queue, table="items"):
    """Return the rows of a table."""
    with queue.reading() as found:
        return [dict(row) for row in found.execute(f"SELECT * FROM {table}")]  # noqa: S608


def claim(queue, number, client="mallory", corrected="green"):
    """Send a correction."""
    return queue.claim(jpeg(number), client=client, corrected=corrected, predicted="red", model=MODEL)


def test_a_photo_is_kept_once(queue):
    """By its hash; each sender has a receipt of his own."""
    item = put(queue, 1)
    assert (
        put(queue, 1, receipt="another")
        == item
        == queue.find("another")
        == queue.find("receipt-1")
        == queue.find(item[:8])
    )
    assert queue.photo(item).read_bytes() == jpeg(1)
    assert len(rows(queue)) == 1
    for nothing in ("", item[:7], "receipt-2", "%" * 9):
        with pytest.raises(UnknownPhotoError):
            queue.find(nothing)


def test_splits_are_dealt_once(queue):
    """Half of the random photos are locked, a tenth of the others is hard, and no correction is either."""
    for number in range(100):
        put(queue, number)
    for number in range(100, 250):
        put(queue, number, is_random=False, is_review=True)
    for number in range(250, 280):
        claim(queue, number)
    splits = {}
    for row in rows(queue):
        kind = "random" if row["is_random"] else "review" if row["is_review"] else "claim"
        splits.setdefault(kind, []).append(row["split"])
    assert set(splits["random"]) == {"locked", "train"}
    assert 30 < splits["random"].count("locked") < 70
    assert set(splits["review"]) == {"hard", "train"}
    assert 3 < splits["review"].count("hard") < 35
    assert set(splits["claim"]) == {"train"}
    assert all(row["is_double"] for row in rows(queue) if row["is_correction"])


def test_a_claim_keeps_its_history_and_no_address(queue):
    """The same word again is no new claim; another is, and the first stays."""
    item, is_new = claim(queue, 1, client="192.0.2.7")
    assert (claim(queue, 1, client="192.0.2.7"), is_new) == ((item, False), True)
    claim(queue, 1, client="192.0.2.7", corrected="blue")
    said = rows(queue, "claims")
    assert [(c["corrected"], c["client"]) for c in said] == [
        (w, queue.pseudonym("192.0.2.7")) for w in ("green", "blue")
    ]
    assert b"192.0.2.7" not in queue.path.read_bytes()


def test_a_claim_changes_no_draw(queue):
    """And a draw after it counts as any; it stays out of the locked ones."""
    item = put(queue, 1, chances=Chances(0.25, 0))
    claim(queue, 1)
    claim(queue, 2)
    put(queue, 2, chances=Chances(0.5, 0), stratum=Stratum("accept", "blue"))
    first, second = (next(r for r in rows(queue) if (r["id"] == item) is same) for same in (True, False))
    assert (first["chance_random"], first["is_random"], first["is_correction"], first["category"]) == (
        0.25,
        1,
        1,
        "red",
    )
    assert (second["chance_random"], second["category"], second["split"]) == (0.5, "blue", "train")


def test_a_client_is_stopped_while_nobody_has_looked(queue):
    """A hundred corrections are kept; others may go on."""
    refused = 0
    for number in range(400):
        try:
            claim(queue, number % 200)
        except TooManyClaimsError:
            refused += 1
    assert (len(rows(queue)), refused) == (100, 200)
    claim(queue, 5001, client="ada")


def test_claims_are_withdrawn_together(queue):
    """Photos that were drawn, or that others claim too, stay."""
    put(queue, 1)
    for number in (1, 2, 3):
        claim(queue, number)
    claim(queue, 3, client="ada")
    assert queue.withdraw(queue.pseudonym("mallory")) == 1
    assert len(rows(queue)) == 2
    assert queue.photo(claim(queue, 2, client="eve")[0]).is_file()


def test_photos_that_nobody_labels_expire(queue, clock):
    """After 30 days; those with a label stay."""
    old, labelled = put(queue, 1), put(queue, 2)
    with queue.changing() as found:
        found.execute(
            "INSERT INTO events (item, labeller, at, kind, mode, is_gold, saw) "
            "VALUES (?, 'ada', '', 'label', '', 0, '')",
            (labelled,),
        )
    clock.move(days=20)
    new = put(queue, 3)
    clock.move(days=11)
    assert queue.expire(30) == 1
    assert {row["id"] for row in rows(queue)} == {labelled, new}
    assert not queue.photo(old).exists()


def test_what_is_forgotten_is_gone_and_stays_out(queue):
    """From disk and from every table; only a keyed mark is left, and the ledger names what it touched."""
    item = put(queue, 1)
    claim(queue, 1)
    folder = queue.directory / "datasets"
    folder.mkdir()
    (folder / "abc.csv").write_text(f"path,class\n{item}.jpg,red\n")
    (folder / "def.csv").write_text("path,class\nother.jpg,red\n")
    with queue.ledger.writing():
        queue.ledger.append("train", model="m1", version="abc")
        queue.ledger.append("train", model="m2", version="def")
    found = queue.forget("receipt-1", reason="asked to")
    assert (found.versions, found.models) == (("abc",), ("m1",))
    assert not queue.photo(item).exists()
    assert [rows(queue, t) for t in ("items", "receipts", "claims", "leases", "events")] == [[]] * 5
    assert put(queue, 1) is None
    with pytest.raises(UnknownPhotoError):
        claim(queue, 1)
    assert item not in (queue.directory / "ledger.jsonl").read_text()
    assert not list(queue.directory.glob("photos/*/*.jpg"))


def test_a_death_while_forgetting_is_made_good(tmp_path, queue, monkeypatch):
    """At any step: the photo is there and not forgotten, or gone as soon as the queue is opened again."""
    item = put(queue, 1)
    whole, here = shutil.copytree(queue.directory, tmp_path / "whole"), tmp_path / "here"

    def once():
        shutil.rmtree(here, ignore_errors=True)
        shutil.copytree(whole, here)
        Queue(here).forget(item)

    seen = set()
    for _ in crash_at_each_step(monkeypatch, once):
        survivor = Queue(here)
        is_said = any(e.event == "forget" for e in survivor.ledger.read())
        assert survivor.photo(item).exists() is not is_said
        assert len(rows(survivor)) == (not is_said)
        seen.add(is_said)
    assert seen == {True, False}


def test_no_queue_is_said(tmp_path):
    """With what is expected."""
    with pytest.raises(InputError, match="serve --loop"):
        Queue(tmp_path)
