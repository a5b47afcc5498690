"""A taxonomy says what the classes mean, and refuses what makes no sense."""

from __future__ import annotations

import json
import time
import tomllib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from binsight.errors import TaxonomyError
from binsight.taxonomy import Taxonomy, WasteClass, builtin_taxonomy

PROFILE = settings(derandomize=True, database=None, deadline=None, max_examples=100)
TOML = """
name = "two"

[[classes]]
id = "metal_cans"
title = "Metal cans"
biodegradable = false
stream = "recycling"
advice = "Rinse, leave the lid inside."

[[classes]]
id = "leaf_waste"
title = "Leaves"
biodegradable = true
stream = "compost"
"""


def tables(count=2, **changes):
    """Plain data of `count` good classes; `changes` go into the first of them, `...` takes a key out."""
    classes = [{"id": f"class_{i}", "title": f"Class {i}", "biodegradable": True, "stream": "s"} for i in range(count)]
    classes[0] = {key: value for key, value in (classes[0] | changes).items() if value is not ...}
    return {"name": "t", "classes": classes}


def refusal(data):
    """The message with which plain data are refused."""
    with pytest.raises(TaxonomyError) as caught:
        Taxonomy.from_dict(data)
    return str(caught.value)


class TestBuiltin:
    def test_waste8(self):
        """The built-in taxonomy has its eight classes in the order of the data set's folders."""
        taxonomy = builtin_taxonomy()
        assert taxonomy.name == "waste8"
        assert len(taxonomy) == 8
        assert taxonomy.ids == (
            "ewaste",
            "food_waste",
            "leaf_waste",
            "metal_cans",
            "paper_waste",
            "plastic_bags",
            "plastic_bottles",
            "wood_waste",
        )

    def test_biodegradable(self):
        """Food, leaves, paper and wood are biodegradable, the others are not."""
        taxonomy = builtin_taxonomy("waste8")
        assert taxonomy.has_biodegradability
        assert taxonomy.biodegradable_mask == (False, True, True, False, True, False, False, True)

    def test_complete(self):
        """Every class has a title, a stream and an advice that ends as a sentence."""
        for c in builtin_taxonomy().classes:
            assert c.title
            assert c.stream in {"recycling", "compost", "e-waste", "landfill"}
            assert c.advice.endswith(".")

    @pytest.mark.parametrize("name", ["waste9", "", "../waste8", "waste8.toml", "WASTE8"])
    def test_unknown(self, name):
        """A name that is not built in is refused, with those that are."""
        with pytest.raises(TaxonomyError, match=r"no built-in taxonomy .*; there is materials, waste8"):
            builtin_taxonomy(name)


class TestReading:
    def test_toml(self):
        """TOML is read class by class, in order; advice may be left out."""
        assert Taxonomy.from_toml(TOML) == Taxonomy(
            "two",
            (
                WasteClass("metal_cans", "Metal cans", False, "recycling", "Rinse, leave the lid inside."),
                WasteClass("leaf_waste", "Leaves", True, "compost", ""),
            ),
        )

    def test_index(self):
        """A class's index is its position; an unknown class is refused with those there are."""
        taxonomy = Taxonomy.from_toml(TOML)
        assert [taxonomy.index(class_id) for class_id in taxonomy.ids] == [0, 1]
        with pytest.raises(TaxonomyError, match="no class 'glass' in 'two'; it has metal_cans, leaf_waste"):
            taxonomy.index("glass")

    def test_open(self):
        """A taxonomy may leave biodegradability open, for all of its classes."""
        data = tables(2, biodegradable=...)
        del data["classes"][1]["biodegradable"]
        taxonomy = Taxonomy.from_dict(data)
        assert not taxonomy.has_biodegradability
        assert taxonomy.biodegradable_mask == (False, False)
        assert "biodegradable" not in taxonomy.to_toml()
        assert taxonomy.to_dict()["classes"][0]["biodegradable"] is None

    printable = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=12).map(
        "two words: {}".format
    )
    ids = st.text("abcxyzABC019_-é犬 .", max_size=12).map("x{}x".format)

    @given(
        printable,
        st.lists(ids, min_size=2, max_size=5, unique_by=str.casefold),
        st.lists(st.tuples(printable, st.booleans(), printable, st.just("") | printable), min_size=5, max_size=5),
        st.booleans(),
    )
    @PROFILE
    def test_round_trip(self, name, ids, values, is_open):
        """Any taxonomy survives TOML and JSON."""
        classes = tuple(
            WasteClass(class_id, title, None if is_open else biodegradable, stream, advice)
            for class_id, (title, biodegradable, stream, advice) in zip(ids, values, strict=False)
        )
        taxonomy = Taxonomy(name, classes)
        assert Taxonomy.from_toml(taxonomy.to_toml()) == taxonomy
        assert Taxonomy.from_dict(json.loads(json.dumps(taxonomy.to_dict()))) == taxonomy


