"""Where the files of jobs, photos and exports lie: a folder of this machine, or an object store."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from binsight.errors import AccessError, BinsightError, InputError, StoreError
from binsight.files import write_whole
from binsight.system_errors import describe_os_error

if TYPE_CHECKING:
    from obstore.store import ObjectStore

__all__ = ["Entry", "Store", "is_remote", "open_bucket", "open_store", "split_address", "translated"]

_ADDRESS = re.compile(r"(s3|s3a|gs|az|adl|azure|abfs|abfss|http|https)://([^/]+)/?(.*)", re.IGNORECASE | re.DOTALL)
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)
# Of requests that fail and downloads that break off, with growing pauses: longer than a store throttles, shorter than
# anybody waits for an answer that does not come.
_RETRIES, _RETRY_TIMEOUT = 30, timedelta(seconds=120)
_CREDENTIALS = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or what your store takes in their place"


@dataclass(frozen=True, slots=True)
class Entry:
    """A file of a store: its name below the place that was listed, and its size in bytes."""

    name: str
    size: int


class Store(Protocol):
    """A place for files. Names have `/` between their parts; a file appears whole or not at all.

    Attributes:
        address: as it was given.
        place: the same for other processes, whatever their working folder is.
    """

    address: str
    place: str

    def read(self, name: str) -> bytes:
        """A file; `InputError` where there is none."""

    def read_end(self, name: str, size: int) -> bytes:
        """The last `size` bytes of a file, or all of a smaller one."""

    def write(self, name: str, data: bytes) -> None:
        """Put a file in its place, that of an older one too."""

    def list(self, folder: str = "") -> list[Entry]:
        """The files in a folder, by name, without those in folders of it; none where it does not exist."""

    def delete(self, name: str) -> None:
        """Remove a file, if it is there."""


def is_remote(address: str) -> bool:
    """Whether it is an address in an object store, rather than a path of this machine."""
    return _ADDRESS.match(address) is not None


def open_store(address: str) -> Store:
    """The place that an address means.

    Raises:
        StoreError: it names a store that does not exist.
    """
    if is_remote(address):
        root, key = split_address(address)
        return _ObjectStore(address.rstrip("/"), open_bucket(root), key.strip("/"))
    if _SCHEME.match(address):
        raise InputError(
            f"{address}: expected a folder, or an address that begins with s3://, gs://, az:// or https://"
        )
    return _FolderStore(str(address), Path(address).absolute())


def split_address(address: str) -> tuple[str, str]:
    """The bucket, with its scheme, and the key in it."""
    found = _ADDRESS.match(address)
    assert found is not None  # noqa: S101 - `is_remote` was asked before
    return f"{found[1].lower()}://{found[2]}", found[3]


@cache
def open_bucket(root: str) -> ObjectStore:
    """A bucket, by the settings and keys in the environment; one connection pool for each process.

    Raises:
        StoreError: the settings do not go together.
    """
    from obstore.store import from_url  # noqa: PLC0415 - only object stores need it

    # A plain http:// that the user wrote, here or as AWS_ENDPOINT_URL, is meant.
    options: dict[str, Any] = {"client_options": {"allow_http": True}}
    with translated(root):
        return from_url(root, **options, retry_config={"max_retries": _RETRIES, "retry_timeout": _RETRY_TIMEOUT})


@contextlib.contextmanager
def translated(address: str) -> Iterator[None]:
    """Turn what an object store says into one line.

    Raises:
        InputError: there is no such object.
        StoreError: the store refuses, is not there, or fails again and again.
    """
    from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError  # noqa: PLC0415 - as above

    try:
        yield
    except BinsightError:
        raise
    except FileNotFoundError as error:
        if "NoSuchBucket" in str(error):
            raise StoreError(f"{address}: there is no such bucket") from None
        raise InputError(f"cannot read {address}: no such object") from None
    except (PermissionDeniedError, UnauthenticatedError) as error:
        raise _access_error(address, error) from None
    except BaseError as error:
        if re.search(r"\b40[13] (Forbidden|Unauthorized)", str(error)):  # a listing has no error of its own for it
            raise _access_error(address, error) from None
        raise StoreError(f"{address}: {_shorten(error)}") from None
    except ValueError as error:
        raise InputError(f"{address}: {_shorten(error)}") from None
    except OSError as error:  # a connection that broke off while the answer came
        raise StoreError(f"{address}: {_shorten(error)}") from None


def _access_error(address: str, error: Exception) -> AccessError:
    return AccessError(f"{address}: access refused: {_shorten(error)}; {_CREDENTIALS}")


def _shorten(error: Exception) -> str:
    """The server's own words where it has some, else the first line without addresses and numbers of attempts."""
    text = str(error)
    if said := re.search(r"<Code>(.*?)</Code>.*?<Message>(.*?)</Message>", text, re.DOTALL):
        return f"{said[1]}: {said[2]}".strip().rstrip(".:")
    first = text.split("\n", 1)[0]
    return re.sub(r"^.* - (?=HTTP error|Server returned)", "", first).strip()[:300]


