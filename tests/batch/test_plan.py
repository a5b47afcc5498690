"""Planning: which photos, in which shards, and what a second plan may change."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.batch.jobs import make_job, save_photos
from tests.tiny_bundle import tiny_bundle, tiny_manifest

from binsight.batch.job import read_photos
from binsight.batch.lists import list_addresses
from binsight.batch.plan import plan_job
from binsight.batch.repeats import Repeats
from binsight.batch.sources import find_source
from binsight.errors import DatasetError, InputError, JobError
from binsight.imaging import ImageLimits

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from binsight.batch.job import Job
    from binsight.stores import Store


def planned(store: Store, job: Job) -> list[str]:
    """Return all photos of a plan."""
    return [photo.source for shard in range(job.shards) for photo in read_photos(store, shard)]


def listed(path: Path | str) -> list[str]:
    """Return what a list names."""
    return list(find_source(str(path), is_list=True).photos())


class TestPlan:
    def test_every_photo_is_in_one_shard(self, tmp_path: Path, shared_bundle: Path) -> None:
        """Shards have the size asked for, the last one what is left."""
        photos = save_photos(tmp_path / "photos", 10)
        store, job = make_job(photos, tmp_path / "job", shared_bundle)
        assert (job.photos, job.shards, [job.size_of(s) for s in range(3)]) == (10, 3, [4, 4, 2])
        assert sorted(planned(store, job)) == sorted(map(str, photos.rglob("*.png")))

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"model": "other"}, "planned with another model, tiny 1.0.0"),
            ({"limits": ImageLimits(max_bytes=1000)}, "planned with other limits, --max-mb 20"),
            ({"source": "other"}, "planned with another list of 4 photos"),
            ({"shard_size": 3}, "planned with --shard-size 4"),
        ],
    )
    def test_second_plan_must_be_the_same(
        self, tmp_path: Path, shared_bundle: Path, change: dict[str, object], words: str
    ) -> None:
        """The same again changes nothing; another model, list, limit or size is refused."""
        photos, out = save_photos(tmp_path / "photos", 4), tmp_path / "job"
        make_job(photos, out, shared_bundle)
        before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
        make_job(photos, out, shared_bundle)
        if change.get("model"):
            change["model"] = tiny_bundle(tmp_path / "other", manifest=tiny_manifest(version="2.0.0"))
        if change.get("source"):
            change["source"] = save_photos(tmp_path / "others", 4)
        values = {"source": photos, "out": out, "model": shared_bundle} | change
        with pytest.raises(JobError, match=words):
            make_job(**values)
        assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before

    def test_dry_run_writes_nothing(self, tmp_path: Path, shared_bundle: Path) -> None:
        """It counts, and leaves no folder."""
        photos, out = save_photos(tmp_path / "photos", 5), tmp_path / "job"
        source = find_source(str(photos))
        found = plan_job(source, str(out), model=shared_bundle, limits=ImageLimits(), dry_run=True)
        assert (found.job.photos, out.exists()) == (5, False)

    def test_unfinished_plan_is_made_anew(self, tmp_path: Path, shared_bundle: Path) -> None:
        """What a planning that was killed has left is no part of the next."""
        photos, out = save_photos(tmp_path / "photos", 10), tmp_path / "job"
        make_job(photos, out, shared_bundle)
        (out / "_binsight" / "job.json").unlink()
        _, job = make_job(save_photos(tmp_path / "few", 3), out, shared_bundle)
        assert (job.shards, len(list((out / "_binsight" / "plan").iterdir()))) == (1, 1)

    def test_folder_of_other_files_is_no_place(self, tmp_path: Path, shared_bundle: Path) -> None:
        """Parquet files that are nobody's job are not mixed with one's own."""
        out = tmp_path / "job"
        out.mkdir()
        pq.write_table(pa.table({"a": [1]}), out / "old.parquet")
        with pytest.raises(JobError, match="holds Parquet files but no job"):
            make_job(save_photos(tmp_path / "photos", 1), out, shared_bundle)

    @pytest.mark.parametrize(("photos", "size"), [(10, 250), (20_000, 313)])
    def test_few_photos_have_small_shards(self, tmp_path: Path, shared_bundle: Path, photos: int, size: int) -> None:
        """So that all cores of a machine are busy to the end."""
        path = tmp_path / "list.txt"
        path.write_text("".join(f"{n}.jpg\n" for n in range(photos)))
        source = find_source(str(path))
        found = plan_job(source, str(tmp_path / "job"), model=shared_bundle, limits=ImageLimits(), dry_run=True)
        assert found.job.shard_size == size


class TestLists:
    def test_photo_that_is_listed_twice_counts_once(self, tmp_path: Path, shared_bundle: Path) -> None:
        """The first of them stays, and how many more there were is told."""
        path = tmp_path / "list.txt"
        path.write_text("a.jpg\nb.jpg\na.jpg\nc.jpg\na.jpg\n")
        source = find_source(str(path))
        found = plan_job(source, str(tmp_path / "job"), model=shared_bundle, limits=ImageLimits())
        assert (found.repeated, found.job.photos) == (2, 3)

    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
    def test_text_in_any_encoding(self, tmp_path: Path, encoding: str) -> None:
        """Names come through, whatever editor wrote the list; empty lines are none."""
        path = tmp_path / "list.txt"
        path.write_bytes("süß 1.jpg\r\n\r\ns3://b/k.png\n/x/#y.jpg".encode(encoding))
        assert listed(path) == ["süß 1.jpg", "s3://b/k.png", "/x/#y.jpg"]

    @pytest.mark.parametrize(
        ("name", "content"),
        [
            ("list.csv", "class,path\nred,a.jpg\ngreen,s3://b/k.jpg\n"),
            ("list.tsv", "class\tpath\nred\ta.jpg\ngreen\ts3://b/k.jpg\n"),
            ("list.jsonl", '{"path": "a.jpg"}\n\n{"path": "s3://b/k.jpg"}\n'),
        ],
    )
    def test_tables_have_paths_from_their_folder(self, tmp_path: Path, name: str, content: str) -> None:
        """As a data set's manifest has it; packed ones are read as well."""
        path = tmp_path / name
        path.write_text(content)
        assert listed(path) == [str(tmp_path / "a.jpg"), "s3://b/k.jpg"]
        packed = tmp_path / f"{name}.gz"
        packed.write_bytes(gzip.compress(content.encode()))
        assert listed(packed) == listed(path)

    @pytest.mark.parametrize(
        "columns",
        [{"source": ["s3://b/1.jpg"], "n": [1]}, {"Bucket": ["b"], "Key": ["1.jpg"]}, {"whatever": ["s3://b/1.jpg"]}],
    )
    def test_parquet(self, tmp_path: Path, columns: dict[str, Sequence[object]]) -> None:
        """The column of addresses is found, or bucket and key are put together."""
        pq.write_table(pa.table(columns), tmp_path / "list.parquet")
        assert listed(tmp_path / "list.parquet") == ["s3://b/1.jpg"]

    @pytest.mark.parametrize(
        ("name", "content", "words"),
        [
            ("a.csv", b"x,y\n1,2\n", "expected a photo in a column source"),
            ("a.csv", b"path,class\na.jpg\n", "line 2: expected 2 columns, got 1"),
            ("a.jsonl", b"{", "line 1: no JSON"),
            ("a.jsonl", b"[1]", "line 1: expected an object"),
            ("a.parquet", b"no parquet", "expected a Parquet file"),
            ("a.txt", b"\0\0\0", "zero bytes"),
            ("a.txt.gz", b"not packed", "damaged"),
            ("manifest.json", b"{}", "expected the manifest.json of an S3 Inventory"),
        ],
    )
    def test_damaged_lists_are_refused(self, tmp_path: Path, name: str, content: bytes, words: str) -> None:
        """With what was expected, and where."""
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises((DatasetError, InputError), match=words):
            listed(path)

    def test_missing_list_is_told(self, tmp_path: Path) -> None:
        """With its name."""
        with pytest.raises(InputError, match=r"cannot read .*none\.txt: no such file"):
            list(list_addresses(str(tmp_path / "none.txt"), tmp_path))

    @pytest.mark.parametrize("form", ["CSV", "Parquet"])
    def test_inventory(self, tmp_path: Path, form: str) -> None:
        """Of an S3 Inventory, keys are decoded; old versions, deleted objects and what is no photo are left out."""
        rows = [("in", "2026/a b+1.jpg", True, False), ("in", "2026/old.jpg", False, False)]
        rows += [("in", "2026/gone.jpg", True, True), ("in", "notes.txt", True, False)]
        data = tmp_path / "data" / f"part.{'csv.gz' if form == 'CSV' else 'parquet'}"
        data.parent.mkdir()
        if form == "CSV":
            text = "".join(f'"{b}","{k.replace("+", "%2B").replace(" ", "+")}","{v}","{d}"\n' for b, k, v, d in rows)
            data.write_bytes(gzip.compress(text.lower().encode().replace(b"%2b", b"%2B")))
        else:
            names = ("bucket", "key", "is_latest", "is_delete_marker")
            pq.write_table(pa.table(dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))), data)
        manifest = {
            "destinationBucket": "arn:aws:s3:::inventories",
            "fileFormat": form,
            "fileSchema": "Bucket, Key, IsLatest, IsDeleteMarker",
            "files": [{"key": f"in/daily/data/{data.name}", "size": 1}],
        }
        (tmp_path / "manifest.json").write_text(json.dumps(manifest))
        source = find_source(str(tmp_path / "manifest.json"))
        assert list(source.photos()) == ["s3://in/2026/a b+1.jpg"]
        assert source.passed_over == 1


