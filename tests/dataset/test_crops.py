"""Objects cut out of photos."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from binsight.dataset.crops import cut_objects
from binsight.errors import DatasetError, InputError
from binsight.taxonomy import folder_name_fault


def write_coco(folder, objects, *, size=(200, 100), name="batch_1/1.jpg", categories=("Can",)):
    """A grey photo of `size` (width, height), a red square at (50, 20) of 60 pixels, and annotations."""
    pixels = np.full((size[1], size[0], 3), 128, np.uint8)
    pixels[20:80, 50:110] = (255, 0, 0)
    (folder / "batch_1").mkdir(parents=True)
    Image.fromarray(pixels).save(folder / "batch_1/1.jpg", quality=95)
    coco = {
        "images": [{"id": 7, "file_name": name, "width": 200, "height": 100}],
        "categories": [{"id": i, "name": c} for i, c in enumerate(categories)],
        "annotations": objects,
    }
    (folder / "annotations.json").write_text(json.dumps(coco))
    return folder / "annotations.json"


def box(*values, number=1, image=7, category=0):
    """One annotation."""
    return {"id": number, "image_id": image, "category_id": category, "bbox": list(values)}


def test_cut(tmp_path):
    """An object comes out with a tenth of its size around it, in the folder of its category."""
    found = cut_objects(write_coco(tmp_path / "in", [box(50, 20, 60, 60)]), tmp_path / "out")
    assert found == {"cut": 1}
    with Image.open(tmp_path / "out/Can/batch_1_1_1.jpg") as picture:
        crop = np.asarray(picture)
    assert crop.shape == (72, 72, 3)
    assert np.allclose(crop[36, 36], (254, 0, 0), atol=8)
    assert np.allclose(crop[2, 2], 128, atol=12)


def test_not_cut(tmp_path):
    """What cannot be cut out is counted with its reason."""
    objects = [
        box(50, 20, 20, 60, number=1),
        box(180, 20, 60, 60, number=2),
        box(50, 20, 60, 60, number=3, image=8),
    ]
    found = cut_objects(write_coco(tmp_path / "in", objects), tmp_path / "out")
    assert found == {"too small": 2, "photo missing": 1}


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"size": (100, 200)}, "photo of another size"),
        ({"name": "none.jpg"}, "photo missing"),
        ({"name": "../in/batch_1/1.jpg"}, "photo missing"),
        ({"name": "annotations.json"}, "photo unreadable"),
    ],
)
def test_photos(tmp_path, options, reason):
    """A photo that was turned, is gone, lies elsewhere or is none gives no crops."""
    annotations = write_coco(tmp_path / "in", [box(50, 20, 60, 60)], **options)
    assert cut_objects(annotations, tmp_path / "out") == {reason: 1}


@pytest.mark.parametrize("category", ["../../evil", "..", "a/b", "a\\b", "", "nul", "C:", "/a", "a\0b"])
def test_odd_categories(tmp_path, category):
    """A category never leads out of the folder."""
    cut_objects(write_coco(tmp_path / "in", [box(50, 20, 60, 60)], categories=(category,)), tmp_path / "out")
    (crop,) = (p for p in tmp_path.rglob("*.jpg") if "in" not in p.relative_to(tmp_path).parts)
    assert crop.parent.parent == tmp_path / "out"
    assert folder_name_fault(crop.parent.name) is None


def test_categories_that_become_alike(tmp_path):
    """Categories that differ in signs that no folder name has stay different classes."""
    objects = [box(50, 20, 60, 60, number=i, category=i) for i in range(3)]
    cut_objects(write_coco(tmp_path / "in", objects, categories=("PE/PP", "PE:PP", "PE_PP")), tmp_path / "out")
    assert len(list((tmp_path / "out").iterdir())) == 3


@pytest.mark.parametrize("objects", [[{}], [box(1, 2, 3)], [box(0, 0, float("nan"), 9)], [box(0, 0, 9, 9, category=5)]])
def test_malformed(tmp_path, objects):
    """Annotations that are malformed are refused before anything is written."""
    with pytest.raises(DatasetError, match="expected COCO annotations"):
        cut_objects(write_coco(tmp_path / "in", objects), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_missing(tmp_path):
    """Annotations that are not there are an input error."""
    with pytest.raises(InputError, match="cannot read"):
        cut_objects(tmp_path / "annotations.json", tmp_path / "out")
