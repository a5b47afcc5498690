"""What an audit found, left out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from binsight.dataset import Dataset, Sample
from binsight.dataset.clean import clean, read_audit
from binsight.dataset.split import split
from binsight.errors import DatasetError, InputError

ROOT = Path("/data")


def dataset_of(*rows):
    """A data set of samples given as (path, split, width)."""
    samples = (Sample(p, p.split("/", maxsplit=1)[0], s, width=w, height=10) for p, s, w in rows)
    return Dataset(ROOT, ("a", "b"), tuple(samples))


def audit_of(*groups, findings=()):
    """An audit with groups of copies, each a list of (first, second, kind), and findings (kind, paths)."""
    return {
        "format": 1,
        "root": str(ROOT),
        "findings": [
            {"kind": kind, "message": f"{kind}!", "files": [{"path": p} for p in paths]} for kind, *paths in findings
        ],
        "duplicate_groups": [
            {
                "files": [{"path": p} for p in sorted({p for pair in pairs for p in pair[:2]})],
                "pairs": [{"first": a, "second": b, "kind": kind} for a, b, kind in pairs],
            }
            for pairs in groups
        ],
    }


def left(cleaned):
    """The paths that stayed."""
    return [s.path for s in cleaned.dataset]


def why(cleaned):
    """Path → reason and kept copy of what was dropped."""
    return {d.path: (d.reason, d.kept) for d in cleaned.dropped}


def test_exact_copies():
    """One of exact copies stays: the largest, then the first by path, also through a chain."""
    dataset = dataset_of(("a/1", None, 10), ("a/2", None, 20), ("a/3", None, 20), ("a/4", None, 5))
    cleaned = clean(dataset, audit_of([("a/1", "a/2", "same_file"), ("a/1", "a/3", "same_pixels")]))
    assert left(cleaned) == ["a/2", "a/4"]
    assert why(cleaned) == {"a/1": ("exact_duplicate", "a/2"), "a/3": ("exact_duplicate", "a/2")}
    assert [dict(s.extra) for s in cleaned.dataset] == [{}, {}]


def test_altered_copies_together():
    """Altered copies on one side stay as a group that a split respects."""
    dataset = dataset_of(*((f"a/{i:02}", None, 10) for i in range(30)))
    chain = [(f"a/{i:02}", f"a/{i + 1:02}", "near") for i in range(9)]
    cleaned = clean(dataset, audit_of(chain))
    assert len(cleaned.dataset) == 30
    assert {s.extra.get("group") for s in cleaned.dataset.samples[:10]} == {"a/00"}
    assert len({s.split for s in split(cleaned.dataset).samples[:10]}) == 1


def test_altered_copies_but_one():
    """On request one of altered copies stays."""
    dataset = dataset_of(("a/1", None, 10), ("a/2", None, 20))
    cleaned = clean(dataset, audit_of([("a/1", "a/2", "near")]), near="one")
    assert why(cleaned) == {"a/1": ("near_duplicate", "a/2")}


def test_leakage():
    """Of copies on several sides those in test stay, then those in val, whatever their size."""
    dataset = dataset_of(("a/1", "train", 90), ("a/2", "val", 50), ("a/3", "test", 10), ("a/4", "test", 10))
    pairs = [("a/1", "a/2", "near"), ("a/2", "a/3", "near"), ("a/3", "a/4", "near")]
    cleaned = clean(dataset, audit_of(pairs))
    assert left(cleaned) == ["a/3", "a/4"]
    assert why(cleaned) == {"a/1": ("leakage", "a/3"), "a/2": ("leakage", "a/3")}


def test_copies_left_alone():
    """Altered copies can be left alone; exact ones are dropped all the same."""
    dataset = dataset_of(("a/1", "train", 10), ("a/2", "val", 10), ("a/3", "val", 10))
    cleaned = clean(dataset, audit_of([("a/1", "a/2", "near"), ("a/2", "a/3", "same_file")]), near="ignore")
    assert left(cleaned) == ["a/1", "a/2"]


def test_conflicts():
    """Copies with different labels are all dropped, unless they are to be kept."""
    dataset = dataset_of(("a/1", None, 10), ("b/2", None, 10), ("b/3", None, 10))
    audit = audit_of([("a/1", "b/2", "near")], findings=[("label_conflict", "a/1", "b/2")])
    assert left(clean(dataset, audit)) == ["b/3"]
    assert left(clean(dataset, audit, keep_conflicts=True)) == ["a/1", "b/2", "b/3"]


def test_unusable_photos():
    """Photos that cannot be read are dropped, by the audit's word and by the scan's."""
    dataset = dataset_of(*((f"a/{i}", None, 10) for i in range(5)))
    bad = Dataset(ROOT, dataset.classes, (*dataset.samples, Sample("a/5", "a", error="empty")))
    findings = [("truncated", "a/1"), ("damaged", "a/2"), ("unreadable", "a/3"), ("blurred", "a/4")]
    cleaned = clean(bad, audit_of(findings=findings))
    assert {p: r for p, (r, _) in why(cleaned).items()} == {
        "a/1": "truncated",
        "a/2": "damaged",
        "a/3": "unreadable",
        "a/5": "unreadable",
    }
    assert left(clean(bad, audit_of(findings=findings), drop=["blurred"])) == ["a/0"]


def test_a_dropped_copy_saves_the_other():
    """A copy that is unusable does not cost the one that is sound its place."""
    dataset = dataset_of(("a/1", "test", 10), ("a/2", "train", 10))
    audit = audit_of([("a/1", "a/2", "near")], findings=[("truncated", "a/1")])
    assert left(clean(dataset, audit)) == ["a/2"]


def test_another_root():
    """An audit of the same photos from another root is matched by where they lie."""
    dataset = Dataset(ROOT / "a", ("a",), (Sample("1", "a"), Sample("2", "a")))
    assert left(clean(dataset, audit_of([("a/1", "a/2", "same_file")]))) == ["1"]


def test_other_photos():
    """An audit of other photos is refused."""
    with pytest.raises(DatasetError, match="names 1 photos that the data set does not have, such as a/9"):
        clean(dataset_of(("a/1", None, 1)), audit_of(findings=[("blank", "a/9")]))


def test_malformed_audit():
    """An audit with parts missing is refused."""
    with pytest.raises(DatasetError, match="malformed audit"):
        clean(dataset_of(("a/1", None, 1)), {**audit_of(), "findings": [{}]})


@pytest.mark.parametrize(
    ("text", "message"),
    [("", "expected the JSON"), ("[]", "other JSON"), ('{"findings": [], "duplicate_groups": []}', "format 1")],
)
def test_reading(tmp_path, text, message):
    """A file that is no audit is refused."""
    (tmp_path / "audit.json").write_text(text)
    with pytest.raises(DatasetError, match=message):
        read_audit(tmp_path / "audit.json")


def test_reading_back(tmp_path):
    """An audit is read as it was written; a missing file is an input error."""
    (tmp_path / "audit.json").write_text(json.dumps(audit_of()))
    assert read_audit(tmp_path / "audit.json") == audit_of()
    with pytest.raises(InputError, match="cannot read"):
        read_audit(tmp_path / "none.json")
