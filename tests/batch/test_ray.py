"""The engine on a real Ray cluster: two nodes of one core each, on this machine."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
from tests.batch.jobs import classify_or_die, make_job, rows_of, save_photos

from binsight.batch import run
from binsight.batch.engines.ray import RayEngine
from binsight.batch.run import run_job
from binsight.batch.status import verify_job
from binsight.errors import SettingsError, StoreError
from binsight.predictor import Predictor, predict_files

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from binsight.batch.job import Job
    from binsight.stores import Store

pytest.importorskip("ray", reason="Ray is not installed: pip install 'binsight[ray]'")
pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="Ray has several nodes on Linux only"),
    pytest.mark.filterwarnings("ignore"),  # Ray's own
]

PHOTOS, SHARD = 40, 2
NODE = {"num_cpus": 1, "object_store_memory": 80_000_000}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Return a cluster of two nodes."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    from ray.cluster_utils import Cluster  # noqa: PLC0415 - where it is installed

    started = Cluster(initialize_head=True, head_node_args={**NODE, "include_dashboard": False})
    started.add_node(**NODE)
    yield started
    started.shutdown()


@pytest.fixture
def engine(cluster: Any) -> Iterator[RayEngine]:
    """Return the engine on the cluster."""
    with RayEngine(cluster.address) as opened:
        yield opened


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of photos."""
    return save_photos(tmp_path_factory.mktemp("ray") / "photos", PHOTOS)


@pytest.fixture
def job(photos: Path, tmp_path: Path, shared_bundle: Path) -> tuple[Store, Job]:
    """Return a planned job of twenty shards."""
    return make_job(photos, tmp_path / "job", shared_bundle, shard_size=SHARD)


def assert_complete(job: tuple[Store, Job], photos: Path, out: Path) -> list[dict[str, Any]]:
    """Every photo has one row."""
    found = verify_job(*job)
    assert found.is_verified, found.faults
    rows = rows_of(out)
    assert sorted(row["source"] for row in rows) == sorted(map(str, photos.rglob("*.png")))
    return rows


def test_rows_are_those_of_predicting(
    engine: RayEngine, job: tuple[Store, Job], photos: Path, tmp_path: Path, shared_bundle: Path
) -> None:
    """Both nodes work, and say what `binsight predict` says."""
    run_job(*job, engine)
    rows = assert_complete(job, photos, tmp_path / "job")
    predicted = predict_files(Predictor.load(shared_bundle), [row["source"] for row in rows], workers=1)
    for row, found in zip(rows, predicted, strict=True):
        assert row["scores"] == pytest.approx(list(found.scores.values()), abs=1e-5)


def test_worker_that_is_killed(
    engine: RayEngine, job: tuple[Store, Job], photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that is killed, as the system does when memory runs out, costs the photo it died on alone."""
    monkeypatch.setattr(run, "classify_shard", classify_or_die)
    run_job(*job, engine, retries=0)
    rows = assert_complete(job, photos, tmp_path / "job")
    assert [row["error_code"] for row in rows].count("worker_died") == 1
    assert rows[2 * SHARD + 1]["error_code"] == "worker_died"


def test_node_that_is_added_and_killed(
    cluster: Any, engine: RayEngine, job: tuple[Store, Job], photos: Path, tmp_path: Path
) -> None:
    """A node may come and die while the job runs; what it had in work is done again elsewhere."""
    nodes: list[Any] = []

    def change(_: object) -> None:
        if not nodes:
            nodes.append(cluster.add_node(**NODE))
        elif len(nodes) == 1 and len(list((tmp_path / "job").glob("part-*"))) > PHOTOS // SHARD // 2:
            cluster.remove_node(nodes[0], allow_graceful=False)
            nodes.append(None)

    run_job(*job, engine, on_done=change)
    assert_complete(job, photos, tmp_path / "job")
    assert len(nodes) == 2


def test_driver_that_is_killed(cluster: Any, job: tuple[Store, Job], photos: Path, tmp_path: Path) -> None:
    """After kill -9 of the command, the same command ends the work; no photo has two rows."""
    out = tmp_path / "job"
    command = [sys.executable, "-m", "binsight", "batch", "run", str(out), "-q", "--engine", "ray"]
    command += ["--address", cluster.address]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None and not list(out.glob("part-*")):
            time.sleep(0.01)
        process.kill()
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert_complete(job, photos, out)


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("127.0.0.1:1", "cannot reach the Ray cluster at 127.0.0.1:1: the connection was refused"),
        ("ray://127.0.0.1:1", "cannot reach the Ray cluster at ray://127.0.0.1:1"),
        ("local", "expected ray://HOST:10001"),
        ("", "expected ray://HOST:10001"),
    ],
)
def test_cluster_that_is_not_there_is_told(address: str, words: str) -> None:
    """At once and in one line; none is started instead."""
    with pytest.raises((StoreError, SettingsError), match=words):
        RayEngine(address)
