"""From requests to photos: all three ways to send them, and all the ways to get it wrong."""

from __future__ import annotations

import base64
import io
import json
import re

import pytest
from flask import Flask, Request
from werkzeug.test import EnvironBuilder

from binsight.serving.problems import ProblemError
from binsight.serving.settings import Settings
from binsight.serving.uploads import ByteBudget, read_photos

SMALL = Settings(max_photo_bytes=100, max_body_bytes=2000, max_pending_bytes=4000, max_files=3)


def read(settings: Settings = SMALL, **options):
    """Photos as `(source, data)`, and whether they are many."""
    request = Request(EnvironBuilder(method="POST", **options).get_environ())
    with Flask("test").app_context():
        found = read_photos(request, settings)
    return [(photo.source, photo.data) for photo in found.photos], found.many


def refused(**options) -> str:
    """Return the code with which a request is refused."""
    with pytest.raises(ProblemError) as caught:
        read(**options)
    return caught.value.kind


def form(*parts: tuple[str, bytes, str]):
    """Return a form's parts as the arguments of `EnvironBuilder`."""
    return {"data": {name: [(io.BytesIO(d), f) for n, d, f in parts if n == name] for name, _, _ in parts}}


def raw_form(body: bytes, content_type: str = "multipart/form-data; boundary=B"):
    """Return a form's bytes as the arguments of `EnvironBuilder`."""
    return {"data": body, "content_type": content_type}


def test_one_file_in_a_form():
    """Name and bytes as sent; one photo is not many."""
    assert read(**form(("file", b"abc", "a.jpg"))) == ([("a.jpg", b"abc")], False)


def test_several_files_in_a_form_keep_their_order():
    """Also when they have one name."""
    parts = [("file", data, "same.jpg") for data in (b"1", b"2", b"3")]
    assert read(**form(*parts)) == ([("same.jpg", b"1"), ("same.jpg", b"2"), ("same.jpg", b"3")], True)


def test_other_fields_of_a_form_are_passed_over():
    """Text, and files of other names."""
    parts = [("other", b"x", "x.jpg"), ("file", b"abc", "a.jpg")]
    assert read(**form(*parts)) == ([("a.jpg", b"abc")], False)


def test_bytes_that_look_like_a_boundary_stay_in_the_photo():
    """Only a whole boundary line ends a part."""
    body = (
        b'--B\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nab--B\r\n--A\r\n--\r\ncd\r\n--B--\r\n'
    )
    assert read(**raw_form(body)) == ([("a", b"ab--B\r\n--A\r\n--\r\ncd")], False)


def test_a_path_like_or_endless_name_is_only_a_name():
    """It is given back cut to a length, and never used as a path."""
    (photo,), _ = read(**form(("file", b"abc", "../../etc/" + "x" * 400)))
    assert photo[0].startswith("../../etc/xxx")
    assert len(photo[0]) == 255


@pytest.mark.parametrize("kind", ["image/jpeg", "image/x-anything", "application/octet-stream"])
def test_a_raw_body_is_the_photo(kind):
    """As a camera posts it."""
    assert read(data=b"abc", content_type=kind) == ([("", b"abc")], False)


@pytest.mark.parametrize("prefix", ["", "data:image/png;base64,"])
def test_base64_in_json(prefix):
    """With or without the prefix of a data URL, with or without line ends."""
    text = prefix + base64.encodebytes(b"abc" * 20).decode()
    assert read(json={"image_base64": text}) == ([("", b"abc" * 20)], False)


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({}, "no_file"),
        ({"content_type": "application/json"}, "no_file"),
        ({"data": b"", "content_type": "image/jpeg"}, "empty"),
        ({"data": b"x", "content_type": "text/plain"}, "unsupported_media_type"),
        ({"data": {"a": "b"}}, "unsupported_media_type"),
        ({"json": {}}, "bad_request"),
        ({"json": []}, "bad_request"),
        ({"json": {"image_base64": "????"}}, "bad_request"),
        ({"json": {"image_base64": "ü"}}, "bad_request"),
        ({"json": {"image_base64": 3}}, "bad_request"),
        ({"json": {"image_base64": ""}}, "empty"),
        ({"json": {"image_base64": "YWJj", "extra": 1}}, "bad_request"),
        ({"data": b'{"image_base64": "\\ud800"}', "content_type": "application/json"}, "bad_request"),
        ({"data": b"[" * 1500, "content_type": "application/json"}, "bad_request"),
        (form(("file", b"", "a.jpg")), "empty"),
        (form(("file", b"", "")), "no_file"),
        (form(("photo", b"abc", "a.jpg")), "no_file"),
        (raw_form(b"abc"), "bad_request"),
        (raw_form(b"--B--\r\n"), "no_file"),
        (raw_form(b"--B\r\nno header\r\n--B--\r\n"), "bad_request"),
        (raw_form(b"abc", "multipart/form-data"), "bad_request"),
        (raw_form(b"abc", "multipart/form-data; boundary=" + "B" * 201), "bad_request"),
        (form(*[("file", b"abc", "a.jpg")] * 4), "too_many_files"),
        ({"data": b"x" * 101, "content_type": "image/jpeg"}, "too_large"),
        (form(("file", b"x" * 2000, "a.jpg")), "too_large"),
    ],
)
def test_what_is_wrong_gets_its_code(options, code):
    """Each fault has a code of its own; none is a crash."""
    assert refused(**options) == code


def test_a_form_with_countless_parts_is_refused():
    """The parser stops counting early."""
    body = b'--B\r\nContent-Disposition: form-data; name="a"\r\n\r\n\r\n' * 70 + b"--B--\r\n"
    assert refused(settings=Settings(), **raw_form(body)) == "bad_request"


