"""The table of a data set's photos."""

from __future__ import annotations

import hashlib
import os
import tracemalloc

import numpy as np
import pytest
from PIL import Image
from tests.dataset.folders import photo_bytes, write_photo, write_photos

from binsight.dataset import Dataset, Sample, scan
from binsight.errors import DatasetError, InputError, OutputError, TaxonomyError
from binsight.imaging import ImageLimits
from binsight.notes import Note
from binsight.taxonomy import builtin_taxonomy


@pytest.fixture
def count_reads(monkeypatch):
    """How often a photo was opened."""
    module = __import__("binsight.dataset.scan", fromlist=["inspect_photo"])
    inspect, opened = module.inspect_photo, []

    def counting(path, **options):
        opened.append(path)
        return inspect(path, **options)

    monkeypatch.setattr(module, "inspect_photo", counting)
    return opened


def test_facts(tmp_path):
    """Every photo has a row with its place, class, hash, size and format."""
    path = write_photo(tmp_path / "train/cans/1.png", size=(30, 20), form="PNG")
    (sample,) = scan(tmp_path)
    assert sample == Sample(
        "train/cans/1.png",
        "cans",
        "train",
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        width=30,
        height=20,
        format="PNG",
        bytes=path.stat().st_size,
    )


def test_upright_size(tmp_path):
    """Width and height are those of the photo as it is seen, not as it is stored."""
    exif = Image.Exif()
    exif[0x0112] = 6
    (tmp_path / "cans").mkdir()
    Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(tmp_path / "cans/1.jpg", exif=exif)
    (sample,) = scan(tmp_path)
    assert (sample.width, sample.height) == (20, 30)


@pytest.mark.parametrize("form", ["PNG", "WEBP", "BMP", "GIF", "TIFF"])
def test_formats(tmp_path, form):
    """The format is told by content, whatever the name says."""
    write_photo(tmp_path / "cans/1.jpg", form=form)
    (sample,) = scan(tmp_path)
    assert str(sample.format).upper() == form
    assert (sample.width, sample.height, sample.error) == (24, 16, None)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "empty"),
        (b"<html>", "not_an_image"),
        (photo_bytes()[:30], "truncated"),
        (b"\x89PNG\r\n\x1a\n1234", "broken"),
    ],
)
def test_unreadable(tmp_path, data, code):
    """A photo that cannot be read stays a row, with the reason."""
    write_photos(tmp_path, "cans/1.jpg")
    (tmp_path / "cans/2.jpg").write_bytes(data)
    good, bad = scan(tmp_path)
    assert good.error is None
    assert (bad.error_code, bad.bytes) == (code, len(data))
    assert bad.error


def test_damage_behind_the_header(tmp_path):
    """A truncated photo is found when it is decoded, and only then."""
    (tmp_path / "cans").mkdir()
    (tmp_path / "cans/1.jpg").write_bytes(photo_bytes(size=(200, 200))[:-2000])
    (header,), (decoded,) = scan(tmp_path), scan(tmp_path, decode=True)
    assert (header.error, header.decoded) == (None, False)
    assert (decoded.error_code, decoded.decoded, decoded.width) == ("truncated", True, 200)


def test_too_large(tmp_path):
    """A photo over the limits is a row with an error, and its hash is known all the same."""
    path = write_photo(tmp_path / "cans/1.jpg", size=(100, 100))
    by_bytes, by_pixels = (
        scan(tmp_path, limits=limits).samples[0] for limits in (ImageLimits(max_bytes=50), ImageLimits(max_pixels=50))
    )
    assert by_bytes.error_code == by_pixels.error_code == "too_large"
    assert by_bytes.sha256 == by_pixels.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_same_class_by_other_spellings(tmp_path):
    """Without a taxonomy, names that differ in case and punctuation only are one class, called as the first is."""
    write_photos(tmp_path, "train/E-waste/1.jpg", "val/e_waste/2.jpg")
    found = scan(tmp_path)
    assert found.classes == ("E-waste",)
    assert found.counts() == {("train", "E-waste"): 1, ("val", "E-waste"): 1}
    assert found.notes == ("E-waste, e_waste are taken for one class, E-waste",)


def test_names_in_other_scripts(tmp_path):
    """Names that differ in vowel signs or in a plus stay different classes."""
    write_photos(tmp_path, "कील/1.jpg", "केला/2.jpg", "PP/3.jpg", "PP+/4.jpg")
    found = scan(tmp_path)
    assert set(found.classes) == {"कील", "केला", "PP", "PP+"}
    assert found.notes == ()


def test_taxonomy(tmp_path):
    """With a taxonomy its ids are the classes, in its order."""
    write_photos(tmp_path, "Wood waste/1.jpg", "E-Waste/2.jpg")
    found = scan(tmp_path, taxonomy=builtin_taxonomy())
    assert found.classes == builtin_taxonomy().ids
    assert [found.classes[i] for i in found.labels] == ["ewaste", "wood_waste"]


def test_unknown_classes(tmp_path):
    """All folders that are no class of the taxonomy are reported at once, with what they may have meant."""
    write_photos(tmp_path, "plastc_bags/1.jpg", "glass/2.jpg", "ewaste/3.jpg")
    with pytest.raises(TaxonomyError, match=r"'glass'.*'plastc_bags'.*did you mean plastic_bags"):
        scan(tmp_path, taxonomy=builtin_taxonomy())


