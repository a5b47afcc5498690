"""What folders say of the photos in them."""

from __future__ import annotations

import os

import pytest
from tests.dataset.folders import write_photo, write_photos

from binsight.dataset.layout import find_photos, place_photos
from binsight.errors import DatasetError
from binsight.taxonomy import builtin_taxonomy


def placed(*paths, taxonomy=None):
    """Split, biodegradable and class of each path in a class folder; the other paths."""
    found, loose = place_photos([tuple(p.split("/")) for p in paths], taxonomy, where="here")
    return [(p.split, p.biodegradable, p.class_name) for p in found], [i.path for i in loose]


def test_class_folders():
    """A folder of folders: their names are the classes, and no photo has a split."""
    assert placed("cans/1.jpg", "paper/2.jpg", "paper/deep/3.jpg") == (
        [(None, None, "cans"), (None, None, "paper"), (None, None, "paper")],
        [],
    )


@pytest.mark.parametrize(
    ("folder", "split"),
    [
        ("train", "train"),
        ("Training", "train"),
        ("val", "val"),
        ("valid", "val"),
        ("Validation", "val"),
        ("TEST", "test"),
    ],
)
def test_split_folders(folder, split):
    """A split goes by several names."""
    assert placed(f"{folder}/cans/1.jpg")[0] == [(split, None, "cans")]


def test_nested_layout():
    """Folders for biodegradable or not lie between split and class, and are kept as a fact."""
    paths = ("train/biodegradable/leaf_waste/1.jpg", "val/Non-Biodegradable/ewaste/2.jpg")
    assert placed(*paths)[0] == [("train", True, "leaf_waste"), ("val", False, "ewaste")]


def test_two_classes():
    """With photos right in them, biodegradable and non_biodegradable are classes."""
    assert placed("biodegradable/1.jpg", "non_biodegradable/2.jpg")[0] == [
        (None, None, "biodegradable"),
        (None, None, "non_biodegradable"),
    ]


def test_wrapping_folders():
    """Folders that only wrap the others do not count."""
    assert placed("Dataset/v2/train/cans/1.jpg", "Dataset/v2/test/cans/1.jpg")[0] == [
        ("train", None, "cans"),
        ("test", None, "cans"),
    ]


def test_a_single_class():
    """A folder that is a class of the taxonomy is no wrapping, though it is the only one."""
    paths = ("metal_cans/a/1.jpg", "metal_cans/b/2.jpg")
    assert {c for _, _, c in placed(*paths, taxonomy=builtin_taxonomy())[0]} == {"metal_cans"}
    assert {c for _, _, c in placed(*paths)[0]} == {"a", "b"}


def test_loose_photos():
    """A photo in no class folder is reported, not guessed at."""
    assert placed("train/cans/1.jpg", "train/2.jpg", "3.jpg")[1] == ["3.jpg", "train/2.jpg"]


def test_splits_beside_classes():
    """A class folder beside split folders is refused: one of them must be a slip."""
    with pytest.raises(DatasetError, match=r"all splits or all classes, got train beside cans"):
        placed("train/cans/1.jpg", "cans/2.jpg")


@pytest.mark.parametrize("paths", [(), ("1.jpg",)])
def test_nothing(paths):
    """A folder without class folders is refused with the layout that was expected."""
    with pytest.raises(DatasetError, match="expected photos in folders <class>/"):
        placed(*paths)


def test_passed_over(tmp_path):
    """Hidden and system files and folders are never photos or classes, and are all reported."""
    write_photos(tmp_path, "cans/1.jpg", "cans/.2.jpg", ".ipynb_checkpoints/3.jpg", "__MACOSX/4.jpg")
    (tmp_path / "cans/Thumbs.db").write_bytes(b"x")
    (tmp_path / "cans/notes.txt").write_text("x")
    photos, ignored = find_photos(tmp_path)
    assert photos == [("cans", "1.jpg")]
    assert {i.path: i.reason for i in ignored} == {
        ".ipynb_checkpoints": "hidden",
        "__MACOSX": "a system file",
        "cans/.2.jpg": "hidden",
        "cans/Thumbs.db": "a system file",
        "cans/notes.txt": "not a photo",
    }


def test_photo_without_suffix(tmp_path):
    """A file with another name is a photo when its content is one."""
    write_photo(tmp_path / "cans/IMG_1")
    write_photo(tmp_path / "cans/1.jpg.part")
    assert len(find_photos(tmp_path)[0]) == 2


def test_linked_folder(tmp_path):
    """A link to a folder is followed, and a link into a circle ends."""
    write_photos(tmp_path / "elsewhere", "1.jpg")
    root = write_photos(tmp_path / "root", "paper/1.jpg")
    (root / "cans").symlink_to(tmp_path / "elsewhere")
    (root / "paper/loop").symlink_to(root)
    photos, ignored = find_photos(root)
    assert photos == [("cans", "1.jpg"), ("paper", "1.jpg")]
    assert [i.path for i in ignored] == ["paper/loop"]


@pytest.mark.skipif(os.name != "posix", reason="other systems have no such names")
def test_odd_names(tmp_path):
    """A file name that is not text is read like any other."""
    folder = write_photos(tmp_path, "cans/1.jpg") / "cans"
    (folder / os.fsdecode(b"caf\xe9.jpg")).write_bytes((folder / "1.jpg").read_bytes())
    assert len(find_photos(tmp_path)[0]) == 2
