"""JSON that means the same to everyone."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from binsight.bundle.strict_json import encode_object, expect_object, parse_object
from binsight.errors import BundleError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


def test_object_is_read() -> None:
    """An object comes out as a dict, keys in their order."""
    assert list(parse_object(b'{"b": 1, "a": [true, null, "\xc3\xa9"]}', file="x").items()) == [
        ("b", 1),
        ("a", [True, None, "é"]),
    ]


@given(st.dictionaries(st.text(), JSON, max_size=4))
def test_what_is_written_is_read_back(value: dict[str, object]) -> None:
    """Any object of JSON values survives writing and reading."""
    assert parse_object(encode_object(value, file="x"), file="x") == value


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"", "Expecting value"),
        (b"{", "Expecting property name"),
        (b'{"a": 1} x', "Extra data"),
        (b'{"a": 1, "a": 1}', "'a' appears twice"),
        (b'{"a": [{"b": 1, "b": 2}]}', "'b' appears twice"),
        (b'{"a": 1, "\\u0061": 2}', "'a' appears twice"),
        (b'{"a": NaN}', "NaN is not a number"),
        (b'{"a": Infinity}', "Infinity is not a number"),
        (b'{"a": -Infinity}', "-Infinity is not a number"),
        (b'{"a": 1e999}', "1e999 is too large"),
        (b'{"a": 1' + b"0" * 400 + b"}", "is too large a number"),
        (b'{"a": 1' + b"0" * 9000 + b"}", "too large"),
        (b'{"a": "\xff"}', "utf-8"),
        (b'{"a": "\\ud800"}', "surrogates"),
        (b'{"\\ud800": 1}', "surrogates"),
        (b'\xef\xbb\xbf{"a": 1}', "BOM"),
        (b'{"a": 1}'.decode().encode("utf-16"), "utf-8"),
        (b'{"a": "\x01"}', "Invalid control character"),
        (b'{"a": ' + b"[" * 60 + b"]" * 60 + b"}", "nested deeper than 50"),
        (b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "recursion"),
    ],
)
def test_loose_ends_are_refused(data: bytes, fault: str) -> None:
    """Text that is not JSON, or that two readers could understand differently, is refused with the reason."""
    with pytest.raises(BundleError, match=r"^x: not valid JSON: ") as caught:
        parse_object(data, file="x")
    assert fault in str(caught.value)


@pytest.mark.parametrize("value", [[], "text", 3, None, True])
def test_anything_but_an_object_is_refused(value: object) -> None:
    """A file that holds another JSON value than an object is refused, and the value shown."""
    with pytest.raises(BundleError, match="expected an object") as caught:
        parse_object(json.dumps(value).encode(), file="x")
    assert json.dumps(value) in str(caught.value)


@pytest.mark.parametrize(
    "value", [{"a": float("nan")}, {"a": {1, 2}}, {"a": "\ud800"}, {1: "a", "1": "b"}, {"a": 10**400}]
)
def test_what_could_not_be_read_is_not_written(value: dict[str, object]) -> None:
    """A value that JSON cannot hold is refused when it is written, not when it is read."""
    with pytest.raises(BundleError, match=r"^x: "):
        encode_object(value, file="x")


def test_all_missing_and_unknown_keys_are_named() -> None:
    """One error names every missing and every unknown key, and where the object stands."""
    with pytest.raises(BundleError, match=r"^x: here: missing b; missing c; unknown key z$"):
        expect_object({"a": 1, "z": 1}, "here", ("a", "b", "c"), file="x")
