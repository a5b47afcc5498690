"""JSON bodies, of which only what is asked for is made into objects, so that memory stays below three times the body.

A list of ten million numbers where a text is expected costs nothing: it is passed over, or kept as a view.
"""

from __future__ import annotations

import binascii
import io
import re
from collections.abc import Sequence
from typing import Annotated, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from binsight.serving.problems import ProblemError

__all__ = ["decode_base64", "decode_json", "decode_numbers"]

T = TypeVar("T")
_PIECE = 1 << 18
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_SPACE = b" \t\r\n"
_DATA_URL = re.compile(rb'data:([^,"]{0,200}),', re.IGNORECASE)
# RFC 4648 has two alphabets, and no character means one thing in this and another in that.
_ONE_ALPHABET = bytes.maketrans(b"-_", b"+/")
_FOREIGN = re.compile(rb"[^A-Za-z0-9+/=]")
_LONGEST_ESCAPE = len(rb"\u002b")
_Values = list[Annotated[int, msgspec.Meta(ge=0, le=255)]]


def decode_json(body: bytes | memoryview, kind: type[T]) -> T:
    """The body as a `kind`, a `msgspec.Struct` whose large members are `msgspec.Raw`: views of `body`.

    Raises:
        ProblemError: 400, it is not that.
    """
    start = len(_BYTE_ORDER_MARK) if body[:3] == _BYTE_ORDER_MARK else 0
    try:
        return msgspec.json.decode(memoryview(body)[start:], type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ProblemError("bad_request", f"JSON: {str(error)[:200]}") from None
    except RecursionError:
        raise ProblemError("bad_request", "JSON: it is nested too deeply") from None


def decode_base64(value: msgspec.Raw, name: str, *, limit: int) -> bytes:
    """What a JSON text has in base64: in either alphabet, with or without padding, line ends, or a data URL around it.

    Args:
        value: the text as it stands in the JSON, with its quotation marks.
        name: how errors call it.
        limit: bytes that it may have.

    Raises:
        ProblemError: 400 it is not base64, 413 it is too large.
    """
    view = memoryview(value)
    if bytes(view[:1]) != b'"':
        raise ProblemError("bad_request", f"{name} must be a text in base64")
    view = view[1 + _prefix_length(view[1:], name) : -1]
    found, rest, start, ended = io.BytesIO(), b"", 0, False
    while start < len(view):
        piece = bytes(view[start : start + _PIECE])
        if (cut := piece.rfind(b"\\", -_LONGEST_ESCAPE)) > 0:  # no escape is cut in two
            piece = piece[:cut]
        start += len(piece)
        text = rest + _plain(piece, name)
        if ended and text:
            raise ProblemError("bad_request", f"{name} is not base64: it goes on after the padding")
        whole = len(text) // 4 * 4
        found.write(_decode(text[:whole], name))
        ended, rest = text[:whole].endswith(b"="), text[whole:]
        if found.tell() > limit:
            break
    found.write(_decode(rest + b"=" * (-len(rest) % 4), name))
    if found.tell() > limit:
        raise ProblemError("too_large", f"expected at most {limit:,} bytes in one photo")
    return found.getvalue()


def decode_numbers(value: msgspec.Raw, shape: Sequence[int]) -> NDArray[np.uint8]:
    """An array of whole numbers from 0 to 255, flat or nested as `shape` says, as uint8 of that shape.

    Raises:
        ProblemError: 400, it is not that.
    """
    view = memoryview(value)
    nested, flat = _commas_and_brackets(shape), _commas_and_brackets([int(np.prod(shape))])
    found, seen, start = bytearray(), bytearray(), 0
    while start < len(view):
        piece = bytes(view[start : start + _PIECE])
        if start + len(piece) < len(view):  # no number is cut in two
            piece = piece[: piece.rfind(b",") + 1] or piece
        start += len(piece)
        seen += piece.translate(None, b"0123456789" + _SPACE)
        if len(seen) > len(nested):
            break
        try:
            numbers = piece.translate(None, b"[]").strip(_SPACE + b",")
            found += bytes(msgspec.json.decode(b"[%b]" % numbers, type=_Values))
        except msgspec.MsgspecError:
            break
    if start < len(view) or seen not in (nested, flat) or len(found) != np.prod(shape):
        raise ProblemError(
            "bad_request", f"UINT8 data must be whole numbers from 0 to 255, flat or nested as {list(shape)}"
        )
    return np.frombuffer(found, np.uint8).reshape(shape)


def _prefix_length(view: memoryview, name: str) -> int:
    """Of `data:image/jpeg;name=a.jpg;base64,`; 0 where there is none."""
    found = _DATA_URL.match(view)
    if found is None:
        return 0
    if not found[1].rstrip().lower().endswith(b";base64"):
        raise ProblemError("bad_request", f"{name} is a data URL without ;base64")
    return found.end()


def _plain(piece: bytes, name: str) -> bytes:
    """Base64 in the standard alphabet, without the escapes of JSON and without white space."""
    if b"\\" in piece:
        try:
            piece = msgspec.json.decode(b'"%b"' % piece, type=str).encode()
        except (msgspec.MsgspecError, UnicodeError):
            raise ProblemError("bad_request", f"{name} has an escape that JSON does not know") from None
    piece = piece.translate(_ONE_ALPHABET, _SPACE)
    if foreign := _FOREIGN.search(piece):
        shown = piece[foreign.start() : foreign.start() + 4].decode(errors="replace")[:1]
        raise ProblemError(
            "bad_request", f"{name} is not base64: {shown!r} is neither in its alphabet nor in that for URLs (RFC 4648)"
        )
    return piece


def _decode(text: bytes, name: str) -> bytes:
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except binascii.Error as error:
        raise ProblemError("bad_request", f"{name} is not base64: {str(error)[:100]}") from None


def _commas_and_brackets(shape: Sequence[int]) -> bytes:
    """What is left of a nested array of that shape without its numbers: `[[,],[,]]` for 2 x 2."""
    inner = b"" if len(shape) == 1 else _commas_and_brackets(shape[1:])
    return b"[" + (inner + b",") * (shape[0] - 1) + inner + b"]"