class TestFaults:
    def test_all_together(self):
        """Every fault is reported at once, with the class it is in."""
        data = tables(4, id="a/b", title="", biodegradable="yes", colour="red") | {"version": 2, "name": ""}
        data["classes"][1] = {"id": "Leaf", "stream": 7}
        data["classes"][2] = {"id": "leaf", "title": "x", "stream": "s", "advice": "two\nlines", "biodegradable": True}
        assert refusal(data) == (
            "taxonomy '': unknown keys version; known are name, classes; expected a name; "
            "class 1: unknown keys colour; known are id, title, biodegradable, stream, advice; "
            "class 1: title must be one line of text of 1 to 1000 characters; "
            "class 1: id 'a/b' must be usable as a folder name; "
            "class 1: biodegradable must be true, false or left out; "
            "class 2: missing title; "
            "class 2: stream must be one line of text of 1 to 1000 characters; "
            "class 3: advice must be one line of text of at most 1000 characters; "
            "class ids must differ in more than upper and lower case: leaf; "
            "say biodegradable = true or false for every class, or leave it out for all"
        )

    @pytest.mark.parametrize(
        "class_id",
        [
            *("", " ", ".", "..", ".git", "a.", " a", "a ", "a/b", "a\\b", "c:", "a*", "a?", 'a"', "a<b", "a>b", "a|b"),
            *("a\nb", "a\x00", "a\u202eb", "\ud800", "CON", "nul", "com1.txt", "Lpt9", "x" * 201, "é" * 101),
        ],
    )
    def test_folder_names(self, class_id):
        """An id that some operating system does not take as a folder name is refused."""
        assert "must be usable as a folder name" in refusal(tables(2, id=class_id))

    @pytest.mark.parametrize("class_id", ["a", "a b", "a.b", "-a", "conic", "com10", "犬", "x" * 200, "é" * 100])
    def test_good_folder_names(self, class_id):
        """Spaces and dots inside, and letters of any language, are allowed."""
        assert Taxonomy.from_dict(tables(2, id=class_id)).ids[0] == class_id

    @pytest.mark.parametrize("other", ["Class_1", "CLASS_1", "class_1"])
    def test_same_but_for_case(self, other):
        """Ids that differ only by case would be one folder on some systems, and are refused."""
        assert "upper and lower case: class_1" in refusal(tables(3, id=other))

    def test_same_but_for_encoding(self):
        """An accent may be written in two ways; that makes no two ids either."""
        data = tables(2, id="caf\u00e9")
        data["classes"][1]["id"] = "cafe\u0301"
        assert "must differ" in refusal(data)

    @pytest.mark.parametrize("is_open", [..., None])
    def test_partly_open(self, is_open):
        """Biodegradability is said for all classes or for none."""
        assert "for every class, or leave it out for all" in refusal(tables(3, biodegradable=is_open))

    @pytest.mark.parametrize("key", ["id", "title", "stream"])
    def test_missing(self, key):
        """A missing key is named, once."""
        assert refusal(tables(2, **{key: ...})) == f"taxonomy 't': class 1: missing {key}"

    @pytest.mark.parametrize(
        ("key", "value"),
        [("biodegradable", v) for v in (1, 0, "true", [], {}, 0.0)]
        + [(key, v) for key in ("id", "title", "stream", "advice") for v in (5, True, [], {}, 1.5, ["x"], "a\tb")]
        + [("title", " "), ("stream", ""), ("title", "x" * 1001), ("advice", "x" * 1001)],
    )
    def test_wrong_types(self, key, value):
        """A value of a wrong type is refused with its class and key, and with nothing else."""
        message = refusal(tables(2, **{key: value}))
        assert message.startswith(f"taxonomy 't': class 1: {key} ")
        assert "; " not in message

    @pytest.mark.parametrize("name", [None, 5, "", "  ", [], {}, "a\nb", True])
    def test_wrong_name(self, name):
        """A name that is none is refused."""
        assert "expected a name" in refusal(tables() | {"name": name})

    def test_no_name(self):
        """A missing name is refused."""
        assert refusal({"classes": tables()["classes"]}) == "taxonomy None: expected a name"

    @pytest.mark.parametrize("classes", [None, 1, "abc", {}, {"id": "a"}, [1], [tables()["classes"][0], None], [[]]])
    def test_wrong_classes(self, classes):
        """Classes that are no array of tables are refused."""
        assert refusal({"name": "t", "classes": classes}) == "taxonomy 't': expected an array of tables [[classes]]"

    @pytest.mark.parametrize("data", [None, [], "name", 5])
    def test_no_table(self, data):
        """What is no table at all is refused, with its type."""
        assert refusal(data) == f"taxonomy: expected a table with name and classes, got {type(data).__name__}"

    def test_odd_keys(self):
        """Keys that are no texts are unknown keys."""
        assert "unknown keys 1, None" in refusal({1: 2, None: 3, **tables()})

    @pytest.mark.parametrize("count", [1, 1001])
    def test_number_of_classes(self, count):
        """Fewer than 2 and more than 1,000 classes are refused."""
        assert f"expected 2 to 1000 classes, got {count}" in refusal(tables(count))

    def test_no_classes(self):
        """An empty array is too few classes, not an index out of range."""
        assert refusal({"name": "t", "classes": []}) == "taxonomy 't': expected 2 to 1000 classes, got 0"

    def test_many_classes(self):
        """Very many classes are refused quickly, and with a short message."""
        started = time.monotonic()
        assert len(refusal(tables(20_000))) < 200
        assert time.monotonic() - started < 5

    def test_largest(self):
        """A thousand classes are fine."""
        assert len(Taxonomy.from_dict(tables(1000))) == 1000

    def test_built_by_hand(self):
        """Taxonomies built in code are checked like those that are read."""
        good = WasteClass("a", "A", True, "s")
        with pytest.raises(TaxonomyError, match="class 2: id '' must be usable"):
            Taxonomy("t", (good, WasteClass("", "B", True, "s")))
        with pytest.raises(TaxonomyError, match="expected 2 to 1000 classes, got 1"):
            Taxonomy("t", (good,))


