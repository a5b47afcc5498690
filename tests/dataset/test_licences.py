"""Licences of photos: how they are written, and what is kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from binsight.dataset.licences import keep_licensed, licence_names, licence_of
from binsight.dataset.manifest import read_manifest
from binsight.dataset.samples import Dataset, Sample
from binsight.errors import DatasetError, SettingsError


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("CC BY 4.0", ("cc-by-4.0",)),
        ("cc_by", ("cc-by",)),
        ("Creative Commons Attribution-ShareAlike 4.0 International", ("cc-by-sa-4.0",)),
        ("CC BY-SA 3.0 DE", ("cc-by-sa-3.0-de",)),
        ("Creative Commons Attribution Non-Commercial", ("cc-by-nc",)),
        ("https://creativecommons.org/licenses/by/4.0/", ("cc-by-4.0",)),
        ("http://creativecommons.org/licenses/by-sa/4.0/deed.de", ("cc-by-sa-4.0",)),
        ("https://creativecommons.org/publicdomain/zero/1.0/", ("cc0-1.0",)),
        ("CC0 1.0 Universal", ("cc0-1.0",)),
        ("The MIT License", ("mit",)),
        ("Apache License, Version 2.0", ("apache-2.0",)),
        ("GPLv3", ("gpl-3",)),
        ("GPL-3.0+", ("gpl-3.0-or-later",)),
        ("BSD 3-Clause", ("bsd-3-clause",)),
        ("MIT OR Apache-2.0", ("mit", "apache-2.0")),
        ("MIT AND CC-BY-4.0", ()),
        ("repo MIT; photo rights unclear (web)", ()),
        ("published as MIT, mostly web photos", ()),
        ("free (DFSG: CC BY-SA / GPL)", ()),
        ("licence not stated", ()),
        ("not stated", ()),
        ("", ()),
    ],
)
def test_a_licence_is_known_in_many_spellings_and_nothing_else_is_one(text, names):
    """What only mentions a licence is none: nobody may rely on it."""
    assert licence_names(text) == names


def _dataset(**licences):
    samples = [
        Sample(f"{text}{i}.jpg", "a", extra={"licence": text} if text else {})
        for text, count in licences.items()
        for i in range(count)
    ]
    return Dataset(Path("photos"), ("a",), tuple(samples))


def test_only_photos_under_a_wanted_licence_are_kept():
    """Without a version every version will do; with one, only that; CC BY is not CC BY-SA."""
    mixed = _dataset(**{"CC BY 4.0": 3, "cc-by-3.0": 2, "CC BY-SA 4.0": 4, "MIT": 1, "ask me": 5})
    kept, (note,) = keep_licensed(mixed, ["cc-by", "mit"])
    assert {licence_of(s) for s in kept} == {"CC BY 4.0", "cc-by-3.0", "MIT"}
    assert "6 of 15 photos are under cc-by, mit" in note
    assert "5 'ask me' (none that is known)" in note
    assert {licence_of(s) for s in keep_licensed(mixed, ["CC BY 4.0"])[0]} == {"CC BY 4.0"}
    assert keep_licensed(mixed, []) == (mixed, ())


def test_nothing_left_is_refused_with_what_there_is():
    """And where nothing says a licence, with where it is to be said."""
    with pytest.raises(DatasetError, match="no photo is under cc0; there are 2 'MIT'; 1 'ask me'"):
        keep_licensed(_dataset(**{"MIT": 2, "ask me": 1}), ["cc0"])
    with pytest.raises(DatasetError, match=r"3 'not stated'; .*in the column licence"):
        keep_licensed(_dataset(**{"": 3}), ["mit"])


def test_a_wanted_licence_that_is_none_is_refused_with_what_was_meant():
    """All of them at once."""
    with pytest.raises(SettingsError, match=r"no licence 'cc-buy' is known; did you mean cc-by\?.*no licence 'mitt'"):
        keep_licensed(_dataset(MIT=1), ["cc-buy", "mitt"])


def test_a_manifest_says_it_in_either_spelling(tmp_path):
    """The column's case does not matter, as with the others."""
    for column in ("Licence", "LICENSE"):
        (tmp_path / "m.csv").write_text(f"path,class,{column}\na.jpg,a,CC0\n")
        assert licence_of(read_manifest(tmp_path / "m.csv").samples[0]) == "CC0"
