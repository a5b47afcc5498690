"""Labelled photos."""

from pathlib import Path

import numpy as np
import pytest

from binsight.errors import DatasetError
from binsight.evaluation import LabelledSet


def _photos(labels, **more):
    return LabelledSet(tuple(Path(f"/data/{i}.jpg") for i in range(len(labels))), np.array(labels, np.intp), **more)


def test_names_are_relative_to_the_root():
    """A photo below the root is shown without it, another as it is."""
    assert _photos([0], root=Path("/data")).name(0) == "0.jpg"
    assert _photos([0], root=Path("/elsewhere")).name(0) == "/data/0.jpg"
    assert _photos([0]).name(0) == "/data/0.jpg"


def test_taking_keeps_labels_and_groups_together():
    """The chosen photos in the order asked for."""
    taken = _photos([0, 1, 2], groups=("a", "b", "c")).take([2, 0])
    assert [p.name for p in taken.paths] == ["2.jpg", "0.jpg"]
    assert taken.labels.tolist() == [2, 0]
    assert taken.groups == ("c", "a")


def test_spread_gives_each_class_its_share():
    """Of 60 and 30 photos, 30 chosen are 20 and 10, and no photo twice."""
    photos = _photos([0] * 60 + [1] * 30)
    chosen = photos.spread(30)
    assert len(set(chosen.tolist())) == 30
    assert np.bincount(photos.labels[chosen]).tolist() == [20, 10]


def test_spread_of_few_photos_is_all_of_them():
    """There are no more than there are; one is the least."""
    assert _photos([0, 1]).spread(5).tolist() == [0, 1]
    assert len(_photos([0, 1]).spread(1)) == 1


@pytest.mark.parametrize(
    ("labels", "more", "expected"),
    [
        ([], {}, "at least one labelled photo"),
        ([-1], {}, "from 0 on"),
        ([0, 1], {"groups": ("a",)}, "one group for each of 2"),
    ],
)
def test_faults_are_refused(labels, more, expected):
    """A set that makes no sense is not made."""
    with pytest.raises(DatasetError, match=expected):
        _photos(labels, **more)


def test_labels_must_be_as_many_as_photos():
    """One for each."""
    with pytest.raises(DatasetError, match="one label for each of 1"):
        LabelledSet((Path("a.jpg"),), np.array([0, 1]))
