"""The plan of a job: which photo belongs to which shard, written once; memory does not grow with their number."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from binsight.batch.job import JOB, MODEL, Job, Model, open_job, pack_model, plan_name
from binsight.batch.repeats import Repeats
from binsight.batch.sources import Source
from binsight.errors import InputError, JobError
from binsight.imaging import ImageLimits
from binsight.stores import Store, open_store

__all__ = ["Planned", "check_model", "plan_job"]

_LARGEST_SHARD = 10_000
_SMALLEST_SHARD = 250  # photos: about a second of work, beside which writing a file is nothing
_SHARDS_OF_FEW = 64  # enough for all cores of a machine to end at about the same time
_LOOKED_AHEAD = 160_000
_SCHEMA = pa.schema([("source", pa.string()), ("raw", pa.binary())])

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan, and what came up while it was made.

    Attributes:
        is_new: false where the job had been planned before, of the same photos.
        repeated: photos that were listed again, and count once.
    """

    job: Job
    is_new: bool
    repeated: int


def plan_job(
    source: Source,
    out: str,
    *,
    model: str | Path,
    limits: ImageLimits,
    shard_size: int | None = None,
    dry_run: bool = False,
    progress: Progress = lambda _photos: None,
) -> Planned:
    """List the photos and write the plan; where there is one of the same list, model and limits, leave it as it is.

    Args:
        source: the photos.
        out: the address of the job.
        model: a bundle's path or name.
        limits: the largest photo accepted.
        shard_size: photos in a shard; by default 10,000, of fewer than 160,000 photos less.
        dry_run: write nothing.
        progress: called now and then with the number of photos listed.

    Raises:
        InputError: there are no photos, or no such model.
        JobError: a job with another list, model or limits is there.
        StoreError: a store refuses.
    """
    store = open_store(out)
    bundle, packed = pack_model(model)
    known = Model(
        bundle.manifest.name,
        bundle.manifest.version,
        hashlib.sha256(packed).hexdigest(),
        tuple(bundle.manifest.taxonomy.ids),
    )
    old = _read_old(store)
    if old is not None:
        check_model(old, known.digest, out)
        _check_limits(old, limits, out)
    listing = _Listing(source, progress)
    photos = iter(listing)
    ahead = list(islice(photos, _LOOKED_AHEAD))
    size = shard_size or (old.shard_size if old else _choose_size(len(ahead)))
    if not ahead:
        raise InputError(f"{source.address}: no photos found")
    keeps = dry_run or old is not None
    if not keeps:
        _begin(store, packed)
    _write_shards(None if keeps else store, _joined(ahead, photos), size)
    job = Job(
        source=source.address,
        base=str(source.base),
        photos=listing.photos,
        shard_size=size,
        list_digest=listing.digest,
        model=known,
        max_bytes=limits.max_bytes,
        max_pixels=limits.max_pixels,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    if old is not None:
        _check_list(old, job, out)
        return Planned(old, is_new=False, repeated=listing.repeated)
    if not dry_run:
        store.write(JOB, job.to_bytes())  # last: with it, the plan is whole
    return Planned(job, is_new=True, repeated=listing.repeated)


def check_model(job: Job, digest: str, out: str) -> None:
    """Refuse to go on with another model.

    Raises:
        JobError: `digest` is not that of the job's model.
    """
    if digest != job.model.digest:
        was = f"{job.model.name} {job.model.version} ({job.model.digest[:12]})"
        raise JobError(f"{out}: planned with another model, {was}, not {digest[:12]}; give that one, or another --out")


def _check_limits(old: Job, limits: ImageLimits, out: str) -> None:
    if (old.max_bytes, old.max_pixels) != (limits.max_bytes, limits.max_pixels):
        was = f"--max-mb {old.max_bytes / 1e6:g} --max-megapixels {old.max_pixels / 1e6:g}"
        raise JobError(f"{out}: planned with other limits, {was}; give these, or another --out")


def _check_list(old: Job, new: Job, out: str) -> None:
    if (old.list_digest, old.photos) != (new.list_digest, new.photos):
        raise JobError(
            f"{out}: planned with another list of {old.photos:,} photos from {old.source}, now there are "
            f"{new.photos:,}; give another --out, or go on with the old list: binsight batch run {out}"
        )
    if old.shard_size != new.shard_size:
        raise JobError(f"{out}: planned with --shard-size {old.shard_size}; leave it out, or give another --out")


def _read_old(store: Store) -> Job | None:
    try:
        return open_job(store.address)[1]
    except JobError:
        names = {entry.name for entry in store.list("_binsight")}
        if Path(JOB).name in names:
            raise
    if any(entry.name.endswith(".parquet") for entry in store.list()):
        raise JobError(f"{store.address}: holds Parquet files but no job; give another --out") from None
    return None


def _begin(store: Store, model: bytes) -> None:
    """Take away what a planning that did not come to its end has left."""
    for entry in store.list("_binsight/plan"):
        store.delete(f"_binsight/plan/{entry.name}")
    store.write(MODEL, model)


def _choose_size(photos: int) -> int:
    if photos >= _LOOKED_AHEAD:
        return _LARGEST_SHARD
    return min(_LARGEST_SHARD, max(_SMALLEST_SHARD, -(-photos // _SHARDS_OF_FEW)))


def _joined(first: list[str], rest: Iterator[str]) -> Iterator[str]:
    yield from first
    first.clear()
    yield from rest


def _write_shards(store: Store | None, photos: Iterator[str], size: int) -> None:
    shard = 0
    while some := list(islice(photos, size)):
        if store is not None:
            store.write(plan_name(shard), _encode(some))
        shard += 1


def _encode(photos: Iterable[str]) -> bytes:
    rows = [_row(photo) for photo in photos]
    file = io.BytesIO()
    table = pa.Table.from_arrays(
        [pa.array(c, t) for c, t in zip(zip(*rows, strict=True), _SCHEMA.types, strict=True)], schema=_SCHEMA
    )
    pq.write_table(table, file, compression="zstd", use_dictionary=False)
    return file.getvalue()


def _row(photo: str) -> tuple[str, bytes | None]:
    if photo.isascii():
        return photo, None
    try:
        photo.encode()
    except UnicodeEncodeError:  # a file's name with bytes that are no text
        return photo.encode("utf-8", "backslashreplace").decode(), photo.encode("utf-8", "surrogatepass")
    return photo, None


class _Listing:
    """The photos of a source, each once, and what can be said of them when they have all been seen."""

    def __init__(self, source: Source, progress: Progress) -> None:
        self._source, self._progress = source, progress
        self.photos, self.repeated, self._sum = 0, 0, 0

    @property
    def digest(self) -> str:
        """Of the addresses in any order: the sum of their hashes."""
        return f"{self._sum:032x}"

    def __iter__(self) -> Iterator[str]:
        repeated = self._find_repeated() if self._source.may_repeat else frozenset()
        seen: set[str] = set()
        for photo in self._source.photos():
            key = _hash(photo)
            if key & _LOW in repeated:
                if photo in seen:
                    self.repeated += 1
                    continue
                seen.add(photo)
            self._sum = (self._sum + key) & _MASK
            self.photos += 1
            if not self.photos % _LARGEST_SHARD:
                self._progress(self.photos)
            yield photo

    def _find_repeated(self) -> Collection[int]:
        with Repeats() as repeats:
            for photo in self._source.photos():
                repeats.add(_hash(photo) & _LOW)
            return repeats.find()


_MASK, _LOW = (1 << 128) - 1, (1 << 64) - 1


def _hash(photo: str) -> int:
    return int.from_bytes(hashlib.blake2b(photo.encode("utf-8", "surrogatepass"), digest_size=16).digest(), "little")
