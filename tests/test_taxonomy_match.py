"""Names of classes as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from binsight.errors import TaxonomyError
from binsight.taxonomy import Taxonomy, WasteClass, builtin_taxonomy, folder_name_fault, name_key


@pytest.mark.parametrize(
    "name",
    ["ewaste", "E-waste", "e_waste", "EWASTE", " e waste ", "Electronic waste", "\uff45\uff57\uff41\uff53\uff54\uff45"],
)
def test_spelling(name):
    """Case, spaces, hyphens, underscores and width do not tell names apart, and the title counts as a name."""
    assert builtin_taxonomy().match(name) == "ewaste"


@pytest.mark.parametrize(
    ("name", "meant"), [("plastic botles", "plastic_bottles"), ("metal", "metal_cans"), ("Woodwaste2", "wood_waste")]
)
def test_suggestion(name, meant):
    """A name that is nearly one of them is refused with that one as a suggestion."""
    with pytest.raises(TaxonomyError, match=f"did you mean .*{meant}"):
        builtin_taxonomy().match(name)


def test_no_suggestion():
    """A name that is like none of them is refused with the list of all."""
    with pytest.raises(TaxonomyError, match=r"no class 'glass' in 'waste8'; it has ewaste, food_waste"):
        builtin_taxonomy().match("glass")


@pytest.mark.parametrize("name", ["", "-", "  "])
def test_empty(name):
    """A name without a letter is none."""
    with pytest.raises(TaxonomyError, match="no class"):
        builtin_taxonomy().match(name)


def test_ambiguous():
    """A name that several classes go by is refused, but each can be had by its id."""
    classes = (WasteClass("a-b", "One", None, "x"), WasteClass("a_b", "Two", None, "x"))
    taxonomy = Taxonomy("t", classes)
    with pytest.raises(TaxonomyError, match="may mean any of a-b, a_b"):
        taxonomy.match("AB")
    assert [taxonomy.match(c.id) for c in classes] == ["a-b", "a_b"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        *(("कील", "केला"), ("PP", "PP+"), ("C", "C++"), ("<5 mm", ">5 mm"), ("A-", "A"), ("1.5", "15"), ("1-5", "15")),
        *(("1 5", "15"), ("PE/PP", "PEPP"), ("glass (clear)", "glass clear"), ("#1", "1"), ("♻️", "♳"), ("5", "-5")),
    ],
)
def test_names_that_differ(one, other):
    """The marks of any script, and signs that say something, tell names apart."""
    assert name_key(one) != name_key(other)


@pytest.mark.parametrize(
    "name",
    [
        *("..", ".", "", "../x", "a/b", "/a", "a\\b", "C:", "C:x", "con", "CON.txt", "lpt1", "a ", " a", "a.", "a\0b"),
        *("a\nb", "a*", "what?", "a|b", "<b>", 'a"b'),
    ],
)
def test_no_folder_names(name):
    """A name that leads elsewhere, or that some system does not take, says why."""
    assert folder_name_fault(name)


@pytest.mark.parametrize("name", ["cans", "Métal", "कील", "PP+", "a b", "नमक\u200d", ".hidden", "console"])
def test_folder_names(name):
    """Names in any script are fine, those with joiners as well."""
    assert folder_name_fault(name) is None


@given(st.text(max_size=40))
def test_key_is_stable(text):
    """The key of a key is the key."""
    assert name_key(name_key(text)) == name_key(text)
