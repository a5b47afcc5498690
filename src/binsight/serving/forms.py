"""The parts of a multipart/form-data body that is in memory.

References:
    RFC 7578.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from multipart import MultipartError, MultipartSegment, ParserLimitReached, PushMultipartParser
from werkzeug.http import parse_options_header

from binsight.serving.problems import ProblemError

__all__ = ["Part", "read_form"]

_MAX_HEADER = 16_384
_PLAIN = frozenset({"", "7bit", "8bit", "binary"})


@dataclass(frozen=True, slots=True)
class Part:
    """One field of a form; `filename` is empty where none was given."""

    name: str
    filename: str
    data: bytes


def read_form(body: bytes, boundary: str, *, max_parts: int) -> list[Part]:
    """The parts of a form, in order.

    Args:
        body: all of it.
        boundary: as the content type gives it.
        max_parts: more are refused.

    Raises:
        ProblemError: 400, the body is malformed, cut short, or has too many parts.
    """
    try:
        with PushMultipartParser(boundary, max_header_size=_MAX_HEADER, max_segment_count=max_parts) as parser:
            # All of it at once: so each part's data are copied only when they are cut out.
            return list(_parts(parser, _with_line_ends(body, re.escape(boundary.encode()))))
    except ParserLimitReached:
        detail = f"expected at most {max_parts} parts with {_MAX_HEADER:,} bytes of headers each"
        raise ProblemError("bad_request", f"malformed multipart/form-data: {detail}") from None
    except MultipartError as error:
        raise ProblemError("bad_request", f"malformed multipart/form-data: {str(error)[:100]}") from None


def _with_line_ends(body: bytes, boundary: bytes) -> bytes:
    """Add the line end of an empty part where it is missing, as Werkzeug's clients send it.

    The next part would be taken for its data.
    """
    if b"\r\n\r\n--" not in body:
        return body
    return re.sub(rb"(--%b\r\n(?:[^\r\n]+\r\n)+\r\n)(?=--%b)" % (boundary, boundary), rb"\1\r\n", body)


def _parts(parser: PushMultipartParser, body: bytes) -> Iterator[Part]:
    segment: MultipartSegment | None = None
    data = b""
    for event in parser.parse(body):
        if isinstance(event, MultipartSegment):
            segment, data = event, b""
        elif event is not None:
            data = bytes(event)
        elif segment is not None:
            yield Part(segment.name or "", _filename(segment), data)


def _filename(segment: MultipartSegment) -> str:
    encoding = str(segment.header("Content-Transfer-Encoding", "")).strip().lower()
    if encoding not in _PLAIN:
        raise MultipartError(f"Content-Transfer-Encoding {encoding[:40]} is not read, send the bytes as they are")
    if segment.filename is not None:
        return str(segment.filename)
    # `filename*=UTF-8''…`, which RFC 7578 forbids and some clients send.
    _, options = parse_options_header(segment.header("Content-Disposition", ""))
    return options.get("filename", "")
