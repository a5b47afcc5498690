"""From an HTTP request to the bytes of its photos, in memory, never more of them than the limits allow."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import msgspec
from flask import Request

from binsight.serving.forms import read_form
from binsight.serving.json_bodies import decode_base64, decode_json
from binsight.serving.problems import ProblemError
from binsight.serving.settings import Settings

__all__ = [
    "ADMITTED",
    "BEGUN",
    "REFUSED",
    "BodyAwaited",
    "ByteBudget",
    "Holding",
    "Photo",
    "Upload",
    "body_too_large",
    "read_body",
    "read_photos",
]

# Of a request's environment: when it began; that the application was asked about its body; why it is refused.
BEGUN: Final = "binsight.begun"
ADMITTED: Final = "binsight.admitted"
REFUSED: Final = "binsight.refused"

_MAX_NAME = 255
_FILE_FIELD = "file"
# Text fields beside the photos are read over; a request with more parts than this is no upload of photos.
_EXTRA_PARTS = 32
_HOW = "send multipart/form-data with the field 'file', a raw image/* body, or JSON {\"image_base64\": …}"


class BodyAwaited(BaseException):
    """The application wants up to `size` bytes of a body that is not there yet."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.size = size


class _JsonPhoto(msgspec.Struct, forbid_unknown_fields=True):
    """`schemas.JsonPhoto`, unread."""

    image_base64: msgspec.Raw


@dataclass(frozen=True, slots=True)
class Photo:
    """One encoded photo, and its file name as the client gave it."""

    source: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Upload:
    """The photos of one request; `many` when more than one was sent, so that the answer is a list."""

    photos: list[Photo]

    @property
    def many(self) -> bool:
        """Whether the answer is a list."""
        return len(self.photos) > 1


class ByteBudget:
    """Bytes that all requests together may hold."""

    def __init__(self, limit: int) -> None:
        self._limit, self._held = limit, 0
        self._lock = threading.Lock()

    @property
    def held(self) -> int:
        """Bytes held now."""
        return self._held

    @contextmanager
    def hold(self) -> Iterator[Holding]:
        """An empty holding, all of which is given back in the end."""
        holding = Holding(self)
        try:
            yield holding
        finally:
            self._add(-holding.size)

    def _add(self, size: int) -> bool:
        with self._lock:
            if size > 0 and self._held + size > self._limit:
                return False
            self._held += size
            return True


class Holding:
    """One request's part of a budget."""

    def __init__(self, budget: ByteBudget) -> None:
        self._budget = budget
        self.size = 0

    def grow(self, size: int) -> None:
        """Hold `size` bytes more.

        Raises:
            ProblemError: 429, the budget is spent.
        """
        if not self._budget._add(size):  # noqa: SLF001 - the two classes are one
            raise ProblemError("queue_full", "the requests in progress fill the memory set aside", retry_after_s=1)
        self.size += size


def read_body(request: Request, limit: int) -> bytes:
    """The whole body, at most `limit` bytes.

    Raises:
        ProblemError: 411 no length, 413 too large, 415 compressed, 400 cut short.
    """
    encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in {"identity", ""}:
        detail = f"the body has Content-Encoding {encoding[:40]}: send it as it is"
        raise ProblemError("unsupported_media_type", detail, headers={"Accept-Encoding": "identity"})
    length = request.content_length
    if length is None and "HTTP_TRANSFER_ENCODING" not in request.environ:
        if request.environ.get("wsgi.input_terminated"):  # what was sent is told from what was not
            detail, headers = "expected a body with Content-Length, or in chunks", {"Connection": "close"}
            raise ProblemError("length_required", detail, headers=headers)
        length = 0
    if length is not None and length > limit:
        raise body_too_large(limit)
    try:
        body: bytes = request.environ["wsgi.input"].read(limit + 1 if length is None else length)
    except (OSError, ValueError) as error:
        raise ProblemError("bad_request", "the request's body ended too early or is malformed") from error
    if length is not None and len(body) < length:
        raise ProblemError("bad_request", f"the request's body ended after {len(body):,} of {length:,} bytes")
    if len(body) > limit:
        raise body_too_large(limit)
    return body


def read_photos(request: Request, settings: Settings) -> Upload:
    """The photos in a request, whichever way they were sent.

    Raises:
        ProblemError: there is none, or the request is malformed or too large.
    """
    kind = request.mimetype
    is_raw = kind.startswith("image/") or kind == "application/octet-stream"
    body = read_body(request, settings.max_photo_bytes if is_raw else settings.max_body_bytes)
    if is_raw:
        return Upload([Photo("", _some(body))])
    if kind == "multipart/form-data":
        return _from_form(body, request.mimetype_params.get("boundary", ""), settings.max_files)
    if not body:
        raise ProblemError("no_file", f"there is nothing in the request; {_HOW}")
    if kind == "application/json":
        text = decode_json(body, _JsonPhoto).image_base64
        return Upload([Photo("", _some(decode_base64(text, "image_base64", limit=settings.max_photo_bytes)))])
    raise ProblemError("unsupported_media_type", f"got {kind[:100] or 'no content type'!r}; {_HOW}")


def body_too_large(limit: int) -> ProblemError:
    """413, with the limit."""
    return ProblemError("too_large", f"expected at most {limit:,} bytes in one request")


def _some(data: bytes) -> bytes:
    if not data:
        raise ProblemError("empty", "expected a picture, got 0 bytes")
    return data


def _from_form(body: bytes, boundary: str, max_files: int) -> Upload:
    parts = read_form(body, boundary, max_parts=max_files + _EXTRA_PARTS)
    # A browser's empty file input has neither a name nor data.
    files = [part for part in parts if part.name == _FILE_FIELD and (part.filename or part.data)]
    if not files:
        raise ProblemError("no_file", f"the form has no file in the field 'file'; {_HOW}")
    if len(files) > max_files:
        raise ProblemError("too_many_files", f"expected at most {max_files} photos in one request")
    if len(files) == 1:
        _some(files[0].data)
    return Upload([Photo(part.filename[:_MAX_NAME], part.data) for part in files])
