"""Forms, to the byte."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.datastructures import FileStorage
from werkzeug.formparser import MultiPartParser
from werkzeug.test import encode_multipart

from binsight.serving.forms import Part, read_form
from binsight.serving.problems import ProblemError

FILE = b'Content-Disposition: form-data; name="file"; filename="a.jpg"\r\nContent-Type: image/jpeg\r\n\r\n'


def parts(body: bytes, boundary: str = "B", max_parts: int = 9) -> list[Part]:
    """Return all parts of a body."""
    return read_form(body, boundary, max_parts=max_parts)


def test_files_and_fields_in_order():
    """With a preamble and an epilogue, which are passed over."""
    body = b"\r\n--B\r\n" + FILE + b"abc\r\n--B\r\ncontent-disposition:form-data;name=x\r\n\r\ny\r\n--B--\r\nbye"
    assert parts(body) == [Part("file", "a.jpg", b"abc"), Part("x", "", b"y")]


def test_a_part_without_data():
    """With the empty line that belongs to it."""
    assert parts(b"--B\r\n" + FILE + b"\r\n--B--") == [Part("file", "a.jpg", b"")]


def test_no_parts():
    """Only the end."""
    assert parts(b"--B--\r\n") == []


def test_only_a_whole_boundary_line_ends_a_part():
    """Not one in the middle of a line."""
    data = b"a--B\r\n\r\n--A\r\n\n--B\r\nb"
    assert parts(b"--B\r\n" + FILE + data + b"\r\n--B--") == [Part("file", "a.jpg", data)]


def test_a_name_in_utf8_and_in_rfc_5987_form():
    """Both are in use."""
    head = 'Content-Disposition: form-data; name="file"; filename="ü.jpg"\r\n\r\n'.encode()
    extended = b"Content-Disposition: form-data; name=file; filename*=UTF-8''%C3%BC.jpg\r\n\r\n"
    body = b"--B\r\n" + head + b"1\r\n--B\r\n" + extended + b"2\r\n--B--"
    assert [(part.filename, part.data) for part in parts(body)] == [("ü.jpg", b"1"), ("ü.jpg", b"2")]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"abc",
        b"--B",
        b"--B\r\n",
        b"--B\r\n" + FILE,
        b"--B\r\n" + FILE + b"abc",
        b"--B\r\n" + FILE + b"abc\r\n--B",
        b"--B\r\n\r\nabc\r\n--B--",
        b"--B\r\nContent-Type: image/png\r\n\r\nabc\r\n--B--",
        b"--B\r\nX: " + b"x" * 20_000 + b"\r\n" + FILE + b"abc\r\n--B--",
    ],
)
def test_what_is_cut_short_or_has_no_name_is_refused(body):
    """Nothing is guessed."""
    with pytest.raises(ProblemError):
        parts(body)


def test_a_boundary_that_is_none_is_refused():
    """There is no form without."""
    with pytest.raises(ProblemError, match="boundary"):
        parts(b"--B--", "")


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        ('name="file"', ""),
        ("name=file; filename=a.jpg", "a.jpg"),
        ('name="file"; filename="C:\\fotos\\a.jpg"', "a.jpg"),
        ('name="file"; filename="\\\\nas\\fotos\\a.jpg"', "a.jpg"),
        ('name="file"; filename="fotos/a.jpg"', "fotos/a.jpg"),
        ('name="file"; filename="a\\b.jpg"', "a\\b.jpg"),
        ('name="file"; filename="a %22b%22.jpg"', 'a "b".jpg'),
        ('name="file"; filename="a;b.jpg"', "a;b.jpg"),
    ],
)
def test_names_as_clients_write_them(disposition, name):
    """None at all, without quotation marks, with a path of Windows, escaped."""
    body = f"--B\r\nContent-Disposition: form-data; {disposition}\r\n\r\nabc\r\n--B--".encode()
    assert parts(body) == [Part("file", name, b"abc")]


def test_a_part_in_base64_is_refused_by_name():
    """RFC 7578 forbids it; to read it as it stands would be silently wrong."""
    body = b"--B\r\nContent-Transfer-Encoding: base64\r\n" + FILE + b"YWJj\r\n--B--"
    with pytest.raises(ProblemError, match="Content-Transfer-Encoding base64"):
        parts(body)


def test_parts_beyond_the_limit_are_refused():
    """Before they are taken apart."""
    with pytest.raises(ProblemError, match="at most 2"):
        parts((b"--B\r\n" + FILE + b"a\r\n") * 3 + b"--B--", max_parts=2)


@given(files=st.lists(st.binary(max_size=200), max_size=5))
def test_what_werkzeug_encodes_comes_back(files):
    """Any bytes, and the same as Werkzeug's own parser reads."""
    values = {"file": [FileStorage(io.BytesIO(data), filename="a.jpg") for data in files]}
    boundary, body = encode_multipart(values)
    assert [part.data for part in parts(body, boundary)] == files
    _, theirs = MultiPartParser().parse(io.BytesIO(body), boundary.encode(), len(body))
    assert [file.read() for file in theirs.getlist("file")] == files
    for file in theirs.getlist("file"):
        file.close()


@given(body=st.binary(max_size=200))
def test_any_bytes_are_parts_or_an_error(body):
    """Never anything else."""
    try:
        parts(b"--B\r\n" + FILE + body)
    except ProblemError:
        return
