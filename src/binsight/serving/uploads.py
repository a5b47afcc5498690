"""From an HTTP request to the bytes of its photos, in memory, never more of them than the limits allow."""

from __future__ import annotations

import base64
import binascii
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

from flask import Request
from pydantic import ValidationError

from binsight.serving.multipart import MultipartError, read_parts
from binsight.serving.problems import ProblemError, validation_problem
from binsight.serving.schemas import JsonPhoto
from binsight.serving.settings import Settings

__all__ = ["ByteBudget", "Photo", "Upload", "read_body", "read_photos"]

_CHUNK = 1 << 18
_MAX_NAME = 255
_DATA_URL = re.compile(r"data:[A-Za-z0-9.+/-]{0,100};base64,")
_BASE64_SPACE = str.maketrans("", "", " \t\r\n")
_FILE_FIELD = "file"
# Text fields beside the photos are read over; a request with more parts than this is no upload of photos.
_EXTRA_PARTS = 32
_HOW = "send multipart/form-data with the field 'file', a raw image/* body, or JSON {\"image_base64\": …}"


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


def read_body(request: Request, limit: int, holding: Holding) -> bytes:
    """The whole body, at most `limit` bytes.

    Raises:
        ProblemError: 413 too large, 400 cut short, 408 too slow, 429 no memory left for it.
    """
    length = request.content_length
    if length is not None and length > limit:
        raise _body_too_large(limit)
    # Not `request.stream`: it would make one error of a client that is slow and one that is gone.
    stream = request.environ["wsgi.input"]
    try:
        if length is not None:
            holding.grow(length)
            body = _read_exactly(stream, length)
        elif request.environ.get("wsgi.input_terminated"):
            body = _read_to_the_end(stream, limit, holding)
        else:
            body = b""
    except TimeoutError:
        raise ProblemError("slow_upload", "the request's body did not arrive in time") from None
    except (OSError, ValueError) as error:
        raise ProblemError("bad_request", "the request's body ended too early or is malformed") from error
    return body


def read_photos(request: Request, settings: Settings, holding: Holding) -> Upload:
    """The photos in a request, whichever way they were sent.

    Raises:
        ProblemError: there is none, or the request is malformed or too large.
    """
    kind = request.mimetype
    is_raw = kind.startswith("image/") or kind == "application/octet-stream"
    body = read_body(request, settings.max_photo_bytes if is_raw else settings.max_body_bytes, holding)
    if is_raw:
        return Upload([Photo("", _some(body))])
    if kind == "multipart/form-data":
        return _from_multipart(request, body, settings.max_files)
    if kind == "application/json":
        return Upload([Photo("", _from_json(body))])
    if not body:
        raise ProblemError("no_file", f"there is nothing in the request; {_HOW}")
    raise ProblemError("unsupported_media_type", f"got {kind[:100] or 'no content type'!r}; {_HOW}")


def _read_exactly(stream: IO[bytes], length: int) -> bytes:
    chunks: list[bytes] = []
    missing = length
    while missing > 0:
        chunk = stream.read(missing)
        if not chunk:
            raise ConnectionError("the client went away")
        chunks.append(chunk)
        missing -= len(chunk)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _read_to_the_end(stream: IO[bytes], limit: int, holding: Holding) -> bytes:
    chunks: list[bytes] = []
    while chunk := stream.read(_CHUNK):
        holding.grow(len(chunk))
        if holding.size > limit:
            raise _body_too_large(limit)
        chunks.append(chunk)
    return b"".join(chunks)


def _body_too_large(limit: int) -> ProblemError:
    return ProblemError("too_large", f"expected at most {limit:,} bytes in one request")


def _some(data: bytes) -> bytes:
    if not data:
        raise ProblemError("empty", "expected a picture, got 0 bytes")
    return data


def _from_json(body: bytes) -> bytes:
    if not body:
        raise ProblemError("no_file", f"there is nothing in the request; {_HOW}")
    try:
        text = JsonPhoto.model_validate_json(body).image_base64
    except ValidationError as error:
        raise validation_problem(error, "bad_request") from None
    if match := _DATA_URL.match(text):
        text = text[match.end() :]
    try:
        return _some(base64.b64decode(text.translate(_BASE64_SPACE), validate=True))
    except (binascii.Error, ValueError) as error:
        raise ProblemError("bad_request", f"image_base64 is not base64: {str(error)[:100]}") from None


def _from_multipart(request: Request, body: bytes, max_files: int) -> Upload:
    boundary = request.mimetype_params.get("boundary", "")
    photos: list[Photo] = []
    try:
        for part in read_parts(body, boundary, max_parts=max_files + _EXTRA_PARTS):
            # A browser's empty file input has neither a name nor data.
            if part.name == _FILE_FIELD and part.filename is not None and (part.filename or part.data):
                if len(photos) == max_files:
                    raise ProblemError("too_many_files", f"expected at most {max_files} photos in one request")
                photos.append(Photo(part.filename[:_MAX_NAME], part.data))
    except MultipartError as error:
        raise ProblemError("bad_request", f"malformed form: {error}") from None
    if not photos:
        raise ProblemError("no_file", f"the form has no file in the field 'file'; {_HOW}")
    if len(photos) == 1:
        _some(photos[0].data)
    return Upload(photos)
