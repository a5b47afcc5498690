"""The bytes of photos, from files and from object stores, some ahead of their turn."""

from __future__ import annotations

import errno
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from binsight.batch.job import Job, Photo
from binsight.errors import AccessError, ImageTooLargeError, InputError, StoreError
from binsight.imaging import read_photo
from binsight.stores import is_remote, open_bucket, split_address, translated

__all__ = ["PhotoReader"]

_AHEAD = 8  # photos on their way from an object store for each that is classified; also the memory that they take
# A file system that is away, or a machine at its end: no fault of the photo.
_AWAY = {errno.ESTALE, errno.ENOTCONN, errno.EHOSTDOWN, errno.ETIMEDOUT, errno.EMFILE, errno.ENFILE, errno.ENOMEM}


class PhotoReader:
    """Reads the photos of one shard.

    A photo that is missing, or that the store alone refuses, is an error of that photo. A store that is away or refuses
    everything is none: then nothing is known of the photos.
    """

    def __init__(self, job: Job) -> None:
        self._job, self.limits = job, job.limits
        self._readable: dict[str, str] = {}  # bucket → an object that could be read
        self._refused: dict[str, AccessError] = {}
        self._found, self._missing = 0, 0

    def ahead(self, photos: Sequence[Photo]) -> Iterator[tuple[Photo, Callable[[], bytes]]]:
        """Each photo with what gives its bytes; those of object stores are on their way already.

        What gives the bytes raises `InputError` or `ImageTooLargeError` for the photo, `StoreError` for its store.
        """
        if not any(is_remote(photo.path) for photo in photos):
            yield from ((photo, partial(self._read_file, photo.path)) for photo in photos)
            return
        with ThreadPoolExecutor(_AHEAD, thread_name_prefix="binsight-read") as pool:
            waiting: deque[tuple[Photo, Callable[[], bytes]]] = deque()
            for photo in photos:
                read = self._read_object if is_remote(photo.path) else self._read_file
                waiting.append((photo, pool.submit(read, photo.path).result))
                if len(waiting) > _AHEAD:
                    yield waiting.popleft()
            yield from waiting

    def check(self) -> None:
        """Make sure, after the last photo, that the errors were those of photos.

        Raises:
            StoreError: nothing could be read of a store, or it is refused now what it gave before.
        """
        for bucket, error in self._refused.items():
            if bucket not in self._readable:
                raise error
            with translated(self._readable[bucket]):
                open_bucket(bucket).head(split_address(self._readable[bucket])[1])
        source = self._job.source
        if self._missing and not self._found and not is_remote(source):
            place = os.path.join(self._job.base, source)  # noqa: PTH118 - as it was given
            if not os.path.lexists(place):
                raise StoreError(f"{place} is not there, nor any photo of it; is its disk away?")

    def _read_file(self, path: str) -> bytes:
        place = os.path.join(self._job.base, path)  # noqa: PTH118 - many of them
        try:
            data = read_photo(place, limits=self.limits)
        except InputError as error:
            reason = error.__cause__.errno if isinstance(error.__cause__, OSError) else None
            if reason in _AWAY:
                raise StoreError(str(error)) from error
            self._missing += reason == errno.ENOENT
            raise
        self._found += 1
        return data

    def _read_object(self, address: str) -> bytes:
        bucket, key = split_address(address)
        try:
            data = self._get(bucket, key, address)
        except AccessError as error:
            self._refused.setdefault(bucket, error)
            raise InputError(f"cannot read {address}: access refused") from error
        self._readable[bucket] = address
        return data

    def _get(self, bucket: str, key: str, address: str) -> bytes:
        with translated(address):
            found = open_bucket(bucket).get(key)
        size = found.meta["size"]
        if size > self.limits.max_bytes:
            raise ImageTooLargeError(f"expected at most {self.limits.max_bytes:,} bytes, got {size:,}")
        with translated(address):
            data = bytes(found.bytes())
        if len(data) != size:
            raise StoreError(f"{address}: expected {size:,} bytes, got {len(data):,}")
        return data
