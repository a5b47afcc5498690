"""Which public sets there are."""

from __future__ import annotations

import pytest

from binsight.dataset.catalog import Catalogue
from binsight.errors import DatasetError
from binsight.taxonomy import builtin_taxonomy

ONE = """
[[sets]]
name = "one"
title = "One"
home = "https://example.org"
licence = "MIT"
classes = {"Tin can" = "metal_cans"}
files = [{name = "a.zip", urls = ["https://example.org/a.zip"], bytes = 10}]
"""


def test_builtin():
    """The catalogue of the package is sound, names its sources and licences, and maps to classes of waste8 only."""
    sets = Catalogue.builtin().sets
    assert list(sets) == ["waste-segregation", "trashnet", "realwaste", "garbage-v2", "taco"]
    for found in sets.values():
        assert set(found.classes.values()) <= set(builtin_taxonomy().ids)
        assert found.home.startswith("https://")
        assert found.licence
        assert all(url.startswith("https://") for file in found.files for url in file.urls)


def test_original_course_set():
    """The set of the original course project has the eight classes as they are."""
    found = Catalogue.builtin().find("waste-segregation")
    assert found.kaggle == "aashidutt3/waste-segregation-image-dataset"
    assert dict(found.classes) == {name: name for name in builtin_taxonomy().ids}


def test_own_catalogue():
    """A catalogue of one's own is read the same way; class names are matched loosely."""
    found = Catalogue.from_toml(ONE).find("one")
    assert (found.download_bytes, found.files[0].urls) == (10, ("https://example.org/a.zip",))
    assert (found.to_waste8("tin-can"), found.to_waste8("glass")) == ("metal_cans", None)


def test_unknown():
    """A set that is not there is refused with one that is nearly called so, or with all."""
    with pytest.raises(DatasetError, match="did you mean trashnet"):
        Catalogue.builtin().find("TrashNets")
    with pytest.raises(DatasetError, match="there are waste-segregation, trashnet"):
        Catalogue.builtin().find("xyz")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("[[sets]]", "[sets]"), "expected an array of tables"),
        (('licence = "MIT"', ""), "licence must be a text"),
        (('licence = "MIT"', 'licence = "MIT"\nlicense = "MIT"'), "unknown key license"),
        (("https://example.org/a.zip", "file:///etc/passwd"), "expected http or https"),
        (('"a.zip"', '"../a.zip"'), "plain file name"),
        (('"a.zip"', '"nul.zip"'), "plain file name"),
        (('licence = "MIT"', 'licence = "MIT"\nfolders = ["../.."]'), "folders '../..': expected a path below"),
        (('licence = "MIT"', 'licence = "MIT"\nonly = ["/home"]'), "only '/home': expected a path below"),
        (('licence = "MIT"', 'licence = "MIT"\ncrops = "../c.json"'), "crops '../c.json': expected a path below"),
        (('"a.zip"', '"a.exe"'), "expected one of .zip"),
        (("bytes = 10", 'sha256 = "abc"'), "64 hexadecimal digits"),
        (("files = [", 'kaggle = "a/b"\nfiles = ['), "either kaggle or files"),
        (("[[sets]]", f"{ONE}[[sets]]"), "'one' occurs twice"),
        (("=", "= ="), "not valid TOML"),
    ],
)
def test_malformed(change, message):
    """A malformed catalogue is refused with what is wrong."""
    with pytest.raises(DatasetError, match=message):
        Catalogue.from_toml(ONE.replace(*change))
