"""One file over HTTP: continued where it broke off, and checked."""

from __future__ import annotations

import hashlib
import http.client
import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from binsight.errors import InputError, OutputError
from binsight.progress import Progress, unheard

__all__ = ["download", "file_sha256"]

_CHUNK = 1 << 18
_ATTEMPTS = 4
_FIRST_PAUSE_S = 1.0
_TIMEOUT_S = 60.0
_RETRIED_STATUS = frozenset({408, 429, 500, 502, 503, 504})


class _HttpsStays(urllib.request.HTTPRedirectHandler):
    """Follows redirects, but not from https to anything that is not."""

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> Any:
        if urlsplit(req.full_url).scheme == "https" and urlsplit(newurl).scheme != "https":
            raise urllib.error.URLError(f"redirected from https to {newurl}")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


@dataclass(frozen=True, slots=True)
class _Part:
    """An unfinished download: the bytes so far, and a note on which file they are of."""

    data: Path
    note: Path

    @classmethod
    def of(cls, target: Path) -> _Part:
        return cls(target.with_name(f"{target.name}.part"), target.with_name(f"{target.name}.part.json"))

    def resumable(self, url: str) -> tuple[int, str | None]:
        """How many bytes there are, and the version of the file they are of; 0 when they cannot be continued."""
        try:
            note = json.loads(self.note.read_text("utf-8"))
            size = self.data.stat().st_size
        except (OSError, ValueError):
            return 0, None
        # Without a version there is no telling whether the rest would be of the same file.
        same = isinstance(note, dict) and note.get("url") == url and isinstance(note.get("version"), str)
        return (size, note["version"]) if same else (0, None)

    def remember(self, url: str, version: str | None) -> None:
        self.note.write_text(json.dumps({"url": url, "version": version}), "utf-8")

    def forget(self) -> None:
        self.data.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)


def download(
    url: str,
    target: Path,
    *,
    size: int | None = None,
    progress: Progress = unheard,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Bring the file at `url` to `target`, which appears when it is whole.

    What an interrupted call got is kept beside `target` and continued by the next, if the server can and the file is
    still the same (HTTP Range with If-Range). A connection that breaks is tried again, four times in all.

    Args:
        url: http or https.
        target: the file to make; its folder exists.
        size: how many bytes are expected, where that is known.
        progress: called with the bytes so far and in all; 0 in all when the server does not say.
        sleep: waits the given seconds between attempts.

    Raises:
        InputError: the server cannot be reached or does not give the file.
        OutputError: the file cannot be written.
    """
    part = _Part.of(target)
    for attempt in range(_ATTEMPTS):
        try:
            _transfer(url, part, size, progress)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code not in _RETRIED_STATUS or attempt == _ATTEMPTS - 1:
                raise InputError(f"{url}: the server answers {error.code} {error.reason}") from error
        except (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError) as error:
            if attempt == _ATTEMPTS - 1 or not _may_pass(error):
                raise InputError(f"cannot get {url}: {_reason(error)}") from error
        except OSError as error:
            raise OutputError(f"cannot write {part.data}: {error.strerror or error}") from error
        else:
            part.data.replace(target)
            part.forget()
            return
        sleep(_FIRST_PAUSE_S * 2**attempt)


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _transfer(url: str, part: _Part, size: int | None, progress: Progress) -> None:
    have, version = part.resumable(url)
    request = urllib.request.Request(url, headers={"User-Agent": "binsight", "Accept-Encoding": "identity"})  # noqa: S310 - the catalogue admits http and https only
    if have:
        request.add_header("Range", f"bytes={have}-")
        request.add_header("If-Range", str(version))
    try:
        answer = urllib.request.build_opener(_HttpsStays).open(request, timeout=_TIMEOUT_S)
    except urllib.error.HTTPError as error:
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            part.forget()  # longer than the file is now: start afresh
            error.close()
            raise ConnectionError("the server no longer has the rest of the file") from error
        raise
    with answer:
        start, total = _extent(answer, have)
        if start == 0:
            part.data.unlink(missing_ok=True)
            part.remember(url, answer.headers.get("ETag") or answer.headers.get("Last-Modified"))
        done = _append(answer, part.data, start, total, progress)
    expected = total or size
    if expected and done < expected:
        raise ConnectionError(f"the connection ended after {done:,} of {expected:,} bytes")


def _extent(answer: Any, have: int) -> tuple[int, int]:
    """Where the answer's bytes begin, and how many the file has; 0 for not known."""
    if answer.status == http.HTTPStatus.PARTIAL_CONTENT:
        found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", answer.headers.get("Content-Range", ""))
        if not found or int(found[1]) != have:
            raise http.client.HTTPException(f"asked for bytes from {have:,}, got {answer.headers.get('Content-Range')}")
        return have, 0 if found[2] == "*" else int(found[2])
    return 0, int(answer.headers.get("Content-Length") or 0)


def _append(answer: Any, path: Path, done: int, total: int, progress: Progress) -> int:
    with path.open("ab") as file:
        progress(done, total)
        while chunk := answer.read(_CHUNK):
            file.write(chunk)
            done += len(chunk)
            progress(done, total)
    return done


def _may_pass(error: Exception) -> bool:
    """Whether trying again could help: a name that cannot be resolved will not be in a few seconds."""
    reason = getattr(error, "reason", error)
    return isinstance(reason, (ConnectionError, TimeoutError, http.client.HTTPException))


def _reason(error: Exception) -> str:
    reason = getattr(error, "reason", error)
    return str(getattr(reason, "strerror", None) or reason) or type(error).__name__
