"""What a job is: its model, its limits, its list of photos in shards; `_binsight/job.json` below its address."""

from __future__ import annotations

import hashlib
import io
import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from binsight.bundle import Bundle, load_bundle, resolve_bundle, zip_bundle
from binsight.errors import InputError, JobError
from binsight.imaging import ImageLimits
from binsight.stores import Store, open_store

__all__ = [
    "FOLDERS",
    "JOB",
    "MODEL",
    "PIECES",
    "SUCCESS",
    "Job",
    "Kind",
    "Model",
    "Photo",
    "open_job",
    "opened_model",
    "pack_model",
    "part_name",
    "plan_name",
    "read_photos",
]

JOB, MODEL, SUCCESS = "_binsight/job.json", "_binsight/model.zip", "_SUCCESS"
PIECES = "_binsight/pieces"  # where pieces of shards wait for the others
_FORMAT = 1

Kind = Literal["rows", "features", "mirrored"]
"""What is made of the photos: rows of the result, their features, or those of their mirror images."""
FOLDERS: dict[Kind, str] = {"rows": "", "features": "_features/", "mirrored": "_mirrored/"}
"""Where the files of each lie; readers of Parquet pass over what begins with an underscore."""


@dataclass(frozen=True, slots=True)
class Photo:
    """One photo of a plan.

    Attributes:
        source: its address or path, as it is shown.
        path: the same as it must be opened, where its name is no text.
    """

    source: str
    path: str


@dataclass(frozen=True, slots=True)
class Model:
    """What the job's photos are classified with.

    Attributes:
        digest: the SHA-256 of the bundle as one zip, as a registry knows it, in hexadecimal.
        labels: the ids of the classes, in the order of the scores.
    """

    name: str
    version: str
    digest: str
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Job:
    """A job as it was planned; nothing of it changes afterwards.

    Attributes:
        source: what the photos were taken from, as it was given.
        base: the folder that relative paths start from.
        photos: how many.
        shard_size: photos in each shard but the last.
        list_digest: of the addresses in any order, in hexadecimal.
        model: see `Model`.
        max_bytes: of a photo.
        max_pixels: of a photo.
        created: when, in UTC.
    """

    source: str
    base: str
    photos: int
    shard_size: int
    list_digest: str
    model: Model
    max_bytes: int
    max_pixels: int
    created: str

    @property
    def shards(self) -> int:
        """How many shards there are."""
        return -(-self.photos // self.shard_size)

    @property
    def limits(self) -> ImageLimits:
        """The largest photo accepted."""
        return ImageLimits(max_bytes=self.max_bytes, max_pixels=self.max_pixels)

    def size_of(self, shard: int) -> int:
        """The number of photos in a shard."""
        return min(self.shard_size, self.photos - shard * self.shard_size)

    def to_bytes(self) -> bytes:
        """`job.json` as it is written."""
        return json.dumps({"format": _FORMAT, **asdict(self)}, indent=2).encode()

    @classmethod
    def from_bytes(cls, data: bytes, *, where: str) -> Job:
        """Read `job.json`.

        Raises:
            JobError: it is none.
        """
        try:
            raw: dict[str, Any] = json.loads(data)
            is_other, model = raw.pop("format") != _FORMAT, raw.pop("model")
            job = cls(**raw, model=Model(**{**model, "labels": tuple(model["labels"])}))
            is_damaged = job.photos < 0 or job.shard_size < 1
        except (ValueError, TypeError, KeyError, AttributeError):
            is_other, is_damaged = False, True
        if is_other:
            raise JobError(f"{where}: written by another version of binsight; use that one, or plan a new job")
        if is_damaged:
            raise JobError(f"{where}: damaged; plan the job again in another folder")
        return job


def part_name(shard: int, kind: Kind = "rows") -> str:
    """The file whose presence means that a shard is done: its rows, or its features."""
    return f"{FOLDERS[kind]}part-{shard:07d}.parquet"


def plan_name(shard: int) -> str:
    """The file that lists a shard's photos."""
    return f"_binsight/plan/{part_name(shard)}"


def open_job(address: str) -> tuple[Store, Job]:
    """A job that was planned.

    Raises:
        JobError: there is none, or it is damaged.
        StoreError: its store refuses.
    """
    store = open_store(address)
    try:
        data = store.read(JOB)
    except InputError as error:
        raise JobError(f"{address}: no job here; plan one: binsight batch plan PHOTOS --out {address}") from error
    return store, Job.from_bytes(data, where=f"{address.rstrip('/')}/{JOB}")


def read_photos(store: Store, shard: int) -> Sequence[Photo]:
    """The photos of a shard, in the order of its rows.

    Raises:
        JobError: the plan is damaged.
        StoreError: the store refuses.
    """
    try:
        table = pq.read_table(io.BytesIO(store.read(plan_name(shard))))
        sources, raw = table["source"].to_pylist(), table["raw"].to_pylist()
    except (InputError, pa.ArrowException, KeyError) as error:
        raise JobError(f"{store.address}: {plan_name(shard)}: damaged or missing; plan the job again") from error
    return [Photo(s, s if r is None else r.decode("utf-8", "surrogatepass")) for s, r in zip(sources, raw, strict=True)]


def pack_model(model: str | Path) -> tuple[Bundle, bytes]:
    """A bundle, and it as one file; the same bundle gives the same bytes.

    Raises:
        InputError: there is no such bundle.
        BundleError: it is malformed or was altered.
    """
    bundle = load_bundle(resolve_bundle(model))
    return bundle, zip_bundle(bundle)


@contextmanager
def opened_model(store: Store, job: Job) -> Iterator[Bundle]:
    """The job's own copy of its model; what is needed of it must be read inside the block.

    Raises:
        JobError: it is missing, or not the one that the job was planned with.
    """
    try:
        data = store.read(MODEL)
    except InputError as error:
        raise JobError(f"{error}; plan the job again in another folder") from error
    if hashlib.sha256(data).hexdigest() != job.model.digest:
        raise JobError(f"{store.address}/{MODEL}: not the model that the job was planned with")
    with tempfile.TemporaryDirectory(prefix="binsight-") as folder:
        path = Path(folder, "model.zip")
        path.write_bytes(data)
        yield load_bundle(path)
