"""A version for other programs: each format by what reads it."""

from __future__ import annotations

import json

import pytest
from tests.loop.filling import CLASSES, Clock, jpeg, put
from tests.loop.test_labelling import label_all, set_double

from binsight.dataset import scan
from binsight.errors import InputError, OutputError
from binsight.loop.exporting import export_version
from binsight.loop.labelling import Labelling
from binsight.loop.queue import Queue
from binsight.loop.versions import freeze


@pytest.fixture
def queue(tmp_path):
    """Return a queue with six labelled and frozen photos."""
    queue = Queue(tmp_path / "loop", create=True, now=Clock())
    items = [put(queue, number) for number in range(6)]
    set_double(queue, is_double=False)
    label_all(Labelling(queue, CLASSES), "ada", lambda item: "red" if item in items[:3] else "not_waste")
    freeze(queue)
    return queue


def test_csv_is_a_data_set(queue, tmp_path):
    """With the same splits, and the same bytes."""
    assert export_version(queue, tmp_path / "out", "csv") == 6
    found = scan(tmp_path / "out" / "manifest.csv")
    assert (len(found), found.classes) == (6, ("not-waste", "red"))
    assert {found.file(s).read_bytes() for s in found} == {jpeg(n) for n in range(6)}
    assert {s.extra["labellers"] for s in found} == {"ada"}


def test_imagefolder(queue, tmp_path):
    """`file_name` and `label` of each, and the files are there."""
    export_version(queue, tmp_path / "out", "imagefolder")
    rows = [json.loads(line) for line in (tmp_path / "out" / "metadata.jsonl").read_text().splitlines()]
    assert sorted(row["label"] for row in rows) == ["not-waste"] * 3 + ["red"] * 3
    assert all((tmp_path / "out" / row["file_name"]).is_file() and row["pi"] == 1 for row in rows)


def test_label_studio(queue, tmp_path):
    """A task with one choice each."""
    export_version(queue, tmp_path / "out", "labelstudio")
    tasks = json.loads((tmp_path / "out" / "tasks.json").read_text())
    choices = sorted(t["annotations"][0]["result"][0]["value"]["choices"][0] for t in tasks)
    assert choices == ["not-waste"] * 3 + ["red"] * 3
    assert all((tmp_path / "out" / t["data"]["image"].partition("?d=")[2]).is_file() for t in tasks)


def test_what_was_forgotten_since_is_left_out(queue, tmp_path):
    """And a folder that holds something is not touched."""
    queue.forget("receipt-1")
    assert export_version(queue, tmp_path / "out", "csv") == 5
    with pytest.raises(OutputError, match="not an empty folder"):
        export_version(queue, tmp_path / "out", "csv")
    with pytest.raises(InputError, match="data freeze"):
        export_version(Queue(tmp_path / "empty", create=True), tmp_path / "other", "csv")