def test_biodegradable_folders(tmp_path):
    """What a folder above the class says of rotting is kept with the sample."""
    write_photos(tmp_path, "train/biodegradable/leaf/1.jpg", "train/non_biodegradable/can/2.jpg")
    assert [s.extra for s in scan(tmp_path)] == [{"biodegradable": "true"}, {"biodegradable": "false"}]


def test_missing(tmp_path):
    """A folder that does not exist is an input error."""
    with pytest.raises(InputError, match="no such folder or manifest"):
        scan(tmp_path / "none")


def test_progress(tmp_path):
    """Progress ends with all photos done."""
    write_photos(tmp_path, "cans/1.jpg", "cans/2.jpg")
    calls = []
    scan(tmp_path, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(0, 2), (1, 2), (2, 2)]


def test_order_and_workers(tmp_path):
    """Rows come in the order of their paths, however many threads read them."""
    write_photos(tmp_path, *(f"c{i % 3}/{i}.jpg" for i in range(40)))
    one, four = scan(tmp_path, workers=1), scan(tmp_path, workers=4)
    assert one == four
    assert [s.path.split("/") for s in one] == sorted(s.path.split("/") for s in one)


def test_cache(tmp_path, count_reads):
    """A photo that did not change is not read again."""
    write_photos(tmp_path / "data", "cans/1.jpg", "cans/2.jpg")
    first = scan(tmp_path / "data", cache=tmp_path / "deep/cache.sqlite")
    assert len(count_reads) == 2
    assert scan(tmp_path / "data", cache=tmp_path / "deep/cache.sqlite") == first
    assert len(count_reads) == 2


@pytest.mark.parametrize("change", ["bytes", "time"])
def test_cache_of_a_changed_photo(tmp_path, count_reads, change):
    """A photo with another size or time is read again."""
    path = write_photo(tmp_path / "data/cans/1.jpg")
    scan(tmp_path / "data", cache=tmp_path / "cache")
    if change == "bytes":
        status = path.stat()
        path.write_bytes(photo_bytes(7, size=(40, 40)))
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    else:
        os.utime(path, ns=(1, 1))
    (sample,) = scan(tmp_path / "data", cache=tmp_path / "cache")
    assert sample.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert len(count_reads) == 2


def test_cache_and_decoding(tmp_path, count_reads):
    """What was only looked at is decoded when that is asked for, and what was decoded is not looked at again."""
    write_photos(tmp_path / "data", "cans/1.jpg")
    cache = tmp_path / "cache"
    assert [scan(tmp_path / "data", cache=cache, decode=d).samples[0].decoded for d in (False, True, False)] == [
        False,
        True,
        True,
    ]
    assert len(count_reads) == 2


def test_cache_does_not_keep_errors(tmp_path, count_reads):
    """A photo that could not be read is tried again: the reason may be gone."""
    write_photos(tmp_path / "data", "cans/1.jpg")
    (tmp_path / "data/cans/2.jpg").write_bytes(b"")
    for _ in range(2):
        scan(tmp_path / "data", cache=tmp_path / "cache")
    assert [p.name for p in count_reads].count("2.jpg") == 2


def test_cache_and_limits(tmp_path):
    """A photo that was within other limits is checked against those that hold now."""
    write_photo(tmp_path / "data/cans/1.jpg", size=(100, 100))
    assert scan(tmp_path / "data", cache=tmp_path / "cache").samples[0].error is None
    strict = scan(tmp_path / "data", cache=tmp_path / "cache", limits=ImageLimits(max_pixels=50))
    assert strict.samples[0].error_code == "too_large"


def test_foreign_file_as_cache(tmp_path):
    """A file that is no cache is refused in one line and stays what it was."""
    write_photos(tmp_path / "data", "cans/1.jpg")
    mine = tmp_path / "thesis.txt"
    mine.write_bytes(b"not a database" * 100)
    with pytest.raises(OutputError, match=r"thesis\.txt is no cache of binsight and is left as it is"):
        scan(tmp_path / "data", cache=mine)
    assert mine.read_bytes() == b"not a database" * 100


def test_unusable_cache(tmp_path):
    """A cache that cannot be made is a warning, and the photos are scanned."""
    write_photos(tmp_path / "data", "cans/1.jpg")
    with pytest.warns(Note, match="going on without the cache"):
        found = scan(tmp_path / "data", cache=tmp_path / "data/cans/1.jpg/cache")
    assert [s.error for s in found] == [None]


def test_memory(tmp_path):
    """Pixels are not kept: many large photos need no more memory than few."""
    data = photo_bytes(size=(600, 600), form="BMP")  # a megabyte each
    (tmp_path / "cans").mkdir()
    for i in range(30):
        (tmp_path / f"cans/{i}.bmp").write_bytes(data)
    tracemalloc.start()
    scan(tmp_path, workers=1, decode=True)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8_000_000


def test_dataset_views(tmp_path):
    """A data set can be filtered by split, soundness and position."""
    write_photos(tmp_path, "train/cans/1.jpg", "val/cans/2.jpg", "test/cans/3.jpg")
    (tmp_path / "val/cans/4.jpg").write_bytes(b"")
    found = scan(tmp_path)
    assert found.splits == ("train", "val", "test")
    assert len(found.in_split("val")) == 2
    assert len(found.sound()) == 3
    assert [s.path for s in found.take([2, 0])] == [found.samples[2].path, found.samples[0].path]
    assert found.file(found.samples[0]).is_file()


def test_dataset_checks_its_classes(tmp_path):
    """A data set with a sample of a class that it does not have cannot be made."""
    with pytest.raises(DatasetError, match="unknown classes b"):
        Dataset(tmp_path, ("a",), (Sample("1.jpg", "b"),))
