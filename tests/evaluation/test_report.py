"""The report as a page."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from tests.evaluation.photos import labelled, save
from tests.tiny_bundle import tiny_bundle, tiny_manifest, tiny_model, tiny_taxonomy

from binsight.errors import MissingExtraError, OutputError
from binsight.evaluation import EvaluationSettings, LabelledSet, evaluate_bundle, render_report, write_report
from binsight.evaluation import page as page_module
from binsight.evaluation.measures import measure_of
from binsight.evaluation.overlap import OverlapCounts
from binsight.evaluation.page import format_interval, format_value, percent, render_page
from binsight.evaluation.requirements import check_requirements, parse_requirement
from binsight.files import write_whole
from binsight.probability.intervals import Interval
from binsight.taxonomy import Taxonomy, WasteClass

HOSTILE = "<img src=x onerror=alert(1)>\u202e'.png"
QUICK = EvaluationSettings(resamples=100, timed_photos=2, robustness_photos=2)


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """An evaluation with hostile names: of a mistake, of a broken photo, of a class and of a group."""
    folder = tmp_path_factory.mktemp("report")
    first, *others = tiny_taxonomy().classes
    classes = (WasteClass("red", "<b>Red & co", False, "recycling"), *others)
    assert first.id == "red"
    bundle = tiny_bundle(folder / "tiny", manifest=tiny_manifest(Taxonomy("colours", classes)))
    photos = labelled(folder / "photos", [("red", "red"), ("green", "blue"), ("blue", "blue"), ("red", "red")])
    mistake = photos.paths[1].rename(folder / "photos" / HOSTILE)
    photos.paths[3].write_bytes(b"<script>")
    paths = (photos.paths[0], mistake, *photos.paths[2:])
    renamed = LabelledSet(paths, photos.labels, photos.root, ("<i>a", "b", "b", "b"))
    return evaluate_bundle(bundle, renamed, unknown=[save(folder / "grey.png", "red")], settings=QUICK)


@pytest.fixture(scope="module")
def page(found):
    """The report, with a met and a missed requirement."""
    required = [parse_requirement(text, found.taxonomy.ids) for text in ("accuracy=0.1", "accuracy=0.99")]
    return render_report(found, verdicts=check_requirements(required, found.values), group_by="source")


def test_nothing_is_loaded_from_anywhere(page):
    """No script, no link to another file, and a policy that forbids it."""
    assert "default-src 'none'" in page
    assert "<script" not in page
    assert not re.findall(r'(?:src|href)="(?!data:image/jpeg;base64,|#)', page.replace("xlink:", ""))
    assert "@import" not in page
    assert "url(http" not in page


def test_names_from_photos_are_text(page):
    """Markup in file, class and group names is shown, not obeyed; turned writing is made visible."""
    assert "<img src=x" not in page
    assert "<b>Red" not in page
    assert "<i>a" not in page
    assert "&lt;b&gt;Red &amp; co" in page
    assert "\\u202e" in page


def test_everything_measured_is_there(page):
    """Each section, the unreadable photo, and the requirements with their outcome."""
    for title in (
        "Figures", "Classes", "By source", "What is taken for what", "Does a confidence mean what it says?",
        "Accepting and reviewing", "Review thresholds for 99.3&nbsp;% right", "Biodegradable or not", "Streams",
        "Photos of something else", "When photos are worse", "Speed and size", "Mistakes: 1", "Not looked at: 1",
    ):  # fmt: skip
        assert title in page, title
    assert "red/03.png" in page
    assert "✓ met" in page
    assert "✗ missed" in page
    assert page.count("data:image/jpeg") == 4  # one mistake, one unknown photo that was accepted


def test_charts_take_the_colours_of_the_page(page):
    """Three charts with names for those who cannot see them, in variables of the style, and with ids of their own."""
    charts = re.findall(r"<svg .*?</svg>", page, re.DOTALL)
    assert len(charts) == 3
    for chart in charts:
        assert 'role="img" aria-label="' in chart
        assert "var(--ink)" in chart
        assert not re.search(r"#[0-9a-f]{6}", chart)
        assert "<style" not in chart
        assert "font-family" not in chart
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    references = re.findall(r'(?:href="|url\()#([^")]+)', page)
    assert set(references) <= set(ids)


def test_the_same_evaluation_gives_the_same_page(found, page):
    """No dates, no random ids."""
    required = [parse_requirement(text, found.taxonomy.ids) for text in ("accuracy=0.1", "accuracy=0.99")]
    assert render_report(found, verdicts=check_requirements(required, found.values), group_by="source") == page


def test_writing_is_whole_or_not_at_all(found, tmp_path):
    """Missing folders are made; where a folder lies, nothing is left behind."""
    write_report(found, tmp_path / "a" / "report.html")
    assert (tmp_path / "a" / "report.html").read_text("utf-8").startswith("<!DOCTYPE html>")
    (tmp_path / "taken").mkdir()
    with pytest.raises(OutputError, match="cannot write"):
        write_report(found, tmp_path / "taken")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "taken"]


def test_a_bare_model_has_a_report(tmp_path):
    """Without a second head, unknown photos, robustness and mistakes."""
    model = tiny_model(outputs=("logits", "attention"))
    bundle = tiny_bundle(tmp_path / "b", model, tiny_manifest(tiny_taxonomy(is_open=True)))
    photos = labelled(tmp_path / "photos", [("red", "red"), ("green", "green")])
    page = render_report(evaluate_bundle(bundle, photos, robustness=False, settings=QUICK))
    assert "Photos of something else" not in page
    assert "When photos are worse" not in page
    assert "No photos of Blue things" in page


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.9734, "97.3 %"), (1.0, "100 %"), (0.9984, "99.84 %"), (0.99999, "100 %"), (0.0, "0.0 %"), (0.002, "0.20 %"),
     (float("nan"), "-")],
)  # fmt: skip
def test_percent(share, text):
    """One digit after the point; two where one would hide what matters."""
    assert percent(share) == text


def test_figures_are_written_in_their_unit():
    """Shares in percent, small numbers with four digits, times with their unit; no bounds, no range."""
    assert format_value(measure_of("calibration_error"), 0.00859) == "0.0086"
    assert format_value(measure_of("engine_ms"), 17.46) == "17.5 ms"
    assert format_interval(measure_of("accuracy"), Interval(0.9, 0.88, 0.92)) == "88.0 to 92.0 %"
    assert format_interval(measure_of("log_loss"), Interval(0.9, 0.05, 1.2)) == "0.0500 to 1.2"
    assert format_interval(measure_of("engine_ms"), Interval(9, float("nan"), float("nan"))) == ""


def test_a_template_without_its_values_is_a_bug():
    """Nothing undefined is printed as empty."""
    with pytest.raises(Exception, match="undefined"):
        render_page("comparison.html.j2")


@pytest.mark.parametrize("library", ["jinja2", "matplotlib"])
def test_a_missing_library_is_named_by_its_extra(found, monkeypatch, library):
    """Before anything is drawn: what to install."""
    monkeypatch.setattr(page_module, "find_spec", lambda name: None if name == library else object())
    with pytest.raises(MissingExtraError, match=r"binsight\[data\]"):
        render_report(found)


def test_bytes_that_are_no_text_are_written(tmp_path):
    """A file name may hold them."""
    write_whole(tmp_path / "x.html", "a\udcff")
    assert (tmp_path / "x.html").read_text() == "a\\udcff"


def test_on_photos_it_was_calibrated_on_the_headline_is_cross_fitted(found):
    """What was seen is said, and the large figures are those to judge by."""
    crossed = Interval(0.4321, 0.4, 0.5)
    seen = replace(
        found,
        overlap=OverlapCounts(4, 0, 3, 0),
        values={**found.values, "accepted_accuracy_cross_fitted": crossed},
    )
    page = render_report(seen)
    assert "The model has seen these photos" in page
    assert "3 of 4 photos were used to fit" in page
    tiles = page[page.index('class="tiles"') : page.index("<main>")]
    assert "43.2&nbsp;%" in tiles
    assert "Accuracy of accepted, cross-fitted" in tiles
    assert "has seen these photos" not in render_report(found)
