"""What copies and numbers of photos mean, and the JSON form."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from binsight.dataset import Dataset, Sample
from binsight.dataset.audit import KINDS, Audit, AuditSettings, Finding
from binsight.dataset.audit.balance import balance_findings
from binsight.dataset.audit.copies import copy_findings
from binsight.dataset.duplicates import DuplicatePair, connected_groups
from binsight.errors import SettingsError


def _dataset(*rows):
    samples = tuple(Sample(f"{i}.jpg", name, split) for i, (name, split) in enumerate(rows))
    return Dataset(Path("/data"), tuple(sorted({name for name, _ in rows})), samples)


def _copies(dataset, *pairs):
    groups = connected_groups(len(dataset), [(pair.first, pair.second) for pair in pairs])
    return [(f.kind, f.severity, f.files) for f in copy_findings(dataset, pairs, groups)]


def test_copies_inside_one_split_and_class():
    """Exact copies are a warning, altered ones worth a look."""
    dataset = _dataset(*[("a", "train")] * 4)
    pairs = DuplicatePair(0, 1, "same_file"), DuplicatePair(2, 3, "near", 0.9)
    assert _copies(dataset, *pairs) == [("exact_duplicate", "warning", (0, 1)), ("near_duplicate", "info", (2, 3))]


def test_copies_across_splits_are_leakage():
    """Copies in train and test are an error; photos without a split leak nothing."""
    dataset = _dataset(("a", "train"), ("a", "test"), ("a", "train"), ("a", None))
    pairs = DuplicatePair(0, 1, "near", 0.9), DuplicatePair(2, 3, "same_file")
    assert _copies(dataset, *pairs) == [("leakage", "error", (0, 1)), ("exact_duplicate", "warning", (2, 3))]


def test_copies_across_classes_and_splits_are_both():
    """A chain of three copies in two classes and two splits is leakage and a conflict, each with all files."""
    dataset = _dataset(("a", "train"), ("b", "train"), ("b", "test"))
    pairs = DuplicatePair(0, 1, "near", 0.9), DuplicatePair(1, 2, "same_file")
    assert _copies(dataset, *pairs) == [("leakage", "error", (0, 1, 2)), ("label_conflict", "error", (0, 1, 2))]


def test_numbers_of_photos():
    """A class missing from a split, one with few photos, and uneven classes are found."""
    dataset = _dataset(*[("a", "train")] * 30, *[("a", "val")] * 2, *[("b", "train")] * 5)
    found = balance_findings(dataset, AuditSettings(min_class_photos=10, max_imbalance=3))
    assert [(f.kind, f.severity) for f in found] == [
        ("missing_class", "warning"),
        ("small_class", "warning"),
        ("class_imbalance", "info"),
    ]
    assert found[0].message == "val has no b"
    assert found[2].details == {"ratio": 6.4}


def test_even_classes_give_no_finding():
    """Two classes of equal size are in order."""
    assert balance_findings(_dataset(*[("a", None)] * 20, *[("b", None)] * 20), AuditSettings()) == []


def test_json_form():
    """The documented keys are there, paths come with class and split, and groups list their pairs."""
    dataset = _dataset(("a", "train"), ("b", "test"))
    pair = DuplicatePair(0, 1, "near", 0.91, "mirrored")
    finding = Finding("leakage", "error", (0, 1), "message", "action", {"exact": False})
    result = json.loads(json.dumps(Audit(dataset, (finding,), (pair,), (0, 0)).to_dict()))
    first = {"path": "0.jpg", "class": "a", "split": "train"}
    second = {"path": "1.jpg", "class": "b", "split": "test"}
    assert result["format"] == 1
    assert result["counts"] == {"leakage": 1}
    assert result["findings"] == [
        {
            "kind": "leakage",
            "severity": "error",
            "files": [first, second],
            "message": "message",
            "action": "action",
            "details": {"exact": False},
        }
    ]
    (group,) = result["duplicate_groups"]
    assert group["files"] == [first, second]
    assert group["pairs"] == [
        {"first": "0.jpg", "second": "1.jpg", "kind": "near", "similarity": 0.91, "orientation": "mirrored"}
    ]


def test_counts_follow_the_order_of_kinds():
    """The most pressing kind comes first, whatever the order of findings."""
    findings = tuple(Finding(kind, "info", (), "", "") for kind in reversed(KINDS))
    assert list(Audit(_dataset(("a", None)), findings, (), (0,)).counts()) == list(KINDS)


def test_settings_name_every_fault():
    """Two values out of range are both named, with their ranges."""
    with pytest.raises(
        SettingsError, match=r"near_similarity: expected a number from 0\.5 to 1, got 2; audit.max_aspect: expected"
    ):
        AuditSettings(near_similarity=2, max_aspect=0.5)
