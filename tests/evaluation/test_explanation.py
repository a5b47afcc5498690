"""The mistakes of a model."""

from __future__ import annotations

import json

import pytest
from tests.evaluation.photos import labelled, save
from tests.tiny_bundle import tiny_bundle, tiny_manifest, tiny_model, tiny_taxonomy

from binsight.errors import DatasetError, OutputError
from binsight.evaluation.explanation import explain_mistakes
from binsight.evaluation.explanation_report import render_explanation, write_folder
from binsight.probability import ReviewThresholds

PHOTOS = [("red", "red"), ("red", "blue"), ("red", "blue"), ("green", "grey"), ("blue", "red"), ("green", "green")]


@pytest.fixture
def photos(tmp_path):
    """Six photos, four of which are labelled with another colour than theirs."""
    return labelled(tmp_path / "photos", PHOTOS)


@pytest.fixture
def bundle(tmp_path):
    """A bundle that sends unsure predictions to review."""
    return tiny_bundle(tmp_path / "b", manifest=tiny_manifest(review=ReviewThresholds((0.9,) * 3)))


def test_mistakes_are_ordered_and_counted_by_pair(bundle, photos):
    """The sure ones first; grey is unsure, goes to review, and by label order counts as red."""
    found = explain_mistakes(bundle, photos)
    assert [m.path for m in found.mistakes] == ["red/01.png", "red/02.png", "blue/04.png", "green/03.png"]
    assert [m.decision for m in found.mistakes] == ["accept"] * 3 + ["review"]
    assert [(c.label, c.predicted, c.count, c.accepted) for c in found.confusions] == [
        ("red", "blue", 2, 2),
        ("blue", "red", 1, 1),
        ("green", "red", 1, 0),
    ]
    assert (found.photos, found.total) == (6, 4)


def test_limit_keeps_the_most_confident(bundle, photos):
    """All are counted, few are explained."""
    found = explain_mistakes(bundle, photos, limit=1)
    assert (len(found.mistakes), found.total, len(found.confusions)) == (1, 4, 3)


def test_most_similar_reference_photos(bundle, photos, tmp_path):
    """A blue photo lies nearest to blue ones; it is not its own neighbour, and what cannot be read is listed."""
    reference = [save(tmp_path / "ref" / f"{c}.png", c) for c in ("red", "blue", "grey")]
    broken = tmp_path / "ref" / "x.png"
    broken.write_bytes(b"x")
    found = explain_mistakes(bundle, photos, reference=[*reference, broken, photos.paths[1]], limit=2)
    first, second = found.neighbours
    assert [n.path for n in first] == ["ref/blue.png", "ref/grey.png", "ref/red.png"]
    assert first[0].similarity == pytest.approx(1)
    assert first[1].similarity == pytest.approx(3**-0.5)
    assert [n.path for n in second][:2] == ["ref/blue.png", "red/01.png"]
    assert [u.code for u in found.unreadable] == ["not_an_image"]
    assert "ref/blue.png" in render_explanation(found)


def test_reference_needs_features(tmp_path, photos):
    """A model that gives none cannot say what is similar."""
    model = tiny_model(outputs=("logits", "attention"))
    bundle = tiny_bundle(tmp_path / "bare", model, tiny_manifest(tiny_taxonomy(is_open=True)))
    with pytest.raises(DatasetError, match="gives no features"):
        explain_mistakes(bundle, photos, reference=[photos.paths[0]])


def test_folder_with_copies(bundle, photos, tmp_path):
    """Page, JSON, and a copy of each photo under what was taken for what; the originals stay as they are."""
    before = {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in photos.paths}
    found = explain_mistakes(bundle, photos)
    out = tmp_path / "out"
    write_folder(found, out, copy=True)
    assert json.loads((out / "mistakes.json").read_text())["wrong"] == 4
    assert (out / "index.html").read_text().startswith("<!DOCTYPE html>")
    copies = sorted(p.relative_to(out).as_posix() for p in (out / "photos").rglob("*.png"))
    assert copies == [
        "photos/blue--red/003-04.png",
        "photos/green--red/004-03.png",
        "photos/red--blue/001-01.png",
        "photos/red--blue/002-02.png",
    ]
    assert (out / copies[0]).read_bytes() == photos.paths[4].read_bytes()
    assert before == {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in photos.paths}


def test_folder_that_is_not_empty_is_left_alone(bundle, photos, tmp_path):
    """Unless it is asked for."""
    out = tmp_path / "out"
    save(out / "mine.png", "red")
    found = explain_mistakes(bundle, photos, limit=1)
    with pytest.raises(OutputError, match="not empty; pass --overwrite"):
        write_folder(found, out, copy=False)
    write_folder(found, out, copy=False, overwrite=True)
    assert sorted(p.name for p in out.iterdir()) == ["index.html", "mine.png", "mistakes.json"]


def test_page_groups_by_pair(bundle, photos):
    """Links lead to what is there, and each mistake stands once."""
    page = render_explanation(explain_mistakes(bundle, photos))
    for anchor in ("m1", "m4", "p1", "p3"):
        assert page.count(f'id="{anchor}"') == 1
        assert f'href="#{anchor}"' in page
    assert "Red things → Blue things" in page
    assert page.count("data:image/jpeg") == 8


def test_no_mistakes(bundle, tmp_path):
    """A page says so."""
    found = explain_mistakes(bundle, labelled(tmp_path / "p", [("red", "red")]), reference=[tmp_path / "none.png"])
    assert found.mistakes == ()
    assert "None." in render_explanation(found)
