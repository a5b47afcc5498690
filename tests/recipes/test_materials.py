"""The recipe of `materials`: its settings, and which photo goes where."""

from __future__ import annotations

import csv
import hashlib
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.dataset.duplicates.pictures import picture

from binsight.pipeline.presets import read_config_file, resolve_config

RECIPE = Path(__file__).parents[2] / "recipes" / "materials"


def test_its_settings_are_settings() -> None:
    """Heads only, on the network of `waste8`; nothing for `adapt`."""
    config = resolve_config(file=read_config_file(RECIPE / "materials.toml"))
    assert (config.backbone.name, config.fine_tune.enabled, config.bundle.store_replay) == (
        "bundle:waste8",
        False,
        False,
    )
    assert config.data.hold_out == ("clothes",)


def test_what_paper_is_was_said_of_each_photo_once() -> None:
    """Paper that is plain paper is not listed."""
    with (RECIPE / "paper.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["class"] for row in rows} == {"cardboard", "left out"}
    assert len({row["path"] for row in rows}) == len(rows)


@pytest.fixture
def rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, str]]:
    """The manifest of a few photos that lie as those of the recipe do, by path."""
    data = tmp_path / "data"
    names = [f"waste8/{split}/paper_waste/paper_waste_{i:04}.jpg" for split, i in (("train", 9998), ("test", 9999))]
    names += [
        "waste8/train/plastic_bags/b.jpg",
        "more/not-waste/floor.jpg",
        "not-waste/shirt.jpg",
        "trashnet/trash/t.jpg",
    ]
    names += [f"more/glass/gd_{i}.jpg" for i in range(8)]
    names += [f"trashnet/plastic/p{i}.jpg" for i in range(12)]
    for number, name in enumerate(names):
        (data / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture(number, (64, 64)).astype(np.uint8)).save(data / name, quality=95)
    plastic = sorted((name for name in names if "plastic/p" in name), key=_is_odd)
    kept_back, copy = data / plastic[0], data / plastic[-1]
    kept_back.write_bytes(copy.read_bytes())
    for part, columns in (("waste8", "path,class,split,source"), ("more", "path,class,source,licence,from")):
        lines = [columns]
        for name in names:
            folder, *rest = name.split("/")
            if folder == part == "waste8":
                lines.append(f"{name},{rest[1]},{rest[0]},gd")
            elif folder == part:
                lines.append(f"{'/'.join(rest)},{rest[0]},gd,MIT,somewhere")
        (data / part / "manifest.csv").write_text("\n".join(lines) + "\n")
    out = tmp_path / "out.csv"
    monkeypatch.setattr(sys, "argv", ["photos.py", str(data), str(out)])
    runpy.run_path(str(RECIPE / "photos.py"), run_name="__main__")
    with out.open(newline="") as file:
        return {row["path"].split("data/", 1)[1]: row for row in csv.DictReader(file)}


def _is_odd(name: str) -> bool:
    return hashlib.sha256(name.encode()).digest()[0] % 2 == 1


def test_nothing_judges_that_the_network_was_trained_on(rows: dict[str, dict[str, str]]) -> None:
    """The odd halves are trained on, and what is a copy of one; the splits of `waste8` stay."""
    own = {name: row["split"] for name, row in rows.items()}
    assert own["waste8/test/paper_waste/paper_waste_9999.jpg"] == "test"
    assert own["not-waste/shirt.jpg"] == "train"
    kept_back = [name for name in own if name.startswith(("more/glass", "trashnet/plastic")) and not _is_odd(name)]
    copies = [name for name in kept_back if own[name] == "train"]
    assert len(copies) == 1
    assert copies[0].startswith("trashnet/plastic")
    assert len(kept_back) > 3
    assert all(own[name] == "train" for name in own if name.startswith(("more", "trashnet")) and _is_odd(name))


def test_classes_sources_and_licences_are_those_of_the_materials(rows: dict[str, dict[str, str]]) -> None:
    """Empty places and trash are of no class."""
    assert rows["waste8/train/plastic_bags/b.jpg"]["class"] == "plastic"
    assert (rows["not-waste/shirt.jpg"]["class"], rows["not-waste/shirt.jpg"]["source"]) == ("textiles", "clothes")
    assert not [name for name in rows if "trash/" in name or "floor" in name]
    assert all(row["licence"] and row["attribution"] for row in rows.values())
