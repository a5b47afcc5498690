"""What folders say of the photos in them."""

from __future__ import annotations

import os

import pytest
from tests.dataset.folders import write_photo, write_photos

from binsight.dataset import scan
from binsight.dataset.folder import find_photos
from binsight.dataset.layout import place_photos
from binsight.errors import DatasetError
from binsight.taxonomy import builtin_taxonomy


def placed(*paths, taxonomy=None):
    """Split, biodegradable and class of each path in a class folder; the other paths."""
    found = place_photos([tuple(p.split("/")) for p in paths], taxonomy, where="here")
    return [(p.split, p.biodegradable, p.class_name) for p in found.placed], [i.path for i in found.loose]


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


@pytest.mark.parametrize("folder", ["train_images", "images-train", "TrainSet", "train2017", "trn"])
def test_split_folders_with_more_in_their_names(folder):
    """What people add to the name of a split is understood; the wrapping of a detector's set too."""
    assert placed(f"{folder}/cans/1.jpg", "Test/cans/2.jpg")[0] == [("train", None, "cans"), ("test", None, "cans")]
    assert placed(f"{folder}/images/cans/1.jpg")[0] == [("train", None, "cans")]
    assert placed(f"{folder}/{folder}/cans/1.jpg")[0] == [("train", None, "cans")]


def test_splits_below_the_classes():
    """Splits may lie below the classes, spelled in any way, also with folders above the classes."""
    paths = ("cans/Training/1.jpg", "cans/test/2.jpg", "paper/train/a/3.jpg", "paper/valid/4.jpg")
    assert placed(*paths)[0] == [
        ("train", None, "cans"),
        ("test", None, "cans"),
        ("train", None, "paper"),
        ("val", None, "paper"),
    ]
    assert placed("biodegradable/leaf/train/1.jpg", "biodegradable/peel/test/2.jpg")[0] == [
        ("train", True, "leaf"),
        ("test", True, "peel"),
    ]


@pytest.mark.parametrize(
    "paths",
    [
        ("train_1/cans/1.jpg", "train_2/cans/2.jpg"),
        ("fold1/cans/1.jpg", "fold2/cans/2.jpg"),
        ("train/cans/1.jpg", "eval/cans/2.jpg"),
        ("TrainVal/cans/1.jpg", "Holdout/cans/2.jpg"),
        ("seg_train/cans/1.jpg", "seg_test/cans/2.jpg", "seg_pred/3.jpg"),
        ("cans/train/1.jpg", "cans/test/2.jpg", "paper/3.jpg"),
        ("cans/train/1.jpg", "cans/eval/2.jpg", "paper/train/3.jpg"),
        ("cans/1.jpg", "cans/test/2.jpg", "paper/3.jpg"),
    ],
)
def test_what_may_be_splits(paths):
    """Folders that look like splits, and of which nobody can say which, are asked about and never classes."""
    with pytest.raises(DatasetError, match=r"are these splits\?"):
        placed(*paths)


@pytest.mark.parametrize(
    ("paths", "classes"),
    [
        (("toys/train/1.jpg", "toys/car/2.jpg", "cans/3.jpg"), {"toys", "cans"}),
        (("contest/1.jpg", "strainer/2.jpg"), {"contest", "strainer"}),
        (("test strips/1.jpg", "gloves/2.jpg"), {"test strips", "gloves"}),
        (("test strips/1.jpg", "test tubes/2.jpg", "gloves/3.jpg"), {"test strips", "test tubes", "gloves"}),
    ],
)
def test_what_are_no_splits(paths, classes):
    """A class that only has such a word in its name, or one such folder below it, is a class."""
    assert {c for _, _, c in placed(*paths)[0]} == classes


def test_two_names_for_one_split():
    """Folders that are taken for one split are named."""
    found = place_photos([("val", "a", "1"), ("valid", "a", "2")], None, where="here")
    assert found.notes == ("val, valid are taken for one split, val",)


def test_same_folders_below_every_class():
    """Where the same folders lie below all classes, the classes may be something else: a note says what was taken."""
    paths = [(site, name, f"{name}.jpg") for site in ("hall", "yard") for name in ("cans", "paper")]
    found = place_photos(paths, None, where="here")
    assert {p.class_name for p in found.placed} == {"hall", "yard"}
    assert found.notes == (
        "below each of hall, yard lie the same folders (cans, paper); the upper ones are the classes",
    )


def test_loose_photos_are_counted():
    """Photos in no class folder cannot be used, and a note says so."""
    found = place_photos([("cans", "1.jpg"), ("2.jpg",)], None, where="here")
    assert found.notes == ("1 photos in no class folder cannot be used: 2.jpg",)


@pytest.mark.parametrize("paths", [(), ("1.jpg",)])
def test_nothing(paths):
    """A folder without class folders is refused with the layout that was expected."""
    with pytest.raises(DatasetError, match=r"expected photos in .*<class>/"):
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


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="other systems have no such files")
@pytest.mark.parametrize("name", ["pipe", "pipe.jpg"])
def test_pipes(tmp_path, name):
    """A pipe, socket or device is never opened, whatever its name, but listed."""
    write_photos(tmp_path, "cans/1.jpg")
    os.mkfifo(tmp_path / "cans" / name)
    photos, ignored = find_photos(tmp_path)
    assert photos == [("cans", "1.jpg")]
    assert [(i.path, i.reason) for i in ignored] == [(f"cans/{name}", "a pipe, socket or device")]


def test_unreadable_folder(tmp_path, monkeypatch):
    """A folder that cannot be read is listed, and the others are searched; the data set says so."""
    write_photos(tmp_path, "cans/1.jpg", "cans/locked/2.jpg", "paper/3.jpg")
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    found = scan(tmp_path)
    assert len(found) == 2
    assert [(i.path, i.hides_photos) for i in found.ignored] == [("cans/locked", True)]
    assert found.notes == ("cans/locked: cannot read this folder: Permission denied; what is in it is missing",)


def test_folders_without_photos(tmp_path):
    """A class folder without photos is named: somebody meant it to be a class."""
    write_photos(tmp_path, "cans/1.jpg", "paper/2.jpg")
    (tmp_path / "wood/deep").mkdir(parents=True)
    found = scan(tmp_path)
    assert found.notes == ("no photos in wood",)


@pytest.mark.skipif(os.name != "posix", reason="other systems have no such names")
def test_odd_names(tmp_path):
    """A file name that is not text is read like any other."""
    folder = write_photos(tmp_path, "cans/1.jpg") / "cans"
    (folder / os.fsdecode(b"caf\xe9.jpg")).write_bytes((folder / "1.jpg").read_bytes())
    assert len(find_photos(tmp_path)[0]) == 2
