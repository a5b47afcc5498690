"""Running a job: one row a photo, whatever dies."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from tests.batch.jobs import InlineEngine, classify_or_die, dies_on, make_job, rows_of, save_photos
from tests.tiny_bundle import OUTPUTS, tiny_bundle, tiny_model

from binsight.batch import run
from binsight.batch.engines.local import LocalEngine
from binsight.batch.run import run_job
from binsight.batch.shard import Task
from binsight.batch.status import read_status, verify_job
from binsight.errors import BinsightError, JobError, StoreError, WorkerDiedError
from binsight.predictor import Predictor, predict_files

if TYPE_CHECKING:
    from binsight.batch.job import Job
    from binsight.stores import Store

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="kills as Unix does, and names of its files")

PHOTOS = 22


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of 22 photos: shards of four, the last of two."""
    return save_photos(tmp_path_factory.mktemp("batch") / "photos", PHOTOS)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Return where the job is kept."""
    return tmp_path / "job"


@pytest.fixture
def job(photos: Path, out: Path, shared_bundle: Path) -> tuple[Store, Job]:
    """Return a planned job."""
    return make_job(photos, out, shared_bundle)


def assert_complete(store: Store, job: Job, photos: Path, out: Path, died: int = 0) -> None:
    """Every photo has one row, and `_SUCCESS` is there."""
    found = verify_job(store, job)
    assert (found.faults, found.is_complete, found.exit_code) == ([], True, 2 if died else 0)
    assert (out / "_SUCCESS").exists()
    rows = rows_of(out)
    assert sorted(row["source"] for row in rows) == sorted(map(str, photos.rglob("*.png")))
    assert sum(row["error_code"] == "worker_died" for row in rows) == died
    assert not list((out / "_binsight" / "pieces").glob("*"))


class TestRows:
    def test_are_those_of_predicting(
        self, job: tuple[Store, Job], photos: Path, out: Path, shared_bundle: Path
    ) -> None:
        """A row says what `binsight predict` says of the photo, and names its bytes."""
        run_job(*job, InlineEngine())
        rows = rows_of(out)
        predictor = Predictor.load(shared_bundle)
        for row, found in zip(rows, predict_files(predictor, [r["source"] for r in rows], workers=1), strict=True):
            assert not isinstance(found, BinsightError)
            np.testing.assert_allclose(row["scores"], list(found.scores.values()), atol=1e-5)
            assert (row["category"], row["decision"], row["stream"]) == (found.category, found.decision, found.stream)
            assert row["confidence"] == pytest.approx(found.confidence, abs=1e-5)
            assert row["biodegradable"] == (found.biodegradability == "biodegradable")
            data = Path(row["source"]).read_bytes()
            assert (row["sha256"], row["bytes"]) == (hashlib.sha256(data).hexdigest(), len(data))
            assert row["model"] == "tiny 1.0.0"
            assert row["decode_ms"] > 0 < row["infer_ms"]
        assert_complete(*job, photos, out)

    def test_unreadable_photos_have_rows_too(self, tmp_path: Path, out: Path, shared_bundle: Path) -> None:
        """A photo that is cut, gone, or in a name that is no text is a row with an error, and the rest go on."""
        photos = save_photos(tmp_path / "own", 5)
        (photos / "cut.png").write_bytes((photos / "even" / "0000.png").read_bytes()[:60])
        Path(os.fsdecode(os.fsencode(photos) + b"/caf\xe9.png")).write_bytes(b"not a photo")
        store, job = make_job(photos, out, shared_bundle)
        (photos / "odd" / "0003.png").unlink()
        run_job(store, job, InlineEngine())
        errors = {row["source"].rpartition("/")[2]: row["error_code"] for row in rows_of(out) if row["error_code"]}
        assert errors == {"cut.png": "truncated", "0003.png": "unreadable", "caf\\udce9.png": "not_an_image"}
        found = verify_job(store, job)
        assert (found.exit_code, found.summary.failed, found.summary.photos) == (2, 3, 7)
        assert found.summary.examples["unreadable"][0].startswith(f"{photos}/odd/0003.png: cannot read ")

    def test_footer_explains_the_file(self, job: tuple[Store, Job], out: Path) -> None:
        """Each file carries labels, schema version, and the model's name, version and digest."""
        run_job(*job, InlineEngine())
        schema = pq.read_schema(out / "part-0000000.parquet")
        about = {key.decode(): value.decode() for key, value in schema.metadata.items()}
        assert json.loads(about["labels"]) == ["red", "green", "blue"]
        digest = job[1].model.digest
        assert (about["schema_version"], about["model_name"], about["model_digest"]) == ("1", "tiny", digest)
        assert [str(schema.field(n).type) for n in ("scores", "category", "sha256")] == [
            "fixed_size_list<element: float>[3]",
            "dictionary<values=string, indices=int32, ordered=0>",
            "string",
        ]


