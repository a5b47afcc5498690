"""The recipe of the bundle in the package: what it trains on, and what not."""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path

import pytest

from binsight.taxonomy import builtin_taxonomy

RECIPE = Path(__file__).parents[2] / "recipes" / "waste8"


class Stop(BaseException):
    """All views of train were asked for."""


@pytest.fixture
def recipe(monkeypatch):
    """The recipe's module, without the weights of a backbone."""
    monkeypatch.syspath_prepend(RECIPE)
    module = importlib.import_module("fine_tuned_lite0")
    for name in ("load_pretrained", "build_backbone", "cut_graph"):
        monkeypatch.setattr(module, name, lambda *_: None)
    yield module
    for name in ("fine_tuned_lite0", "photos", "report"):
        sys.modules.pop(name, None)


@pytest.fixture
def data(tmp_path):
    """Five photos of train from two sources, one of them a twin of a photo of val; one of val."""
    rows = ["path,class,split,source"]
    rows += [f"d/train/paper_waste_{i}.jpg,paper_waste,train,{source}" for i, source in enumerate("abab")]
    rows += ["d/train/paper_waste_0629.jpg,paper_waste,train,a", "d/val/1.jpg,paper_waste,val,a"]
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "manifest.csv").write_text("\n".join(rows))
    return tmp_path / "d"


@pytest.mark.parametrize(("held", "rows"), [([], [0, 1, 2, 3]), (["b"], [0, 2])])
def test_backgrounds_come_from_photos_that_are_trained_on(recipe, data, monkeypatch, held, rows):
    """Neither from those held out to judge the network, nor from twins of photos of val."""
    asked = []

    class Cache:
        def __init__(self, *_args, **_options):
            pass

        def view(self, photos, number, *, backgrounds, progress):
            assert len(photos) == 5
            asked.append((number, backgrounds))
            if len(asked) == recipe.VIEWS:
                raise Stop

    monkeypatch.setattr(recipe, "ActivationCache", Cache)
    arguments = argparse.Namespace(data=data, hold_out=held, backbone="efficientnet_lite0", cache=data)
    with pytest.raises(Stop):
        recipe.Training(arguments, builtin_taxonomy("waste8"))
    assert asked == [(view, rows) for view in range(recipe.VIEWS)]
