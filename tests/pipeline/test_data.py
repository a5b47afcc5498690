"""From a table of photos to the splits of a training."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from PIL import Image
from tests.dataset.duplicates.pictures import picture
from tests.pipeline.tiny import make_photos

from binsight.dataset import scan
from binsight.errors import DatasetError, InputError, LeakageError, SettingsError, TaxonomyError
from binsight.pipeline.config import DataConfig, TrainConfig
from binsight.pipeline.data import open_taxonomy, prepare_data
from binsight.pipeline.work import Work
from binsight.taxonomy import Taxonomy, WasteClass


@pytest.fixture
def prepare(tmp_path, reporter):
    """Prepares a folder, in a work folder of the test's own."""

    def run(root, *, taxonomy=None, resume=False, **settings):
        config = DataConfig(**{"val": 0.2, "test": 0.15} | settings)
        work = Work.open(tmp_path / "work", resume=resume, overwrite=not resume)
        return prepare_data(scan(root, taxonomy=taxonomy), config, seed=0, work=work, reporter=reporter)

    return run


def test_photos_without_split_are_divided(photos, prepare):
    """Every photo is in one split, each class in the shares asked for."""
    data = prepare(photos)
    assert {name: len(split) for name, split in data.splits.items()} == {"train": 39, "val": 12, "test": 9}
    every = [path for split in data.splits.values() for path in split.paths]
    assert len(set(every)) == 60
    assert np.bincount(data.splits["val"].labels).tolist() == [4, 4, 4]
    assert data.record["split"].startswith("val 0.2, test 0.15")


def test_given_splits_are_kept(tmp_path, prepare):
    """Train, val and test as the folders say."""
    for i, (split, each) in enumerate((("train", 6), ("val", 5), ("test", 4))):
        make_photos(tmp_path / "photos", each=each, split=split, start=100 * i)
    data = prepare(tmp_path / "photos")
    assert {name: len(split) for name, split in data.splits.items()} == {"train": 18, "val": 15, "test": 12}
    assert data.record["split"] == "as given"


def test_val_is_taken_out_of_train_where_there_is_none(tmp_path, prepare):
    """The test split stays what it was."""
    make_photos(tmp_path / "photos", each=20, split="train")
    make_photos(tmp_path / "photos", each=3, split="test", start=100)
    data = prepare(tmp_path / "photos")
    assert {name: len(split) for name, split in data.splits.items()} == {"train": 48, "val": 12, "test": 9}


def test_a_split_without_train_is_refused(tmp_path, prepare):
    """There would be nothing to learn from."""
    make_photos(tmp_path / "photos", each=5, split="test")
    with pytest.raises(DatasetError, match="expected a split train, got test"):
        prepare(tmp_path / "photos")


