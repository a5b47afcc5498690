"""Pictures of a data set."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from tests.dataset.folders import write_photo, write_photos

from binsight.dataset import scan
from binsight.dataset.explore import explore
from binsight.dataset.plots import draw_boxes, draw_counts, draw_map, draw_means, draw_samples, draw_sizes
from binsight.errors import DatasetError, OutputError
from binsight.predictor import Predictor

PICTURES = ["counts", "samples", "means", "sizes", "aspect", "resolution", "compression"]


@pytest.fixture
def dataset(tmp_path):
    """Return twelve photos of two classes in two splits, and one that cannot be read."""
    for i in range(12):
        write_photo(tmp_path / f"data/{('train', 'val')[i % 2]}/{('cans', 'paper')[i % 3 == 0]}/{i}.jpg", i)
    (tmp_path / "data/train/cans/<b>.jpg").write_bytes(b"")
    return scan(tmp_path / "data")


def test_without_a_map(tmp_path, dataset):
    """Every picture is a PNG of its own and inside the page, which needs no other file."""
    found = explore(dataset, tmp_path / "out")
    assert [p.stem for p in found.pictures] == PICTURES
    for path in found.pictures:
        with Image.open(path) as picture:
            width, height = picture.size
        assert 200 < height < 3000
        assert 400 < width < 2000
    page = found.page.read_text("utf-8")
    assert len(re.findall('<img src="data:image/png;base64,', page)) == len(PICTURES)
    assert not re.search(r"""(src|href)=["'](?!data:|#)""", page)
    assert (found.places, found.looked_at, found.unreadable) == (None, 12, ())


def test_with_a_map(tmp_path, dataset, shared_bundle):
    """With a network there is a map, and each photo's place on it."""
    found = explore(dataset, tmp_path / "out", predictor=Predictor.load(shared_bundle, threads=1))
    assert [p.stem for p in found.pictures] == [*PICTURES, "map"]
    rows = list(csv.DictReader(found.places.read_text().splitlines()))
    assert [row["path"] for row in rows] == [s.path for s in dataset.sound()]
    assert all(abs(float(row[axis])) <= 1 for row in rows for axis in "xy")


def test_faults_on_the_page(tmp_path, dataset):
    """A photo that cannot be read is on the page, its name as text and not as HTML."""
    page = explore(dataset, tmp_path / "out").page.read_text("utf-8")
    assert "&lt;b&gt;.jpg" in page
    assert "<b>.jpg" not in page


def test_damage_found_on_the_way(tmp_path):
    """A photo that turns out to be damaged is reported, and the rest is drawn."""
    root = write_photos(tmp_path / "data", *(f"cans/{i}.jpg" for i in range(3)))
    broken = write_photo(root / "cans/x.jpg", size=(200, 200))
    broken.write_bytes(broken.read_bytes()[:-3000])
    found = explore(scan(root), tmp_path / "out")
    assert found.looked_at == 3
    assert [path for path, _ in found.unreadable] == ["cans/x.jpg"]


def test_same_again(tmp_path, dataset):
    """The same photos and seed give the same bytes."""
    one, two = (explore(dataset, tmp_path / name, seed=1) for name in ("a", "b"))
    assert [p.read_bytes() for p in one.pictures] == [p.read_bytes() for p in two.pictures]


def test_existing_page(tmp_path, dataset):
    """A page that is there is drawn over only when that is asked for."""
    explore(dataset, tmp_path / "out")
    with pytest.raises(OutputError, match="--overwrite"):
        explore(dataset, tmp_path / "out")
    explore(dataset, tmp_path / "out", overwrite=True)


def test_limit(tmp_path, dataset):
    """At most so many photos are looked at, of each class its share."""
    assert explore(dataset, tmp_path / "out", max_photos=6).looked_at == 6


def test_nothing_sound(tmp_path):
    """A data set without a readable photo cannot be drawn."""
    (tmp_path / "data/cans").mkdir(parents=True)
    (tmp_path / "data/cans/1.jpg").write_bytes(b"")
    with pytest.raises(DatasetError, match="none of the 1 photos can be read"):
        explore(scan(tmp_path / "data"), tmp_path / "out")


ODD = ["$x^2$", "a class whose name is much longer than there is room for", "_", "100%"]


@pytest.mark.parametrize("classes", [["one"], ODD, [f"class {i}" for i in range(70)]], ids=["one", "odd", "many"])
def test_any_number_of_classes(tmp_path, classes):
    """One class, names that look like formulas, and more classes than there is room for: all can be drawn."""
    n = len(classes)
    rng = np.random.default_rng(0)
    values = [rng.uniform(0.5, 2, 5) for _ in classes]
    labels = np.arange(3 * n) % n
    figures = [
        draw_counts(classes, {"train": [3] * n, "val": [0] * n}),
        draw_boxes(classes, values, label="width : height", ticks={1.0: "1:1"}),
        draw_samples(classes, [[np.zeros((8, 8, 3), np.uint8)]] * n),
        draw_means(classes, np.zeros((n, 8, 8, 3), np.uint8), [1] * n),
        draw_map(classes, labels, rng.normal(size=(3 * n, 2)).astype(np.float32)),
    ]
    for i, figure in enumerate(figures):
        figure.savefig(tmp_path / f"{i}.png")


def test_labels_of_the_map_do_not_overlap():
    """Names of classes that lie on one another are moved apart."""
    classes = [f"class number {i}" for i in range(6)]
    figure = draw_map(classes, np.arange(60) % 6, np.random.default_rng(0).normal(size=(60, 2)).astype(np.float32))
    figure.canvas.draw()
    boxes = [text.get_window_extent() for text in figure.axes[0].texts]
    assert len(boxes) == 6
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_photos_of_one_size(tmp_path):
    """Photos that are all of one size can be drawn."""
    draw_sizes(np.array([256] * 5), np.array([256] * 5)).savefig(tmp_path / "s.png")
    draw_boxes(["a"], [np.array([1.0, 1.0])], label="x").savefig(tmp_path / "b.png")


def test_nothing_heavy_is_loaded():
    """Scanning, splitting, cleaning and fetching load neither matplotlib nor scikit-learn nor ONNX Runtime."""
    code = (
        "import sys, json, binsight.dataset, binsight.dataset.split, binsight.dataset.clean, binsight.dataset.fetch, "
        "binsight.dataset.explore, binsight.dataset.materialise; print(json.dumps(sorted(sys.modules)))"
    )
    loaded = json.loads(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True).stdout)
    assert not {"matplotlib", "sklearn", "scipy", "onnxruntime", "kagglehub"} & set(loaded)
