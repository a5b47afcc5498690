"""The second stage of the bundle in the package: what it draws, and what it leaves out."""

import sys
from pathlib import Path

import numpy as np
import pytest

RECIPE = Path(__file__).parents[2] / "recipes" / "waste8"


@pytest.fixture
def photographers(monkeypatch):
    """The recipe's module."""
    monkeypatch.syspath_prepend(RECIPE)
    import photographers  # noqa: PLC0415 - found where the fixture says

    yield photographers
    sys.modules.pop("photographers", None)


@pytest.fixture
def photos(photographers):
    """Eight of one source, two of another, glass, an empty place; one of val."""
    sources = ["gd"] * 8 + ["more/a"] * 2 + ["gd-glass", "more/a", "gd"]
    classes = ["paper_waste"] * 10 + ["glass", "not-waste", "paper_waste"]
    labels = [4] * 10 + [photographers.NONE] * 2 + [4]
    roles = ["train"] * 12 + ["val"]
    paths = [Path(f"{i}.jpg") for i in range(13)]
    return photographers.Photos(paths, np.array(classes), np.array(labels), np.array(sources), np.array(roles))


def test_a_small_source_is_drawn_by_the_root_of_its_photos_and_strangers_in_their_share(photographers, photos):
    """Eight and two photos: two to one, not four to one. Patches of empty places stand behind the photos."""
    draws = photographers.Draws(photos, np.arange(12), np.array([0, 1]), 0.25)
    drawn = draws.draw(4000, np.random.default_rng(0))
    counts = np.bincount(drawn, minlength=15)
    assert counts[12] == 0
    assert counts[[10, 11, 13, 14]].sum() == 1000
    assert counts[8:10].sum() / counts[:10].sum() == pytest.approx(1 / 3, abs=0.03)


def test_sources_and_the_empty_places_of_others_can_be_left_out(photographers, photos):
    """What is left out to judge by is not among the rows that are trained on, nor is val."""
    assert photographers.without(photos, ["more/a"]).tolist() == [*range(8), 10]
    assert photographers.without(photos, [], ["more/a"]).tolist() == list(range(11))
