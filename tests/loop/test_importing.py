"""Labels from elsewhere: every format comes back as it went out, and nothing is read from beside the folder."""

from __future__ import annotations

import json

import pytest
from tests.loop.filling import Clock, jpeg
from tests.tiny_bundle import tiny_taxonomy

from binsight.errors import InputError, TaxonomyError
from binsight.loop.exporting import FORMATS, export_version
from binsight.loop.importing import READERS, import_labels
from binsight.loop.queue import Queue
from binsight.loop.versions import freeze
from binsight.loop.votes import read_photos

NAMES = ("red", "green", "blue", "not-waste")


@pytest.fixture
def queue(tmp_path):
    """Return an empty queue."""
    return Queue(tmp_path / "loop", create=True, now=Clock())


@pytest.fixture
def folder(tmp_path):
    """Return a folder with three photos of each of four classes."""
    for number in range(12):
        path = tmp_path / "photos" / NAMES[number % 4] / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(jpeg(number))
    return tmp_path / "photos"


def bring(queue, source, form="csv", by="ada"):
    """Import with the tiny model's classes."""
    return import_labels(queue, source, form, tiny_taxonomy(), by=by)


def photos(queue):
    """Return the queue's photos."""
    with queue.reading() as rows:
        return read_photos(rows)


@pytest.mark.parametrize("form", READERS)
def test_what_goes_out_comes_in(queue, folder, tmp_path, form):
    """The same classes in another loop, for training only; the same again changes nothing."""
    bring(queue, folder)
    with queue.changing() as rows:
        rows.execute("UPDATE items SET is_double = 0")
    freeze(queue)
    out, other = tmp_path / "out", Queue(tmp_path / "other", create=True)
    assert export_version(queue, out, form) == 12
    found = bring(other, out / "tasks.json" if form == "labelstudio" else out, form)
    assert (found.labels, found.known, found.left_out) == (12, 0, {})
    with other.changing() as rows:
        rows.execute("UPDATE items SET is_double = 0")
    assert sorted(p.truth for p in photos(other)) == sorted(3 * ["red", "green", "blue", "not_waste"])
    assert {(p.split, p.reasons, p.chance) for p in photos(other)} == {("train", ("imported",), 0)}
    assert (bring(other, out, form).labels, bring(other, out, form).known) == (0, 12)
    assert set(READERS) == set(FORMATS)


def test_a_photo_that_is_there_gets_a_second_word(queue, folder):
    """And another labeller's counts beside the first; what cannot be read is told."""
    bring(queue, folder)
    assert bring(queue, folder, by="bob").labels == 12
    assert {tuple(p.votes) for p in photos(queue)} == {("ada", "bob")}
    (folder / "red" / "torn.jpg").write_bytes(jpeg(1)[:50])
    assert [path.rsplit("/", 1)[1] for path in bring(queue, folder).left_out] == ["torn.jpg"]


def test_a_forgotten_photo_stays_out(queue, folder):
    """Even if its label comes from elsewhere."""
    bring(queue, folder)
    queue.forget(photos(queue)[0].id)
    found = bring(queue, folder)
    assert (found.known, len(found.left_out)) == (11, 1)


STUDIO = [{"data": {"image": "/data/local-files/?d=red/0.jpg"},
           "annotations": [{"result": [{"value": {"choices": ["red"]}}]}]}]  # fmt: skip


@pytest.mark.parametrize(
    ("form", "text", "words"),
    [
        ("labelstudio", "{", "expected JSON"),
        ("labelstudio", "{}", "list of tasks"),
        ("labelstudio", '[1, {}, {"annotations": [3]}]', "found none"),
        ("labelstudio", json.dumps(STUDIO).replace("red/0.jpg", "../../etc/passwd"), "below"),
        ("labelstudio", json.dumps(STUDIO).replace("red/0.jpg", "/etc/passwd"), "below"),
        ("cvat", "<annotations><image", "expected XML"),
        ("cvat", "<!DOCTYPE a [<!ENTITY b 'c'>]><a/>", "document type"),
        ("cvat", "<annotations/>", "found none"),
        ("cvat", '<annotations><image name="/etc/passwd"><tag label="red"/></image></annotations>', "below"),
    ],
)
def test_what_is_no_such_file_is_said(queue, tmp_path, form, text, words):
    """In one line, and nothing comes in."""
    path = tmp_path / ("tasks.json" if form == "labelstudio" else "annotations.xml")
    path.write_text(text)
    with pytest.raises(InputError, match=words) as error:
        bring(queue, path, form)
    assert "\n" not in str(error.value)
    assert photos(queue) == []


def test_an_unknown_class_is_said(queue, folder):
    """Before anything comes in."""
    (folder / "red").rename(folder / "purple")
    with pytest.raises(TaxonomyError, match="purple"):
        bring(queue, folder)
    assert photos(queue) == []