def test_photos_in_other_splits_are_counted_aloud(tmp_path, prepare, reporter):
    """Photos in no split, or in one that is not used, are left out, and a line says how many."""
    root = make_photos(tmp_path / "photos", each=20)
    splits = ["train"] * 28 + ["VALIDATE"] * 12 + ["UNASSIGNED"] * 15 + [""] * 5
    files = sorted(path.relative_to(root).as_posix() for path in root.rglob("*.png"))
    files = [files[20 * (i % 3) + i // 3] for i in range(60)]
    rows = [f"{file},{file.split('/')[0]},{split}" for file, split in zip(files, splits, strict=True)]
    (root / "m.csv").write_text("\n".join(["path,class,split", *rows]))
    data = prepare(root / "m.csv")
    assert {name: len(split) for name, split in data.splits.items()} == {"train": 28, "val": 12}
    line = "20 photos are not used, for they are not in train, val, test: 15 in UNASSIGNED, 5 in no split"
    assert line in reporter.lines


def test_thin_classes_are_named(tmp_path, prepare, reporter):
    """Classes with few photos or none in a split are named, with their number."""
    make_photos(tmp_path / "photos", each=12, split="train")
    make_photos(tmp_path / "photos", each=12, split="val", start=100)
    for number, path in enumerate(sorted((tmp_path / "photos/val/red").iterdir())):
        if number >= 2:
            path.unlink()
    shutil.rmtree(tmp_path / "photos/val/green")
    prepare(tmp_path / "photos")
    (line,) = (text for text in reporter.lines if text.startswith("few photos"))
    assert line == "few photos to learn from or to judge by: val: green none, red 2"


def test_copies_stay_on_one_side_and_share_a_group(tmp_path, prepare):
    """Each photo twice, the second time brighter: never one in train and one in val."""
    root = make_photos(tmp_path / "photos")
    for path in list(root.rglob("*.png")):
        pixels = np.asarray(Image.open(path)).astype(float) * 1.1
        Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(path.with_name(f"copy-{path.name}"))
    data = prepare(root)
    groups = {name: set(split.groups.tolist()) for name, split in data.splits.items()}
    assert not groups["train"] & (groups["val"] | groups["test"])
    assert len(groups["train"]) < len(data.splits["train"])


def test_leakage_stops_it(tmp_path, prepare):
    """With what to do about it; and when it is allowed, it is on record."""
    root = tmp_path / "photos"
    for i, split in enumerate(("train", "val")):
        make_photos(root, each=5, split=split, start=100 * i)
    shutil.copy(root / "train" / "red" / "0.png", root / "val" / "red" / "leak.png")
    with pytest.raises(LeakageError, match=r"copies on both sides .*--resplit, or pass --allow-leakage"):
        prepare(root)
    data = prepare(root, allow_leakage=True, resume=True)
    assert len(data.record["leakage"]) == 1
    assert len(data.splits["val"]) == 16


def test_unreadable_photos_are_left_out_and_listed(tmp_path, prepare, reporter):
    """One without a picture, and one cut off behind a sound header."""
    root = make_photos(tmp_path / "photos")
    (root / "red" / "no.png").write_bytes(b"not a picture")
    whole = (root / "red" / "0.png").read_bytes()
    (root / "red" / "cut.png").write_bytes(whole[: len(whole) // 2])
    data = prepare(root)
    assert sorted(entry["path"] for entry in data.record["left_out"]) == ["red/cut.png", "red/no.png"]
    assert sum(len(split) for split in data.splits.values()) == 60
    assert any("2 photos cannot be read" in line and "red/cut.png" in line for line in reporter.lines)


def test_a_taxonomy_is_made_where_there_is_none(photos, prepare):
    """What is biodegradable is left open."""
    data = prepare(photos)
    assert data.is_open
    assert data.taxonomy.ids == ("blue", "green", "red")
    assert not data.taxonomy.has_biodegradability
    assert data.mask is None
    assert data.labelled("train").biodegradable is None


def test_folders_may_say_what_is_biodegradable(tmp_path, prepare):
    """Then it is known."""
    root = tmp_path / "photos"
    make_photos(root)
    (root / "biodegradable").mkdir()
    (root / "non_biodegradable").mkdir()
    (root / "green").rename(root / "biodegradable" / "green")
    for name in ("red", "blue"):
        (root / name).rename(root / "non_biodegradable" / name)
    assert open_taxonomy(scan(root)).biodegradable_mask == (False, True, False)
    data = prepare(root)
    assert data.labelled("val").biodegradable.sum() == 4


def test_a_given_taxonomy_decides_the_order_and_lacks_nothing(photos, prepare, reporter):
    """A class without photos is left out, and that is said."""
    classes = [WasteClass(name, name.title(), name == "green", "bin") for name in ("red", "green", "violet", "blue")]
    data = prepare(photos, taxonomy=Taxonomy("mine", tuple(classes)))
    assert not data.is_open
    assert data.taxonomy.ids == ("red", "green", "blue")
    assert data.mask.tolist() == [False, True, False]
    assert any("no photos of violet" in line for line in reporter.lines)


def test_too_little_is_refused(tmp_path, prepare):
    """Photos to calibrate on, and classes to tell apart."""
    make_photos(tmp_path / "photos", each=4)
    with pytest.raises(DatasetError, match="at least 10 photos in val, got 3"):
        prepare(tmp_path / "photos")
    shutil.rmtree(tmp_path / "photos" / "red")
    shutil.rmtree(tmp_path / "photos" / "green")
    with pytest.raises(TaxonomyError, match="expected 2 to 1000 classes, got 1"):
        prepare(tmp_path / "photos")


def test_what_is_known_is_not_audited_again(photos, prepare, reporter):
    """A resumed run takes the split it had; a changed share makes another."""
    first = prepare(photos)
    stages = len(reporter.stages)
    again = prepare(photos, resume=True)
    assert len(reporter.stages) == stages
    assert again.sha256 == first.sha256
    assert prepare(photos, resume=True, val=0.3).sha256 != first.sha256
    assert len(reporter.stages) > stages


def test_the_digest_is_of_contents_classes_and_splits(tmp_path, prepare):
    """Another place changes nothing, another photo does."""
    one, two = (make_photos(tmp_path / name / "photos") for name in ("one", "two"))
    first = prepare(one).sha256
    assert prepare(two).sha256 == first
    Image.fromarray(picture(99, (48, 64))).save(two / "red" / "0.png")
    assert prepare(two).sha256 != first


def _with_copies(root):
    """Ten photos of each class in train, four in val and in test; one of train in val, one of val in test."""
    for start, (split, each) in enumerate((("train", 10), ("val", 4), ("test", 4))):
        make_photos(root, each=each, split=split, start=100 * start)
    shutil.copy(root / "train" / "red" / "0.png", root / "val" / "red" / "copy.png")
    shutil.copy(root / "val" / "blue" / "100.png", root / "test" / "blue" / "copy.png")
    return root


def test_copies_can_be_left_out_instead_of_stopping(tmp_path, prepare, reporter):
    """The photo that judges stays: that of test, then that of val."""
    root = _with_copies(tmp_path / "photos")
    with pytest.raises(LeakageError):
        prepare(root)
    data = prepare(root, leave_out_copies=True)
    assert {name: len(split) for name, split in data.splits.items()} == {"train": 29, "val": 12, "test": 13}
    names = {name: {path.name for path in split.paths} for name, split in data.splits.items()}
    assert root / "train" / "red" / "0.png" not in data.splits["train"].paths
    assert "copy.png" in names["val"] & names["test"]
    assert data.record["leakage"] == []
    assert any(line.startswith("2 photos are left out, for a copy of each") for line in reporter.lines)


def _manifest(root, rows):
    lines = [",".join(map(str, row)) for row in (("path", "class", "split", "source", "licence", "from"), *rows)]
    (root / "m.csv").write_text("\n".join(lines) + "\n")
    return root / "m.csv"


@pytest.fixture
def sources(tmp_path):
    """A manifest of 60 photos by Ann, under CC BY 4.0, and by Bob, who says nothing; train and val."""
    root = make_photos(tmp_path / "photos")
    rows = []
    for name in ("red", "green", "blue"):
        for i in range(20):
            who = ("ann", "CC BY 4.0", "Ann | Arbor") if i % 2 else ("bob", "", "")
            rows.append((f"{name}/{i}.png", name, "val" if i < 10 else "train", *who))
    return _manifest(root, rows)


def test_a_source_is_held_out_of_train_and_val(sources, prepare):
    """It is measured by itself; one that there is not is refused, with what was meant."""
    data = prepare(sources, hold_out=("bob",))
    assert {name: len(split) for name, split in data.splits.items()} == {"train": 15, "val": 15, "held out: bob": 30}
    with pytest.raises(DatasetError, match=r"no photos of the source bop in train or val; did you mean bob\?"):
        prepare(sources, hold_out=("bop", "ann"))


def test_only_photos_under_the_wanted_licences_are_used(sources, prepare, reporter):
    """The others are told; the record says whose the rest are."""
    data = prepare(sources, licences=("cc-by",))
    assert {name: len(split) for name, split in data.splits.items()} == {"train": 15, "val": 15}
    (source,) = data.record["sources"]
    assert source == {"source": "ann", "licence": "CC BY 4.0", "attribution": "Ann | Arbor", "photos": 30}
    assert any("30 of 60 photos are under cc-by; there are" in line for line in reporter.lines)
    assert data.taxonomy.ids == ("blue", "green", "red")
    with pytest.raises(DatasetError, match=r"no photo is under mit; there are 30 'not stated'; 30 'CC BY 4\.0'"):
        prepare(sources, licences=("mit",))


def test_more_photos_are_trained_on_but_for_copies_of_those_that_judge(tmp_path, photos, prepare, reporter):
    """From a folder of classes and from one of a single class; classes that the data does not have are left out."""
    more = make_photos(tmp_path / "more", each=3, start=700)
    (more / "mauve").mkdir()
    shutil.copy(more / "red" / "700.png", more / "mauve" / "0.png")
    before = prepare(photos)
    for path in (before.splits["val"].paths[0], before.splits["train"].paths[0]):
        shutil.copy(path, more / path.parent.name / f"copy-{path.name}")
    single = make_photos(tmp_path / "single", each=2, start=800)
    data = prepare(photos, also=(str(more), f"Green={single / 'red'}"))
    assert len(data.splits["train"]) == len(before.splits["train"]) + 9 + 1 + 2
    assert data.splits["val"].paths == before.splits["val"].paths
    added = dict(zip(data.splits["train"].paths, data.splits["train"].labels, strict=True))
    assert added[single / "red" / "800.png"] == data.taxonomy.index("green")
    assert any("photos of mauve are left out" in line for line in reporter.lines)
    assert any(line.startswith("1 photos are left out, for a copy") for line in reporter.lines)


@pytest.mark.parametrize(
    ("setting", "place", "error", "message"),
    [
        ("also", "none", InputError, "none"),
        ("also", "grean={root}/red", TaxonomyError, "did you mean green"),
        ("also", "{root}/mauves", TaxonomyError, "expected classes of"),
        ("outliers", "none", InputError, "no such folder of photos"),
        ("outliers", "{root}/empty", InputError, "expected photos, found none"),
    ],
)
def test_places_that_hold_nothing_are_refused(tmp_path, photos, prepare, setting, place, error, message):
    """One line that says what was expected."""
    root = make_photos(tmp_path / "root", each=1)
    (root / "empty").mkdir()
    (root / "mauves" / "mauve").mkdir(parents=True)
    shutil.copy(root / "red" / "0.png", root / "mauves" / "mauve" / "0.png")
    with pytest.raises(error, match=message):
        prepare(photos, **{setting: (place.format(root=root),)})


def test_outliers_are_kept_apart(tmp_path, photos, prepare, reporter):
    """A broken one is told and left out; they are in no split, and the data is other data."""
    root = make_photos(tmp_path / "strange", each=2, start=900)
    (root / "red" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    data, before = prepare(photos, outliers=(str(root),)), prepare(photos)
    assert len(data.strangers.learnt) == 6
    assert {name: len(split) for name, split in data.splits.items()} == {
        name: len(split) for name, split in before.splits.items()
    }
    assert data.record["photos"]["outliers"] == 6
    assert data.record["sources"][-1] == {"source": "strange", "licence": "not stated", "attribution": "", "photos": 6}
    assert data.sha256 != before.sha256
    assert any("1 photos cannot be read" in line for line in reporter.lines)


def test_a_class_without_a_photo_under_the_wanted_licences_is_not_learnt(sources, prepare, reporter):
    """Without a taxonomy too; the command says so."""
    text = sources.read_text().splitlines()
    sources.write_text("\n".join(line for line in text if not (line.startswith("red") and "CC BY" in line)) + "\n")
    data = prepare(sources, licences=("cc-by",))
    assert data.taxonomy.ids == ("blue", "green")
    assert any("no photos of red: the model will not know them" in line for line in reporter.lines)


def test_a_part_of_an_added_source_is_held_out(tmp_path, photos, prepare):
    """Half of it, always the same half; all of it without a share; a share that is none is refused."""
    more = make_photos(tmp_path / "more", each=10, start=500)
    data = prepare(photos, also=(str(more),), hold_out=("more:0.5",))
    held, train = (set(data.splits[name].paths) for name in ("held out: more", "train"))
    added = {path for path in train if more in path.parents}
    assert len(held) + len(added) == 30
    assert 5 <= len(held) <= 25
    assert not held & added
    again = prepare(photos, also=(f"red={more / 'red'}",), hold_out=("red:0.5",))
    assert set(again.splits["held out: red"].paths) == {path for path in held if path.parent.name == "red"}
    assert len(prepare(photos, also=(str(more),), hold_out=("more",)).splits["held out: more"]) == 30
    with pytest.raises(SettingsError, match="expected a share above 0, at most 1, of gd, got 2"):
        TrainConfig(data=DataConfig(hold_out=("gd:2",)))


def test_an_added_photo_that_is_held_out_yields_to_its_copy_in_val(tmp_path, prepare):
    """Val keeps its photos; the copy is not measured as somebody else's."""
    for i, (split, each) in enumerate((("train", 6), ("val", 5))):
        make_photos(tmp_path / "photos", each=each, split=split, start=100 * i)
    copy = min((tmp_path / "photos" / "val" / "red").iterdir())
    more = make_photos(tmp_path / "more", each=2, start=900)
    shutil.copy(copy, more / "red" / "copy.png")
    data = prepare(tmp_path / "photos", also=(str(more),), hold_out=("more",), leave_out_copies=True)
    assert len(data.splits["val"]) == 15
    assert len(data.splits["held out: more"]) == 6


def test_outliers_are_held_out_and_corners_added(tmp_path, photos, prepare):
    """What is held out judges; corners of photos of the classes asked for are learnt from, the same ones each time."""
    strange = make_photos(tmp_path / "glass", each=10, start=700)
    options = {"outliers": (str(strange),), "hold_out": ("glass:0.5",), "corners": 5, "corners_of": ("red",)}
    data = prepare(photos, backdrops=(str(strange),), **options)
    held = data.strangers.held["glass"]
    assert set(data.strangers.sources) == {"glass", "corners"}
    learnt = data.strangers.sources.count("glass")
    assert len(held) + learnt == 30
    assert [row["photos"] for row in data.record["sources"] if row["source"] == "glass"] == [learnt]
    assert not set(held) & {*data.strangers.learnt, *data.strangers.places}
    corners = [path for path in data.strangers.learnt if path.parent != strange and strange not in path.parents]
    assert len(corners) == 5
    pixels = [path.read_bytes() for path in corners]
    for path in corners:
        with Image.open(path) as corner:
            red, green, _ = np.asarray(corner).reshape(-1, 3).mean(axis=0)
        assert red > green
    again = prepare(photos, backdrops=(str(strange),), **options)
    assert [path.read_bytes() for path in again.strangers.learnt if path.name in {p.name for p in corners}] == pixels
    assert again.sha256 == data.sha256
    others = [prepare(photos, backdrops=(str(strange),), **options | {"corners": 6}), prepare(photos, **options)]
    assert len({data.sha256, *(other.sha256 for other in others)}) == 3


def test_outliers_may_all_be_held_out(tmp_path, photos, prepare):
    """Nothing of them is trained on, and they are measured."""
    strange = make_photos(tmp_path / "glass", each=2, start=700)
    data = prepare(photos, outliers=(str(strange),), hold_out=("glass",))
    assert data.strangers.learnt == ()
    assert len(data.strangers.held["glass"]) == 6