class TestHostileToml:
    @pytest.mark.parametrize(
        "text",
        [
            "name = ",
            "\x00",
            "name = 1\nname = 2",
            "name = " + "9" * 5000,
            "name = " + "[" * 5000,
            "name = " + "{a = " * 5000,
            "name = 9999-99-99",
        ],
    )
    def test_not_toml(self, text):
        """What is not TOML, or only in name, is refused."""
        with pytest.raises(TaxonomyError, match="not valid TOML"):
            Taxonomy.from_toml(text)

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "classes = 1",
            "name = 'x'",
            "name = 1979-05-27\nclasses = []",
            "name = 'x'\n[classes]\nid = 'a'",
            "name = 'x'\n[[classes]]\nid = inf\ntitle = nan\nstream = 07:32:00\n[[classes]]\nid = 'b'",
            "[[name]]\n[[classes]]\n[[classes.id]]\n[[classes]]",
        ],
    )
    def test_not_a_taxonomy(self, text):
        """TOML that is no taxonomy is refused."""
        assert tomllib.loads(text) is not None
        with pytest.raises(TaxonomyError):
            Taxonomy.from_toml(text)

    json_values = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["id", "title", "x"]), inner),
        max_leaves=8,
    )
    json_classes = st.lists(
        json_values
        | st.dictionaries(st.sampled_from(["id", "title", "biodegradable", "stream", "advice", "x"]), json_values),
        max_size=4,
    )

    @given(st.dictionaries(st.sampled_from(["name", "classes", "x"]), json_values | json_classes) | json_values)
    @PROFILE
    def test_any_json(self, data):
        """Plain data of any kind become a taxonomy or a `TaxonomyError`."""
        assert isinstance(_taxonomy_or_error(data), (Taxonomy, TaxonomyError))


def _taxonomy_or_error(data):
    try:
        return Taxonomy.from_dict(data)
    except TaxonomyError as error:
        return error
