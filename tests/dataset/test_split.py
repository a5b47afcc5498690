"""Train, val and test."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from binsight.dataset import Dataset, Sample
from binsight.dataset.split import split, split_shares
from binsight.errors import DatasetError

ROOT = Path("/data")


def dataset_of(*counts, error=None):
    """A data set with so many samples of each class, named by letters."""
    names = [chr(ord("a") + i) for i in range(len(counts))]
    rows = [Sample(f"{n}/{i:04}.jpg", n, error=error) for n, c in zip(names, counts, strict=True) for i in range(c)]
    return Dataset(ROOT, tuple(names), tuple(rows))


def shares_of(dataset):
    """Photos of each class and split."""
    return {(s.class_id, s.split): s.photos for s in split_shares(dataset, val=0.1, test=0.15)}


def test_by_hand():
    """Photos that stand alone are divided exactly, remainders by size."""
    divided = split(dataset_of(100, 20, 7), val=0.1, test=0.15)
    assert shares_of(divided) == {
        ("a", "train"): 75, ("a", "val"): 10, ("a", "test"): 15,
        ("b", "train"): 15, ("b", "val"): 2, ("b", "test"): 3,
        ("c", "train"): 5, ("c", "val"): 1, ("c", "test"): 1,
    }  # fmt: skip


def test_no_test_split():
    """A share of 0 stays empty, even where groups do not fit elsewhere."""
    groups = [i // 9 for i in range(90)]
    divided = split(dataset_of(90), val=0.15, test=0, groups=groups)
    assert divided.splits == ("train", "val")


@st.composite
def grouped(draw):
    """A data set of 1 to 4 classes and, for each sample, a group: mostly of one class, sometimes across classes."""
    dataset = dataset_of(*draw(st.lists(st.integers(1, 60), min_size=1, max_size=4)))
    kinds = draw(st.integers(1, 30))
    groups = draw(st.lists(st.none() | st.integers(0, kinds), min_size=len(dataset), max_size=len(dataset)))
    return dataset, groups


fractions = st.sampled_from([(0.1, 0.15), (0.2, 0.0), (0.0, 0.3), (0.3, 0.3), (0.0, 0.0), (0.01, 0.01)])


@given(grouped(), fractions, st.integers(0, 5))
def test_groups_stay_together(data, shares, seed):
    """No group is in two splits, and every sample is in one."""
    dataset, groups = data
    divided = split(dataset, val=shares[0], test=shares[1], seed=seed, groups=groups)
    where = defaultdict(set)
    for sample, group in zip(divided, groups, strict=True):
        assert sample.split in {"train", "val", "test"}
        if group is not None:
            where[group].add(sample.split)
    assert all(len(splits) == 1 for splits in where.values())
    assert [s.path for s in divided] == [s.path for s in dataset]


@given(st.lists(st.integers(1, 400), min_size=1, max_size=5), fractions, st.integers(0, 5))
def test_proportions_of_single_photos(counts, shares, seed):
    """Where all photos stand alone, every class is within one photo of the shares."""
    divided = split(dataset_of(*counts), val=shares[0], test=shares[1], seed=seed)
    for share in split_shares(divided, val=shares[0], test=shares[1]):
        count = counts[ord(share.class_id) - ord("a")]
        assert abs(share.photos - share.wanted * count) < 1
        assert not share.is_off(count)


@given(st.lists(st.integers(1, 6), min_size=60, max_size=200), st.integers(0, 5))
def test_proportions_with_small_groups(sizes, seed):
    """Groups of a few photos, with some that stand alone, cost no more than a point."""
    sizes = [*sizes, *[1] * 20]
    groups = [g for g, size in enumerate(sizes) for _ in range(size)]
    divided = split(dataset_of(sum(sizes)), seed=seed, groups=groups)
    for share in split_shares(divided, val=0.1, test=0.15):
        assert abs(share.share - share.wanted) <= 0.01


@given(grouped(), st.integers(0, 5), st.randoms(use_true_random=False))
def test_determined_by_samples_and_seed(data, seed, random):
    """The same samples and seed give the same split, in whatever order they come."""
    dataset, groups = data
    order = list(range(len(dataset)))
    random.shuffle(order)
    one = split(dataset, seed=seed, groups=groups)
    other = split(dataset.take(order), seed=seed, groups=[groups[i] for i in order])
    assert {s.path: s for s in one} == {s.path: s for s in other}


def test_seed():
    """Another seed gives another split."""
    dataset = dataset_of(100)
    assert split(dataset, seed=0) != split(dataset, seed=1)


def test_groups_are_spread():
    """Pairs are as frequent in val and test as in train: they are not all put where there is most room."""
    groups = [i // 2 if i < 1000 else i for i in range(2000)]
    divided = split(dataset_of(2000), groups=groups)
    pairs = Counter(s.split for s in divided if "group" in s.extra)
    assert pairs["val"] == pytest.approx(100, abs=30)
    assert pairs["test"] == pytest.approx(150, abs=35)


def test_same_bytes():
    """Files with the same bytes stay together without being told."""
    dataset = dataset_of(50)
    same = Dataset(ROOT, dataset.classes, tuple(Sample(s.path, "a", sha256="0" * 64) for s in dataset))
    assert len(split(same).splits) == 1


def test_groups_by_column_path_and_chain():
    """Groups of a manifest's column, of a mapping and by bytes chain into one, named as in the column."""
    rows = (
        Sample("1.jpg", "a", extra={"group": "g"}),
        Sample("2.jpg", "a", extra={"group": "g"}),
        Sample("3.jpg", "a", sha256="1" * 64),
        Sample("4.jpg", "a", sha256="1" * 64),
        Sample("5.jpg", "a"),
    )
    divided = split(Dataset(ROOT, ("a",), rows), val=0.4, test=0.2, groups={"2.jpg": 7, "3.jpg": 7})
    assert len({s.split for s in divided.samples[:4]}) == 1
    assert [s.extra.get("group") for s in divided] == ["g", "g", "1.jpg", "1.jpg", None]


def test_unsound_samples():
    """A sample with an error gets no split, even if it had one."""
    good = dataset_of(10)
    bad = Sample("a/bad.jpg", "a", "train", error="truncated")
    divided = split(Dataset(ROOT, ("a",), (*good.samples, bad)))
    assert divided.samples[-1].split is None
    assert all(s.split for s in divided.samples[:-1])


@pytest.mark.parametrize(("val", "test"), [(-0.1, 0.1), (0.5, 0.5), (1.0, 0.0), (0.2, np.nan)])
def test_wrong_shares(val, test):
    """Shares outside [0, 1), or that leave nothing for train, are refused."""
    with pytest.raises(DatasetError, match="expected shares in"):
        split(dataset_of(10), val=val, test=test)


def test_wrong_groups():
    """A list of groups must have one for each sample."""
    with pytest.raises(DatasetError, match="a group for each of the 10 samples, got 1"):
        split(dataset_of(10), groups=[1])


def test_nothing_to_split():
    """A data set without a sound photo is refused."""
    with pytest.raises(DatasetError, match="no sound photo"):
        split(dataset_of(3, error="broken"))


def test_shares_that_groups_do_not_allow():
    """A class whose photos are one group is in one split, and the shares say that they are off."""
    divided = split(dataset_of(200), groups=[0] * 200)
    assert len(divided.splits) == 1
    assert all(s.is_off(200) for s in split_shares(divided, val=0.1, test=0.15))
