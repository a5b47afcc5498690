"""`binsight gate` on real bundles and photos: verdicts, exit codes, looks, and what the registry hears."""

from __future__ import annotations

import json

import numpy as np
import pytest
from onnx import numpy_helper
from PIL import Image
from tests.tiny_bundle import tiny_bundle, tiny_manifest, tiny_model

from binsight.loop.comparing import Compared, Comparison
from binsight.loop.ledger import Ledger
from binsight.loop.looks import record_look
from binsight.loop.queue import Queue
from binsight.loop.registry import Registry
from binsight.loop.trials import begin_challenge

CHANNELS = {"red": 0, "green": 1, "blue": 2}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Return a folder with an old model that takes dim blue for green, a new one that does not, and photos."""
    root = tmp_path_factory.mktemp("gate")
    rng = np.random.default_rng(0)
    rows = ["path,class,split"]

    def photo(name, split, channel, level):
        pixels = rng.integers(0, 60, (32, 32, 3))
        pixels[..., channel] += level
        (root / "photos").mkdir(exist_ok=True)
        path = f"photos/{split}-{name}-{len(rows)}.png"
        Image.fromarray(pixels.astype(np.uint8)).save(root / path)
        rows.append(f"{path},{name},{split}")

    for name, channel in CHANNELS.items():
        for _ in range(114):
            photo(name, "locked", channel, 150)
    for _ in range(8):
        photo("blue", "hard", 2, 25)
    (root / "manifest.csv").write_text("\n".join(rows))
    model = tiny_model()
    for tensor in model.graph.initializer:
        if tensor.name == "head":
            head = numpy_helper.to_array(tensor).copy()
            head[:, 1] *= 2  # green counts twice
            tensor.CopyFrom(numpy_helper.from_array(head, "head"))
    tiny_bundle(root / "old", model)
    tiny_bundle(root / "new", manifest=tiny_manifest(version="2.0.0"))
    return root


@pytest.fixture(autouse=True)
def equally_fast(monkeypatch):
    """No verdict depends on what else the machine does."""
    monkeypatch.setattr("binsight.loop.contest.time_in_turn", lambda runs: [1.0 for run in runs if run() is not None])


@pytest.fixture
def data(world, tmp_path):
    """Return the photos, with a ledger of the test's own."""
    (tmp_path / "photos").symlink_to(world / "photos")
    (tmp_path / "manifest.csv").write_bytes((world / "manifest.csv").read_bytes())
    return tmp_path / "manifest.csv"


def test_promotes_what_is_better_where_it_should_be(binsight, world, data):
    """Exit code 0, and the way back is worse: 1."""
    run = binsight("gate", world / "new", "--against", world / "old", "--data", data, "--margin", "2", "--json", "-q")
    found = json.loads(run.out)
    assert (run.code, found["verdict"], found["split"]) == (0, "promote", "locked")
    assert {c["name"]: c["outcome"] for c in found["checks"]}["benefit"] == "passed"
    back = binsight("gate", world / "old", "--against", world / "new", "--data", data, "--margin", "2", "-q")
    assert (back.code, back.out.splitlines()[-1]) == (1, "not proven")


def test_too_few_photos_say_how_many_more(binsight, world, data):
    """At half a point, 342 photos prove nothing."""
    run = binsight("gate", world / "new", "--against", world / "old", "--data", data, "-q")
    assert run.code == 1
    assert run.out.splitlines()[-1].startswith("not proven: ")
    assert run.out.splitlines()[-1].endswith(" labels more")


def test_the_eleventh_look_is_refused(binsight, world, data):
    """Each is a line in the ledger beside the photos, also one whose verdict nobody saw."""
    arguments = ("gate", world / "new", "--against", world / "old", "--data", data, "-q", "--margin", "2")
    ledger = Ledger(data.parent / "ledger.jsonl")
    assert binsight(*arguments).code == 0
    (first,) = ledger.read()
    for number in range(2, 11):
        assert record_look(ledger, photos=first.details["photos"], challenger="a", champion="b") == number
    refused = binsight(*arguments)
    assert (refused.code, refused.out, "looked at 10 times" in refused.err) == (2, "", True)
    assert "`binsight data freeze DIR --retire`" in refused.err
    assert refused.err.count("\n") == 1
    data.write_text("\n".join(data.read_text().splitlines()[:-100]))  # fewer of them are no newer ones
    assert binsight(*arguments).code == 2


def test_the_registry_hears_the_verdict(binsight, world, data, tmp_path):
    """What passed may be promoted, and an override is recorded with its reason."""
    models = tmp_path / "models"
    for name in ("old", "new"):
        binsight("registry", "add", models, world / name)
    pair = ("gate", "challenger", "--against", "champion", "--data", data, "--registry", models, "-q")
    assert binsight(*pair).code == 1
    assert binsight("registry", "promote", models, "challenger").code == 2
    assert binsight(*pair, "--override", "caps").code == 0
    assert binsight("registry", "promote", models, "challenger").code == 0
    gates = [json.loads(line) for line in (models / "ledger.jsonl").read_text().splitlines() if '"gate"' in line]
    assert [g["verdict"] for g in gates] == ["not proven", "promote"]
    assert gates[1]["override"] == "caps"


def test_live_photos_give_the_proof_where_there_was_a_shadow(binsight, world, tmp_path):
    """The same locked photos alone prove nothing, see above; so far too few say how many are missing."""
    models, folder = tmp_path / "models", tmp_path / "loop"
    for name in ("old", "new"):
        binsight("registry", "add", models, world / name)
    (folder / "datasets").mkdir(parents=True)
    manifest = (world / "manifest.csv").read_text().replace("photos/", f"{world}/photos/")
    (folder / "datasets" / "v.csv").write_text(manifest)
    queue = Queue(folder, create=True)
    run = ("gate", "challenger", "--against", "champion", "--data", folder, "--registry", models, "-q")
    assert "data freeze" in binsight(*run).err
    with queue.ledger.writing():
        queue.ledger.append("freeze", version="v")
    comparison = Comparison(queue, begin_challenge(Registry(models), by="ada"))
    comparison.add([Compared(str(n)) for n in range(300)])
    assert binsight(*run).out.splitlines()[-1].startswith("not proven: ")
    comparison.add([Compared(str(n)) for n in range(1500)])
    found = binsight(*run)
    assert (found.code, found.out.splitlines()[-1]) == (0, "promote")
    assert "live" in found.out.splitlines()[0]
    assert binsight("registry", "promote", models, "challenger").code == 0


@pytest.mark.parametrize(
    "changes",
    [["--data", "none"], ["--margin", "0"], ["--margin", "nan"], ["--override", "x"], ["--split", "other"],
     ["--class", "purple="], ["--registry", "none"], ["--against", "none"]],
)  # fmt: skip
def test_wrong_use_is_one_line_and_2(binsight, world, data, monkeypatch, changes):
    """And no look is counted."""
    monkeypatch.chdir(data.parent)
    run = binsight("gate", world / "new", "--against", world / "old", "--data", data, "-q", *changes)
    assert (run.code, run.out, "Traceback" in run.err) == (2, "", False)
    assert not (data.parent / "ledger.jsonl").exists()