class _FolderStore:
    def __init__(self, address: str, folder: Path) -> None:
        self.address, self.place, self._folder = address, str(folder), folder

    def read(self, name: str) -> bytes:
        with self._reading(name):
            return (self._folder / name).read_bytes()

    def read_end(self, name: str, size: int) -> bytes:
        with self._reading(name), (self._folder / name).open("rb") as file:
            length = file.seek(0, 2)
            file.seek(max(0, length - size))
            return file.read()

    def write(self, name: str, data: bytes) -> None:
        write_whole(self._folder / name, data)

    def list(self, folder: str = "") -> list[Entry]:
        with self._reading(folder):
            try:
                with os.scandir(self._folder / folder) as entries:
                    found = [e for e in entries if e.is_file()]
                return sorted((Entry(e.name, e.stat().st_size) for e in found), key=lambda e: e.name)
            except FileNotFoundError:
                return []

    def delete(self, name: str) -> None:
        with self._reading(name):
            (self._folder / name).unlink(missing_ok=True)

    @contextlib.contextmanager
    def _reading(self, name: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            place = f"{self.address.rstrip('/')}/{name}"
            raise InputError(f"cannot read {place}: {describe_os_error(error, named=False)}") from error


class _ObjectStore:
    def __init__(self, address: str, bucket: ObjectStore, prefix: str) -> None:
        self.address, self.place, self._bucket, self._prefix = address, address, bucket, prefix

    def read(self, name: str) -> bytes:
        with translated(f"{self.address}/{name}"):
            return bytes(self._bucket.get(self._key(name)).bytes())

    def read_end(self, name: str, size: int) -> bytes:
        with translated(f"{self.address}/{name}"):
            return bytes(self._bucket.get(self._key(name), options={"range": {"suffix": size}}).bytes())

    def write(self, name: str, data: bytes) -> None:
        with translated(f"{self.address}/{name}"):
            # One request, not parts of an upload: what is not whole is not there.
            self._bucket.put(self._key(name), data, use_multipart=False)

    def list(self, folder: str = "") -> list[Entry]:
        # A prefix is taken by whole parts of the path, so this lists a folder and not what begins like it.
        prefix = self._key(folder)
        with translated(self.address):
            found = self._bucket.list_with_delimiter(prefix or None)["objects"]
        return sorted((Entry(e["path"][len(prefix) :].lstrip("/"), e["size"]) for e in found), key=lambda e: e.name)

    def delete(self, name: str) -> None:
        with contextlib.suppress(InputError), translated(f"{self.address}/{name}"):
            self._bucket.delete(self._key(name))

    def _key(self, name: str) -> str:
        return f"{self._prefix}/{name}".strip("/")