def test_a_body_shorter_than_announced_is_refused():
    """The client went away in the middle."""
    builder = EnvironBuilder(method="POST", data=b"abc", content_type="image/jpeg")
    request = Request(builder.get_environ() | {"CONTENT_LENGTH": "50"})
    with pytest.raises(ProblemError) as caught:
        read_photos(request, SMALL)
    assert caught.value.kind == "bad_request"


def test_a_body_of_unknown_length_is_read_up_to_the_limit():
    """Chunked: as long as it may be, and not a byte longer."""

    def read_stream(size: int):
        environ = EnvironBuilder(method="POST", content_type="image/jpeg").get_environ()
        environ |= {"wsgi.input": io.BytesIO(b"x" * size), "HTTP_TRANSFER_ENCODING": "chunked"}
        environ.pop("CONTENT_LENGTH", None)
        return read_photos(Request(environ), SMALL).photos[0].data

    assert read_stream(100) == b"x" * 100
    with pytest.raises(ProblemError) as caught:
        read_stream(101)
    assert caught.value.kind == "too_large"


def test_all_requests_together_are_bounded_and_what_they_held_is_given_back():
    """A second request waits outside until the first is done."""
    budget = ByteBudget(10)
    with budget.hold() as first:
        first.grow(8)
        with budget.hold() as second, pytest.raises(ProblemError) as caught:
            second.grow(3)
        assert (caught.value.kind, budget.held) == ("queue_full", 8)
    assert budget.held == 0


def test_refusals_do_not_repeat_what_was_sent():
    """A log or screen is no place for other people's bytes."""
    with pytest.raises(ProblemError) as caught:
        read(data=json.dumps({"image_base64": 3, "secret": "hunter2"}), content_type="application/json")
    assert "hunter2" not in str(caught.value) + str(caught.value.extra)


JPEG = (
    bytes(range(256)) * 2 + b"x"
)  # 513 bytes: with both of the characters that the alphabets differ in, and none over
PLAIN = base64.b64encode(JPEG).decode()


@pytest.mark.parametrize(
    "text",
    [
        PLAIN.rstrip("="),
        base64.urlsafe_b64encode(JPEG).decode(),
        base64.urlsafe_b64encode(JPEG[:-1]).decode().rstrip("="),
        base64.encodebytes(JPEG).decode(),
        base64.encodebytes(JPEG).decode().replace("\n", "\r\n"),
        "data:image/jpeg;base64," + PLAIN,
        "data:;base64," + PLAIN,
        "data:image/jpeg;name=a.jpg;base64," + PLAIN,
        "DATA:image/svg+xml;charset=utf-8;name=%61.jpg;BASE64," + PLAIN,
    ],
)
@pytest.mark.parametrize(
    "dump", [json.dumps, lambda text: json.dumps(text).replace("/", "\\/").replace("+", "\\u002B")]
)
def test_base64_as_clients_write_it(text, dump):
    """In both alphabets, with and without padding and line ends, in data URLs; escaped as PHP and .NET do."""
    body = b'\xef\xbb\xbf{"image_base64": ' + dump(text).encode() + b"}"
    ((_, data),), _ = read(Settings(), data=body, content_type="application/json")
    assert data in (JPEG, JPEG[:-1])


@pytest.mark.parametrize("size", [1, 2, 3, 262_143, 262_144, 262_145, 400_000])
@pytest.mark.parametrize("escape", ["\\n", "\\u000a"])
def test_base64_longer_than_one_piece(size, escape):
    """No escape and no group of four is lost where one piece of the text ends and the next begins."""
    data = bytes(i * 7 % 251 for i in range(size))
    lines = base64.encodebytes(data).decode().replace("\n", escape)
    body = f'{{"image_base64":"{lines}"}}'.encode()
    assert read(Settings(), data=body, content_type="application/json") == ([("", data)], False)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("YWJj*", "'*' is neither"),
        ("YWJjü", "'ü' is neither"),
        ("YWJj=YWJj", "not base64"),
        ("YQ==YQ==", "not base64"),
        ("YWJjY", "not base64"),
        ("data:image/jpeg,abc", "without ;base64"),
    ],
)
def test_what_is_no_base64_is_told_by_name(text, message):
    """Which character, or what is missing."""
    with pytest.raises(ProblemError, match=re.escape(message)) as caught:
        read(Settings(), json={"image_base64": text})
    assert caught.value.kind == "bad_request"


def test_a_photo_limit_is_also_one_of_its_base64():
    """One byte more than a photo may have is too much, whichever way it is sent."""
    exact, more = (base64.b64encode(bytes(n)).decode() for n in (100, 101))
    assert read(json={"image_base64": exact})[0][0][1] == bytes(100)
    assert refused(json={"image_base64": more}) == "too_large"


def test_a_part_without_a_file_name_is_a_photo():
    """`file` says what it is; a text field of another name is none."""
    part = b'--B\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n'
    body = part % (b"note", b"hello") + part % (b"file", b"abc") + b"--B--\r\n"
    assert read(**raw_form(body)) == ([("", b"abc")], False)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd"])
def test_a_compressed_body_is_refused_by_name(encoding):
    """Taken for the photo itself it would be damaged."""
    with pytest.raises(ProblemError, match=encoding) as caught:
        read(data=b"abc", content_type="image/jpeg", headers={"Content-Encoding": encoding})
    assert (caught.value.kind, caught.value.headers) == ("unsupported_media_type", {"Accept-Encoding": "identity"})