class TestResuming:
    def test_only_what_is_missing_is_done(self, job: tuple[Store, Job], photos: Path, out: Path) -> None:
        """A shard that has its file is not done again; one that has lost it is."""
        run_job(*job, InlineEngine())
        (out / "part-0000003.parquet").unlink()
        assert read_status(*job).exit_code == 1
        engine = InlineEngine()
        run_job(*job, engine)
        assert [task.shard for task in engine.tasks] == [3]
        assert_complete(*job, photos, out)

    def test_driver_killed(self, photos: Path, out: Path, shared_bundle: Path) -> None:
        """After kill -9 of the command in the middle, the same command ends the work; no photo has two rows."""
        store, job = make_job(photos, out, shared_bundle, shard_size=1)
        command = [sys.executable, "-m", "binsight", "batch", "run", str(out), "--workers", "1", "-q"]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
            while process.poll() is None and not list(out.glob("part-*")):
                time.sleep(0.001)
            process.kill()
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert_complete(store, job, photos, out)


class TestDeath:
    @pytest.mark.parametrize("retries", [0, 2])
    def test_photo_that_kills_becomes_a_row(
        self, job: tuple[Store, Job], photos: Path, out: Path, retries: int
    ) -> None:
        """A shard on which workers die is tried again so often, then halved, until one photo is left."""
        engine = InlineEngine(dies_on(2, 1))
        run_job(*job, engine, retries=retries)
        tried = [(t.start, t.stop) for t in engine.tasks if t.shard == 2 and t.photos]
        assert tried.count((0, 4)) == tried.count((1, 2)) == retries + 1
        assert tried.count((0, 2)) == tried.count((2, 4)) == tried.count((0, 1)) == 1
        assert_complete(*job, photos, out, died=1)

    def test_process_that_is_killed(
        self, job: tuple[Store, Job], photos: Path, out: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Kill -9 of a worker, as the system does when memory runs out, costs the photo it died on alone."""
        monkeypatch.setattr(run, "classify_shard", classify_or_die)
        told: list[str] = []
        with LocalEngine(2) as engine:
            run_job(*job, engine, retries=0, on_failure=lambda _task, error: told.append(str(error)))
        assert_complete(*job, photos, out, died=1)
        assert "killed by SIGKILL" in told[0]

    def test_interrupted_halving_goes_on(self, job: tuple[Store, Job], photos: Path, out: Path) -> None:
        """Pieces that an earlier run has finished are not done again."""
        store, planned = job

        def dies_once(task: Task) -> BinsightError | None:
            if task.start == 2 and not task.is_whole:
                raise KeyboardInterrupt
            return dies_on(2, 1)(task)

        with pytest.raises(KeyboardInterrupt):
            run_job(store, planned, InlineEngine(dies_once), retries=0)
        engine = InlineEngine(dies_on(2, 1))
        run_job(store, planned, engine, retries=0)
        assert (0, 2) in [(t.start, t.stop) for t in engine.tasks]
        run_job(store, planned, InlineEngine())
        assert_complete(store, planned, photos, out, died=1)

    def test_workers_that_cannot_begin_convict_no_photo(self, job: tuple[Store, Job], out: Path) -> None:
        """Where workers die before the first photo, the run ends, and no photo is blamed."""
        engine = InlineEngine(lambda _task: WorkerDiedError("the worker ended: exit code 1"))
        with pytest.raises(WorkerDiedError):
            run_job(*job, engine, retries=1)
        assert not rows_of(out)
        assert len(engine.tasks) == job[1].shards + 1  # all once, and one that has no photo

    def test_many_shards_are_not_all_tried_where_no_worker_lives(
        self, photos: Path, out: Path, shared_bundle: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """After so many deaths in a row the run ends."""
        monkeypatch.setattr(run, "_DEATHS_IN_A_ROW", 5)
        planned = make_job(photos, out, shared_bundle, shard_size=1)
        engine = InlineEngine(lambda _task: WorkerDiedError("the worker ended: exit code 1"))
        with pytest.raises(WorkerDiedError):
            run_job(*planned, engine)
        assert len(engine.tasks) == 5

    def test_store_that_is_away_ends_the_run(self, job: tuple[Store, Job], out: Path) -> None:
        """What fails for its store is tried again so often, then the run ends; nothing is written."""
        engine = InlineEngine(lambda task: StoreError("away") if task.shard == 1 else None)
        with pytest.raises(StoreError, match="away"):
            run_job(*job, engine, retries=2)
        assert [task.shard for task in engine.tasks].count(1) == 3
        assert read_status(*job).done == job[1].shards - 1


class TestVerify:
    def test_finds_what_does_not_belong(self, job: tuple[Store, Job], out: Path) -> None:
        """Files that are cut, exchanged or from elsewhere are told, and `_SUCCESS` is taken away."""
        run_job(*job, InlineEngine())
        assert verify_job(*job).is_complete
        first, second = out / "part-0000000.parquet", out / "part-0000001.parquet"
        kept = first.read_bytes()
        first.write_bytes(second.read_bytes())
        found = verify_job(*job)
        assert "part-0000000.parquet: its rows are not the photos of the plan" in found.faults[0]
        assert not (out / "_SUCCESS").exists()
        first.write_bytes(kept[:-100])
        assert "damaged" in verify_job(*job).faults[0]
        first.write_bytes(kept)
        (out / "part-0000099.parquet").write_bytes(kept)
        assert "no such shard" in verify_job(*job).faults[0]


def test_engine_raises_faults_of_the_program() -> None:
    """An exception that is none of ours is not taken for a photo's."""
    with LocalEngine(1) as engine, pytest.raises(ValueError, match="invalid literal"):
        list(engine.map(int, ["x"]))


def test_workers_end_with_their_driver() -> None:
    """Processes do not outlive what has started them, even when that is killed."""
    code = "from binsight.batch.engines.local import LocalEngine\nfrom tests.batch.waiting import wait_for_ever\n"
    code += "if __name__ == '__main__':\n    e = LocalEngine(1)\n    list(e.map(wait_for_ever, [1]))"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as driver:
        assert driver.stdout is not None
        worker = int(driver.stdout.readline())
        driver.kill()
        driver.wait()
        while True:
            try:
                os.kill(worker, 0)
            except ProcessLookupError:
                break
            time.sleep(0.01)


class TestFeatures:
    def test_are_those_of_the_network(self, job: tuple[Store, Job], out: Path) -> None:
        """On the same plan: a row for each photo with what the network gives; rows of the result are not touched."""
        run_job(*job, InlineEngine(), kind="features")
        assert not rows_of(out)
        found = verify_job(*job, "features")
        assert (found.is_verified, (out / "_features" / "_SUCCESS").exists(), (out / "_SUCCESS").exists()) == (
            True,
            True,
            False,
        )
        for row in rows_of(out / "_features"):
            colour = np.asarray(Image.open(row["source"]))[0, 0] / 255
            np.testing.assert_allclose(row["features"], colour, atol=1e-5)
            assert row["sha256"] == hashlib.sha256(Path(row["source"]).read_bytes()).hexdigest()

    def test_photo_that_kills_has_none(self, job: tuple[Store, Job], out: Path) -> None:
        """It becomes an error row, as in classifying."""
        run_job(*job, InlineEngine(dies_on(2, 1)), retries=0, kind="features")
        assert verify_job(*job, "features").exit_code == 2
        (bad,) = [row for row in rows_of(out / "_features") if row["features"] is None]
        assert bad["error_code"] == "worker_died"

    def test_network_without_features_is_refused(self, photos: Path, out: Path, tmp_path: Path) -> None:
        """Before anything is written."""
        model = tiny_bundle(
            tmp_path / "none",
            tiny_model(outputs=[name for name in OUTPUTS if name != "features"]),
        )
        planned = make_job(photos, out, model)
        with pytest.raises(JobError, match="has no output features"):
            run_job(*planned, InlineEngine(), kind="features", retries=0)
        assert not (out / "_features").exists()
