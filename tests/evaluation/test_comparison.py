"""Several models on the same photos."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.evaluation.photos import labelled
from tests.tiny_bundle import tiny_bundle, tiny_manifest, tiny_taxonomy

from binsight.errors import DatasetError, OutputError, TaxonomyError
from binsight.evaluation.comparison import Contestant, compare_bundles, compare_contestants, is_on_front
from binsight.evaluation.comparison_report import describe_pair, render_comparison, write_plot
from binsight.taxonomy import Taxonomy

LABELS = np.zeros(40, np.intp)


def _contestant(name, wrong, megabytes, milliseconds):
    """A model that gets the photos at `wrong` wrong."""
    predicted = LABELS.copy()
    predicted[list(wrong)] = 1
    return Contestant(name, predicted, megabytes * 1_000_000, milliseconds)


@pytest.fixture
def comparison():
    """The best, one that is as good but larger, and a small one that is clearly worse."""
    return compare_contestants(
        [
            _contestant("best", range(2), 10, 10.0),
            _contestant("larger", range(1, 3), 20, 12.0),
            _contestant("small <one>", range(20), 1, 1.0),
        ],
        LABELS,
        split="val",
    )


def test_every_two_are_tested(comparison):
    """1 against 1 is chance; 18 photos that only the best has right are not, even for three comparisons."""
    assert [(p.first, p.second) for p in comparison.pairs] == [
        ("best", "larger"),
        ("best", "small <one>"),
        ("larger", "small <one>"),
    ]
    first, second, _ = comparison.pairs
    assert (first.test.only_first, first.test.only_second, first.adjusted_p) == (1, 1, 1)
    assert second.test.p_value == 2 / 2**18
    assert second.adjusted_p == pytest.approx(3 * 2 / 2**18)
    assert describe_pair(first) == "no difference beyond chance"
    assert describe_pair(second) == "best is better than small <one>"


def test_who_is_beaten_by_none(comparison):
    """The larger one is as accurate for more; the small one is the cheapest."""
    assert [e.is_best_for_time for e in comparison.entries] == [True, False, True]
    assert [e.is_best_for_size for e in comparison.entries] == [True, False, True]


def test_front_keeps_equals():
    """Two models that are the same in both are beaten by neither."""
    assert is_on_front(0, [0.9, 0.9], [1, 1])
    assert not is_on_front(1, [0.9, 0.9], [1, 2])


def test_intervals_surround_the_accuracy(comparison):
    """38 of 40."""
    entry = comparison.entries[0]
    assert entry.accuracy.value == 0.95
    assert entry.accuracy.low < 0.95 < entry.accuracy.high


def test_bundles_with_classes_in_another_order(tmp_path):
    """Each bundle's outputs are matched by the ids of its classes."""
    order = tiny_taxonomy().classes
    turned = Taxonomy("turned", (order[2], order[0], order[1]))
    first = tiny_bundle(tmp_path / "a")
    second = tiny_bundle(tmp_path / "b", manifest=tiny_manifest(turned, name="turned"))
    photos = labelled(tmp_path / "photos", [("red", "red"), ("green", "green"), ("blue", "blue")])
    found = compare_bundles([first, second], photos, tiny_taxonomy())
    # The network gives red, green, blue; the second bundle calls these blue, red, green.
    assert [e.accuracy.value for e in found.entries] == [1, 0]
    assert [e.name for e in found.entries] == ["tiny 1.0.0", "turned 1.0.0"]
    assert found.pairs[0].test.only_first == 3


def test_bundles_of_one_name_are_told_apart(shared_bundle, tmp_path):
    """By their path, and by their number where that is the same."""
    photos = labelled(tmp_path / "photos", [("red", "red"), ("green", "red"), ("blue", "blue")])
    photos.paths[2].write_bytes(b"broken")
    found = compare_bundles([shared_bundle, shared_bundle], photos, tiny_taxonomy())
    assert len({e.name for e in found.entries}) == 2
    assert found.pairs[0].adjusted_p == 1
    assert (found.photos, len(found.unreadable)) == (2, 1)


def test_other_classes_cannot_be_compared(shared_bundle, tmp_path):
    """The differing ones are named."""
    photos = labelled(tmp_path, [("red", "red")])
    with pytest.raises(TaxonomyError, match="differing: blue"):
        compare_bundles([shared_bundle, shared_bundle], photos, tiny_taxonomy(2))


def test_a_model_without_a_class_is_wrong_on_it(shared_bundle, tmp_path):
    """As one is beside the same model that was taught a new class; and that is said, where such photos are there."""
    photos = labelled(tmp_path, [("red", "red"), ("green", "green")])
    assert compare_bundles([shared_bundle, shared_bundle], photos, tiny_taxonomy(4)).lacking == ()
    photos = replace(photos, labels=np.array([0, 3]))
    found = compare_bundles([shared_bundle, shared_bundle], photos, tiny_taxonomy(4))
    assert [e.accuracy.value for e in found.entries] == [0.5, 0.5]
    assert all("has no more3: these photos count as mistakes" in text for text in found.lacking)
    assert len(found.lacking) == 2


def test_one_model_is_no_comparison(shared_bundle, tmp_path):
    """There must be two."""
    with pytest.raises(DatasetError, match="at least two models"):
        compare_bundles([shared_bundle], labelled(tmp_path, [("red", "red")]), tiny_taxonomy())


def test_page(comparison):
    """Table, two plots and the pairs; names are text."""
    page = render_comparison(comparison)
    assert page.count("<svg ") == 2
    assert "best is better than small &lt;one&gt;" in page
    assert "<one>" not in page
    assert "95.0&nbsp;%" in page


@pytest.mark.parametrize(("name", "start"), [("p.png", b"\x89PNG"), ("p.SVG", b"<?xml")])
def test_plot_alone(comparison, tmp_path, name, start):
    """As a picture or as drawing."""
    write_plot(comparison, tmp_path / name)
    assert (tmp_path / name).read_bytes().startswith(start)


def test_plot_of_another_format_is_refused(comparison, tmp_path):
    """Only the two."""
    with pytest.raises(OutputError, match=r"ends in .png or .svg"):
        write_plot(comparison, tmp_path / "p.gif")


def test_json(comparison):
    """Plain data with the further figures as an object."""
    data = comparison.to_dict()
    assert (data["format"], data["photos"], len(data["entries"])) == (1, 40, 3)
    assert data["entries"][0]["notes"] == {}
    assert data["pairs"][1]["test"]["only_first"] == 18
