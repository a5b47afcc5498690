"""`binsight loop`, as a user types it."""

from __future__ import annotations

import json
import sqlite3
import sys
from contextlib import closing

import pytest
from tests.adapt.world import factory_bundle
from tests.loop.filling import CLASSES, MODEL, Clock, put

from binsight.loop.comparing import GONE, Compared, Comparison
from binsight.loop.counts import Counts, FeatureDrift, Seen
from binsight.loop.labelling import Labelling
from binsight.loop.looks import record_look
from binsight.loop.queue import Queue
from binsight.loop.sampling import Stratum
from binsight.loop.trials import Trial
from binsight.probability.mmd import Shift


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Return a loop with ten labelled photos, one of them wrong, and one open."""
    queue = Queue(tmp_path_factory.mktemp("loops") / "loop", create=True, now=Clock())
    items = [put(queue, n) for n in range(11)]
    with queue.changing() as rows:
        rows.execute("UPDATE items SET is_double = 0")
    desk = Labelling(queue, CLASSES)
    for item in items[:10]:
        desk.answer("ada", item, "blue" if item == items[0] else "red", event=item)
    counts = Counts(queue.directory)
    counts.add([Seen(MODEL, Stratum("accept", "red"), queue.now())] * 100)
    return queue


def test_status(binsight, made):
    """How many there are, and who labelled."""
    found = json.loads(binsight("loop", "status", made.directory, "--json").out)
    assert (found["kept"], found["labelled"], found["open"], found["labellers"]) == (11, 10, 1, {"ada": 10})
    assert found["agreement"]["share"]["value"] is None
    assert "11 photos kept, 10 labelled, 1 open" in binsight("loop", "status", made.directory).out


def test_status_tells_how_models_compare(binsight, tmp_path):
    """What goes on comes first; also after it is over, with the reason."""
    queue = Queue(tmp_path, create=True, now=Clock())
    trials = [Trial(kind[0] * 64, kind, "0" * 64, "1" * 64, "2026-11-27T12:00:00Z") for kind in ("challenge", "watch")]
    for trial in trials:
        Comparison(queue, trial).begin("old 1", "new 2")
    Comparison(queue, trials[0]).add([Compared(str(n), GONE if n == 0 else None, "red", "blue") for n in range(300)])
    Comparison(queue, trials[0]).end("promoted")
    found = json.loads(binsight("loop", "status", tmp_path, "--json").out)["comparisons"]
    assert [(c["kind"], c["photos"], c["outcome"], c["needed"]) for c in found] == [
        ("watch", 0, "", 100.0), ("challenge", 300, "promoted", 20.0)
    ]  # fmt: skip
    lines = binsight("loop", "status", tmp_path).out.splitlines()
    assert lines[-4].startswith("new 2 against old 1, challenge since 2026-11-27T12:00:00Z until ")
    assert lines[-4].endswith(": promoted")
    assert lines[-3] == "  300 live photos; they differ on 1, 0 of them to be labelled"


def test_accuracy(binsight, made):
    """With an interval, and what is taken for what."""
    found = json.loads(binsight("loop", "accuracy", made.directory, "--json").out)
    assert (found["model"], found["overall"]["value"], found["covered"]) == (MODEL, pytest.approx(0.9), 1)
    assert {"named": "red", "is": "blue", "photos": 1} in found["confusion"]
    text = binsight("loop", "accuracy", made.directory).out
    assert "right on live photos: 90.0% (" in text
    assert binsight("loop", "accuracy", made.directory, "--model", "other 1.0").code == 2


def test_drift(binsight, tmp_path):
    """0 while all is usual, 1 when more goes to review."""
    counts, clock = Counts(tmp_path), Clock()
    usual = [Seen(MODEL, Stratum("review" if n % 10 == 0 else "accept", "red"), clock()) for n in range(1000)]
    counts.add(usual)
    assert binsight("loop", "drift", tmp_path).code == 0
    counts.add([Seen(MODEL, Stratum("review", "red"), clock())] * 60)
    run = binsight("loop", "drift", tmp_path)
    assert (run.code, "more than usual now" in run.out) == (1, True)
    assert json.loads(binsight("loop", "drift", tmp_path, "--json").out)[0]["drifted"] is True


def test_drift_of_looks(binsight, made, tmp_path):
    """Where a model is named: a line each week, JSON with p, and no exit code of its own."""
    model = factory_bundle(tmp_path / "bundle")
    run = binsight("loop", "drift", made.directory, "--model", model)
    assert (run.code, run.out.count("too few to compare")) == (0, 2)
    found = json.loads(binsight("loop", "drift", made.directory, "--model", model, "--json").out)
    assert (found["features"]["before"], found["features"]["noticed"]) == (0, False)
    assert found["review"][0]["drifted"] is False


def test_status_tells_how_photos_look(binsight, tmp_path):
    """As the last `loop drift` found it; a file of an earlier version has nothing of it, and is brought up to date."""
    queue, counts = Queue(tmp_path, create=True, now=Clock()), Counts(tmp_path)
    counts.add([Seen(MODEL, Stratum("accept", "red"), queue.now())])
    with closing(sqlite3.connect(tmp_path / "counts.sqlite3")) as older:
        older.executescript("DROP TABLE looks; PRAGMA user_version = 2;")
    assert json.loads(binsight("loop", "status", tmp_path, "--json").out)["looks"] == []
    binsight("loop", "drift", tmp_path, "--model", factory_bundle(tmp_path / "bundle"))
    (found,) = json.loads(binsight("loop", "status", tmp_path, "--json").out)["looks"]
    assert (found["model"], found["weeks"]) == (MODEL, [[0, None], [0, None]])
    for p, noticed in ((0.02, False), (0.001, True)):
        week = (40, Shift(0.5, p))
        counts.keep_looks(FeatureDrift(MODEL, "2026-11-27T12:00:00Z", 90, (week, (30, Shift(0.4, 0.001)))))
        text = binsight("loop", "status", tmp_path).out
        assert f"{MODEL}, looked at 2026-11-27T12:00:00Z:\n" in text
        assert f"photos of the last week (40) against 90 from before: p {p:.3f}" in text
        assert ("photos look unlike" in text) is noticed


def test_photos_unlike_the_others(binsight, tmp_path):
    """Are taken from those that were set aside."""
    queue = Queue(tmp_path / "loop", create=True, now=Clock())
    put(queue, 1, is_random=False, is_candidate=True)
    assert binsight("loop", "status", queue.directory).out == "0 photos kept, 0 labelled, 0 open, 1 set aside\n"
    model = factory_bundle(tmp_path / "bundle")
    for count in (1, 0):
        run = binsight("loop", "diverse", queue.directory, "--model", model)
        assert (run.code, run.out) == (0, f"{count} photos unlike the others wait to be labelled\n")
    assert binsight("loop", "diverse", tmp_path / "none", "--model", model).code == 2


def test_freeze_retires_what_was_looked_at(binsight, tmp_path):
    """Into train, said in words and in JSON; without looks nothing is."""
    queue = Queue(tmp_path, create=True, now=Clock())
    items = [put(queue, n) for n in range(4)]
    with queue.changing() as rows:
        rows.execute("UPDATE items SET is_double = 0, split = 'locked'")
    for item in items:
        Labelling(queue, CLASSES).answer("ada", item, "red", event=item)
    assert binsight("data", "freeze", tmp_path, "--retire").out.endswith(
        "4 locked; 0 locked photos retired into train\n"
    )
    record_look(queue.ledger, photos=items[:3], challenger="new", champion="old")
    found = json.loads(binsight("data", "freeze", tmp_path, "--retire", "--json").out)
    assert (found["retired"], found["photos"]) == (3, {"train": 3, "locked": 1})


def test_forget_and_withdraw(binsight, tmp_path):
    """By receipt or hash; once."""
    queue = Queue(tmp_path / "loop", create=True, now=Clock())
    put(queue, 1)
    queue.claim(b"jpeg", client="mallory", corrected="red", predicted="blue", model=MODEL)
    (client,) = binsight("loop", "claims", queue.directory, "--json").objects()
    assert binsight("loop", "withdraw", queue.directory, client["client"]).out == "1 photos withdrawn\n"
    assert "keyed mark" in binsight("loop", "forget", queue.directory, "receipt-1").out
    run = binsight("loop", "forget", queue.directory, "receipt-1")
    assert (run.code, run.err.count("\n")) == (2, 1)


@pytest.mark.parametrize("command", ["status", "accuracy", "drift", "claims"])
def test_no_loop_is_one_line_and_2(binsight, tmp_path, command):
    """And nothing is made there."""
    run = binsight("loop", command, tmp_path)
    assert (run.code, run.out, "serve --loop" in run.err, list(tmp_path.iterdir())) == (2, "", True, [])


def test_taking_pieces_without_the_extra(binsight, tmp_path, monkeypatch) -> None:
    """The advice to install it, in one line."""
    monkeypatch.delitem(sys.modules, "binsight.line.harvest", raising=False)
    monkeypatch.setitem(sys.modules, "sqlalchemy", None)
    run = binsight("loop", "take", str(tmp_path), "line1.sqlite")
    assert run.code == 2
    assert run.err.splitlines() == [
        'binsight: a line\'s ledger needs an extra that is not installed: pip install "binsight[line]"'
    ]
