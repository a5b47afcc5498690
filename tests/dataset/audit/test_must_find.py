"""What an audit must find among real photos, with everything wrong put there on purpose.

The photos are those of `waste8/val`; thresholds were chosen on other photos and other seeds (docs/audit.md).
"""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.dataset.audit.planted import plant

from binsight.dataset import scan
from binsight.dataset.audit import audit
from binsight.predictor import Predictor

PHOTOS = Path(__file__).resolve().parents[3].parent / "shared" / "data" / "waste8" / "val"

# Photos of which these folders hold another copy, told by eye; they would count as false alarms.
TWINS = frozenset(
    f"{name}_{number:04}"
    for name, numbers in {
        "metal_cans": (50,),
        "plastic_bags": (32, 37),
        "plastic_bottles": (55, 61, 72, 95, 103, 104, 107, 121),
        "wood_waste": (14, 20, 27, 28, 36, 37),
    }.items()
    for number in numbers
)

pytestmark = pytest.mark.skipif(not PHOTOS.is_dir(), reason=f"needs the photos in {PHOTOS}")


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """Eight classes of 32 to 45 photos in three splits, with 100 copies, 30 swapped labels and 10 corrupt files."""
    return plant(PHOTOS, tmp_path_factory.mktemp("planted") / "data", seed=20240601, leave_out=TWINS)


@pytest.fixture(scope="module")
def found(planted):
    """What the audit finds with the model in the package."""
    return audit(scan(planted.root), predictor=Predictor.load(threads=1))


def _paths(found, *kinds):
    return {found.dataset.samples[i].path for finding in found.of_kind(*kinds) for i in finding.files}


def _joined(found, planted, copies):
    group = {sample.path: number for sample, number in zip(found.dataset, found.groups, strict=True)}
    return [copy for copy in copies if group[copy] == group[planted.source[copy]]]


def test_the_numbers_planted(planted):
    """There are 40 exact and 60 altered copies, 30 swapped labels and 10 corrupt files."""
    counts = [len(planted.exact), len(planted.altered), len(planted.swapped), len(planted.corrupt)]
    assert counts == [40, 60, 30, 10]


def test_all_exact_copies(found, planted):
    """Every exact copy is joined with its source."""
    assert _joined(found, planted, planted.exact) == planted.exact


def test_altered_copies(found, planted):
    """At least 95 % of the altered copies are joined with their source."""
    assert len(_joined(found, planted, planted.altered)) >= 57


def test_precision_against_untouched_photos(found, planted):
    """At least 98 % of the altered pairs reported are two versions of one photo."""
    paths = [sample.path for sample in found.dataset]
    near = [pair for pair in found.pairs if pair.kind == "near"]
    right = [pair for pair in near if planted.source.get(paths[pair.first]) == planted.source.get(paths[pair.second])]
    assert len(right) >= 0.98 * len(near)


def test_all_conflicts_and_leaks(found, planted):
    """Every copy that is joined is a conflict when it lies in another class, leakage when in another split."""
    known = set(planted.exact) | set(_joined(found, planted, planted.altered))
    assert known & set(planted.conflicts) <= _paths(found, "label_conflict")
    assert known & set(planted.leaks) <= _paths(found, "leakage")


def test_all_corrupt_files_and_no_other(found, planted):
    """Each of the ten kinds of damage is found, and no sound photo is called damaged."""
    assert _paths(found, "unreadable", "truncated", "damaged") == set(planted.corrupt)


def test_swapped_labels_come_first(found, planted):
    """At least 70 % of the swapped labels are among the first 60 suggestions."""
    suggested = [found.dataset.samples[f.files[0]].path for f in found.of_kind("label_error")[:60]]
    assert len(set(suggested) & set(planted.swapped)) >= 21


def test_suggested_labels_are_the_right_ones(found, planted):
    """For most swapped labels that are found, the suggested class is the one the photo came from."""
    right = wrong = 0
    for finding in found.of_kind("label_error"):
        path = found.dataset.samples[finding.files[0]].path
        if path in planted.swapped:
            is_right = Path(path).name.startswith(finding.details["suggested"])
            right, wrong = right + is_right, wrong + (not is_right)
    assert right >= 4 * wrong