class TestSources:
    def test_what_is_none_is_refused(self, tmp_path: Path) -> None:
        """A file that is no list, a place that does not exist, and a folder without photos."""
        (tmp_path / "photo.jpg").write_bytes(b"x")
        with pytest.raises(InputError, match="expected a folder, an address"):
            find_source(str(tmp_path / "photo.jpg"))
        with pytest.raises(InputError, match="there is nothing of that name"):
            find_source(str(tmp_path / "none"))

    def test_no_photos_is_an_error(self, tmp_path: Path, shared_bundle: Path) -> None:
        """A job of nothing would look like one that is done."""
        (tmp_path / "photos").mkdir()
        with pytest.raises(InputError, match="no photos found"):
            make_job(tmp_path / "photos", tmp_path / "job", shared_bundle)


def test_repeats_are_found_among_many() -> None:
    """Numbers from all parts of the range that come twice or more are found, others are not."""
    with Repeats() as repeats:
        for number in range(200_000):
            repeats.add(number * 92233720368547 % (1 << 64))
        for number in (0, 5 * 92233720368547, 5 * 92233720368547, 199_999 * 92233720368547 % (1 << 64)):
            repeats.add(number)
        assert repeats.find() == {0, 5 * 92233720368547, 199_999 * 92233720368547 % (1 << 64)}
