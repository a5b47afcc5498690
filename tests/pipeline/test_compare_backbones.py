"""Backbones compared by a head on their frozen features."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from tests.evaluation.photos import labelled
from tests.tiny_bundle import SIZE, tiny_model

from binsight.errors import DatasetError, WeightsError
from binsight.imaging import PreprocessSpec
from binsight.pipeline import compare_backbones as module
from binsight.pipeline.compare_backbones import compare_backbones

if TYPE_CHECKING:
    from onnx import ModelProto

COLOURS = ("red", "green", "blue")


@dataclass(frozen=True)
class FakeBackbone:
    """The tiny network, or one whose features are always the same."""

    name: str
    spec: PreprocessSpec

    def to_onnx(self) -> ModelProto:
        model = tiny_model(outputs=("features",))
        if self.name == "blind":
            # Zero times the average colour.
            model.graph.initializer[1].raw_data = b"\x00\x00\x80\x7f"  # divided by infinity
        return model


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put two tiny backbones in place of the registry."""
    spec = PreprocessSpec(size=(SIZE, SIZE))

    def find(name: str, **_: Any) -> FakeBackbone:
        if name not in {"seeing", "blind"}:
            raise WeightsError(f"no backbone {name!r}")
        return FakeBackbone(name, spec)

    monkeypatch.setattr(module, "find_backbone", find)
    monkeypatch.setattr(module, "ChosenBackbone", lambda backbone, _spec, _weights: backbone)


@pytest.mark.usefixtures("fakes")
def test_the_backbone_that_sees_colours_wins(tmp_path):
    """A head on average colours tells them; one on nothing says one class for all."""
    train = labelled(tmp_path / "train", [(c, c) for c in COLOURS * 4])
    val = labelled(tmp_path / "val", [(c, c) for c in COLOURS * 5])
    told = []
    found = compare_backbones(
        ["seeing", "blind"], train, val, cache=tmp_path / "cache", stage=lambda name: told.append(name) or print
    )
    seeing, blind = found.entries
    assert (seeing.accuracy.value, blind.accuracy.value) == (1, pytest.approx(1 / 3))
    assert dict(seeing.notes)["cross-validation"] == 1
    assert found.pairs[0].test.only_first == 10
    assert found.pairs[0].adjusted_p == 2 / 2**10
    assert seeing.engine_ms > 0
    assert told == [
        "Reading photos",
        "seeing, photos to fit on",
        "seeing, val",
        "blind, photos to fit on",
        "blind, val",
        "Timing",
    ]
    assert found.unreadable == ()


@pytest.mark.usefixtures("fakes")
def test_photos_that_cannot_be_read_are_left_out_and_named(tmp_path):
    """One of each set; the others are compared."""
    train = labelled(tmp_path / "train", [(c, c) for c in COLOURS * 4])
    val = labelled(tmp_path / "val", [(c, c) for c in COLOURS * 2])
    train.paths[1].write_bytes(b"no picture")
    val.paths[2].unlink()
    found = compare_backbones(["seeing", "blind"], train, val)
    assert found.photos == 5
    assert found.entries[0].accuracy.value == 1
    assert [Path(one.path).name for one in found.unreadable] == [train.paths[1].name, val.paths[2].name]


@pytest.mark.usefixtures("fakes")
def test_no_readable_photo_is_an_error(tmp_path):
    """It says why the first cannot be read."""
    photos = labelled(tmp_path, [("red", "red")])
    photos.paths[0].write_bytes(b"no picture")
    with pytest.raises(DatasetError, match="got 1 of which none can be read"):
        compare_backbones(["seeing", "blind"], photos, photos)


@pytest.mark.usefixtures("fakes")
def test_an_unknown_backbone_is_found_out_first(tmp_path):
    """Before the first photo is looked at."""
    photos = labelled(tmp_path, [(c, c) for c in COLOURS])
    with pytest.raises(WeightsError, match="no backbone 'sleeping'"):
        compare_backbones(["seeing", "sleeping"], photos, photos)


@pytest.mark.usefixtures("fakes")
def test_one_backbone_is_no_comparison(tmp_path):
    """The same twice is one."""
    photos = labelled(tmp_path, [("red", "red")])
    with pytest.raises(DatasetError, match="at least two backbones"):
        compare_backbones(["seeing", "seeing"], photos, photos)


@pytest.mark.usefixtures("fakes")
def test_classes_to_judge_must_be_among_those_to_fit(tmp_path):
    """A head cannot know what it never saw."""
    train = labelled(tmp_path / "train", [("red", "red"), ("green", "green")])
    val = labelled(tmp_path / "val", [("blue", "blue")])
    with pytest.raises(DatasetError, match="none of class 2"):
        compare_backbones(["seeing", "blind"], train, val)


@pytest.mark.usefixtures("fakes")
def test_copies_are_kept_in_one_part_and_counted_once(tmp_path, monkeypatch):
    """Of 15 photos in val, each there three times, only five can tell; the folds are dealt by the copies of train."""
    train = labelled(tmp_path / "train", [(c, c) for c in COLOURS * 4])
    val = labelled(tmp_path / "val", [(c, c) for c in COLOURS * 5])
    train = replace(train, copies=np.arange(12) // 2)
    val = replace(val, copies=np.arange(15) // 3)
    dealt = []
    folds = module.spread_folds
    monkeypatch.setattr(module, "spread_folds", lambda *a, **k: dealt.append(a[1]) or folds(*a, **k))
    found = compare_backbones(["seeing", "blind"], train, val)
    assert len(dealt) == 2
    assert all(np.array_equal(copies, train.copies) for copies in dealt)
    assert found.entries[0].accuracy.low == pytest.approx(5 / (5 + 1.96**2), abs=1e-3)
    assert found.pairs[0].test.only_first == 5


@pytest.mark.usefixtures("fakes")
def test_a_fold_without_a_class_and_a_class_without_photos_are_no_trouble(tmp_path):
    """The one red photo is never judged by what knows red; no class is taken for its neighbour in the list."""
    train = labelled(tmp_path / "train", [("red", "red"), *((c, c) for c in ("green", "blue") * 6)])
    val = labelled(tmp_path / "val", [(c, c) for c in ("green", "blue") * 4])
    found = compare_backbones(["seeing", "blind"], train, val)
    assert found.entries[0].notes == (("cross-validation", pytest.approx(12 / 13)),)
    assert found.entries[0].accuracy.value == 1.0
    gap = replace(train, labels=train.labels[1:] + 3, paths=train.paths[1:], copies=np.arange(12))
    found = compare_backbones(["seeing", "blind"], gap, replace(val, labels=val.labels + 3))
    assert found.entries[0].accuracy.value == 1.0
