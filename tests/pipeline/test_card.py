"""The model card: what a person reads, and what the Hugging Face hub reads."""

from __future__ import annotations

import io
import re

import numpy as np
import pytest
import yaml
from huggingface_hub import ModelCard
from PIL import Image
from tests.pipeline.tiny import COLOURS

from binsight.bundle import load_bundle, resolve_bundle
from binsight.pipeline.card import Confusion, _sources, _yaml_lines, draw_pictures


@pytest.fixture(scope="module")
def card(trained):
    """Return the text of one."""
    return (trained.result.bundle / "card.md").read_text()


def test_the_hub_reads_task_and_figures(trained, card):
    """With its own library: each measured split is a result, its metrics those of the manifest."""
    read = ModelCard(card)
    assert read.text.lstrip().startswith("# Model card: colours")
    assert (read.data.pipeline_tag, read.data.library_name, read.data.license) == (
        "image-classification", "binsight", "other",
    )  # fmt: skip
    found = {(r.dataset_split, r.metric_name): r.metric_value for r in read.data.eval_results}
    measured = trained.result.manifest.metrics
    assert found == {
        (split, name): pytest.approx(metric.value, abs=1e-4)
        for split, metrics in measured.items()
        for name, metric in metrics.values.items()
    }
    assert {r.metric_type for r in read.data.eval_results} >= {"accuracy", "f1"}
    assert {r.task_type for r in read.data.eval_results} == {"image-classification"}


def test_classes_are_judged_by_test_where_there_is_one(card):
    """Each with recall and precision."""
    assert "| class | photos in test | recall | precision |" in card
    assert "| red | 3 | " in card


def test_what_is_confused_with_what():
    """The most frequent first; right ones are none."""
    truth, told = np.array([0, 0, 0, 1, 1, 2]), np.array([0, 1, 1, 1, 0, 2])
    confusion = Confusion.of("val", truth, told, COLOURS.ids)
    assert confusion.confused_rows() == ["| red | green | 2 |", "| green | red | 1 |"]
    assert list(confusion.class_rows()) == [
        "| red | 3 | 33.3% | 50.0% |", "| green | 2 | 50.0% | 33.3% |", "| blue | 1 | 100.0% | 100.0% |",
    ]  # fmt: skip
    nothing = Confusion.of("val", truth, truth, COLOURS.ids)
    assert nothing.confused_rows() == ["| nothing | | 0 |"]


def test_sources_are_named_with_their_licences():
    """A bar in a name does not break the table; where nothing is known, that is said."""
    rows = _sources([{"source": "ann|bob", "licence": "CC BY 4.0", "attribution": "Ann\nArbor", "photos": 1200}])
    assert rows.endswith("| ann\\|bob | 1,200 | CC BY 4.0 | Ann Arbor |")
    assert "not known" in _sources([{"source": "", "licence": "not stated", "attribution": "", "photos": 3}])


def test_what_is_written_before_the_card_is_yaml():
    """Nested lists and mappings, and texts that YAML would take for something else."""
    value = {"a": [{"b": "yes: [no", "c": [1, 2.5]}, {"b": "é # x"}], "d": {"e": None, "f": True}}
    assert yaml.safe_load("\n".join(_yaml_lines(value))) == value


def test_the_card_shows_its_pictures(trained, card):
    """Each that it names is a file of the bundle, a PNG of a size for the hub, and no larger than need be."""
    bundle = load_bundle(trained.result.bundle)
    shown = re.findall(r"!\[[^]]+\]\(([^)]+)\)", card)
    assert shown == [name for name in bundle.manifest.files if name.endswith(".png")]
    assert len(shown) == 3
    for name in shown:
        with Image.open(io.BytesIO(bundle.read(name))) as picture:
            assert picture.format == "PNG"
            assert 300 < picture.width < 1200
        assert bundle.manifest.files[name].size < 40_000


def test_pictures_show_the_photos():
    """Other counts give other pictures, the same counts the same bytes."""
    truth, told = np.array([0, 0, 0, 1, 1, 2]), np.array([0, 1, 1, 1, 0, 2])
    first = draw_pictures(Confusion.of("val", truth, told, COLOURS.ids), np.full(6, 0.7), truth == told)
    assert first == draw_pictures(Confusion.of("val", truth, told, COLOURS.ids), np.full(6, 0.7), truth == told)
    other = draw_pictures(Confusion.of("val", truth, truth, COLOURS.ids), np.full(6, 0.9), truth == truth)  # noqa: PLR0124
    assert all(first[name] != other[name] for name in first)


@pytest.mark.parametrize("name", ["waste8", "materials"])
def test_cards_in_the_package_are_read_by_the_hub(name):
    """With figures of test; classes, confusions, sources with licences; and every picture is there."""
    bundle = load_bundle(resolve_bundle(name))
    text = bundle.read("card.md").decode()
    results = {(r.dataset_split, r.metric_name): r.metric_value for r in ModelCard(text).data.eval_results}
    assert results["test", "accuracy"] == pytest.approx(
        bundle.manifest.metrics["test"].values["accuracy"].value, abs=1e-4
    )
    for words in (
        "| class | photos in test |",
        "| shown | told to be |",
        "| source | photos | licence as stated | from |",
    ):
        assert words in text
    shown = re.findall(r"!\[[^]]+\]\(([^)]+)\)", text)
    assert len(shown) == 3
    assert set(shown) <= set(bundle.manifest.files)
