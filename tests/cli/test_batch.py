"""`binsight batch`: what a person types, sees, and is refused."""

from __future__ import annotations

import json
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Self

import pytest
from tests.batch.jobs import InlineEngine, rows_of, save_photos
from tests.tiny_bundle import tiny_bundle, tiny_manifest

from binsight.cli import batch_run
from binsight.errors import StoreError
from binsight.probability import ReviewThresholds

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import RunBinsight


OPEN_ENGINE = batch_run._open_engine


class _Inline(InlineEngine):
    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


@pytest.fixture(autouse=True)
def inline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in this process."""
    monkeypatch.setattr(batch_run, "_open_engine", lambda *_: _Inline())


def test_all_in_one(binsight: RunBinsight, tmp_path: Path, photos: Path) -> None:
    """A source and a place give rows, `_SUCCESS`, a report and exit code 0; the same again does nothing new."""
    run = binsight("batch", photos, "--out", tmp_path / "job")
    assert run.code == 0, run.err
    assert "3 of 3 photos, 1 of 1 shards" in run.out
    assert "complete, every row compared with the plan" in run.out
    assert "note: 3 files passed over that are no photos" in run.err
    assert {row["category"] for row in rows_of(tmp_path / "job")} == {"red", "green", "blue"}
    assert (tmp_path / "job" / "_SUCCESS").exists()
    page = (tmp_path / "job" / "_binsight" / "report.html").read_text()
    assert "Red things" in page
    assert "<svg" in page
    before = (tmp_path / "job" / "part-0000000.parquet").stat().st_mtime_ns
    assert binsight("batch", photos, "--out", tmp_path / "job", "-q").code == 0
    assert (tmp_path / "job" / "part-0000000.parquet").stat().st_mtime_ns == before


def test_rows_have_the_names_of_predict(
    binsight: RunBinsight, tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relative folder gives the same names as `binsight predict` has, and is found from anywhere."""
    monkeypatch.chdir(tmp_path)
    predicted = {r["source"]: r for r in binsight("predict", "photos", "--json").objects()}
    assert binsight("batch", "plan", "photos", "--out", tmp_path / "job").code == 0
    monkeypatch.chdir("/")
    assert binsight("batch", "run", tmp_path / "job").code == 0
    rows = {row["source"]: row for row in rows_of(tmp_path / "job")}
    assert rows.keys() == predicted.keys()
    for name, row in rows.items():
        assert list(predicted[name]["confidence_scores"].values()) == pytest.approx(row["scores"], abs=1e-5)


@pytest.mark.usefixtures("broken")
def test_error_rows_are_exit_code_2(binsight: RunBinsight, tmp_path: Path, photos: Path) -> None:
    """Of run, status and verify; status names an example, and the report does."""
    out = tmp_path / "job"
    assert binsight("batch", photos, "--out", out).code == 2
    status = binsight("batch", "status", out)
    assert (status.code, "error truncated: 1, such as" in status.out) == (2, True)
    assert binsight("batch", "verify", out, "-q").code == 2
    assert "b_cut.png" in (out / "_binsight" / "report.html").read_text()


def test_incomplete_is_exit_code_1(binsight: RunBinsight, tmp_path: Path) -> None:
    """A part is done by itself; status and verify say what is missing, until all parts are done."""
    out = tmp_path / "job"
    photos = save_photos(tmp_path / "many", 10)
    assert binsight("batch", "plan", photos, "--out", out, "--shard-size", "3").code == 0
    part = binsight("batch", "run", out, "--part", "0/2")
    assert (part.code, "part 0/2 is done; when all are: binsight batch verify" in part.out) == (0, True)
    assert binsight("batch", "verify", out, "-q").code == 1
    found = binsight("batch", "status", out, "--json")
    values = json.loads(found.out)
    assert (found.code, values["shards_done"], values["photos_done"], values["complete"]) == (1, 2, 6, False)
    assert values["remaining_s"] > 0
    assert "incomplete, about" in binsight("batch", "status", out).out
    assert binsight("batch", "run", out, "--part", "1/2").code == 0
    assert not (out / "_SUCCESS").exists()
    assert binsight("batch", "verify", out, "-q").code == 0
    assert (out / "_SUCCESS").exists()


def test_index_of_the_scheduler(binsight: RunBinsight, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--engine index` takes the part that Kubernetes, Slurm or AWS Batch names."""
    out = tmp_path / "job"
    binsight("batch", "plan", save_photos(tmp_path / "many", 6), "--out", out, "--shard-size", "3")
    monkeypatch.setenv("JOB_COMPLETION_INDEX", "1")
    assert binsight("batch", "run", out, "--engine", "index", "--part", "/2").code == 0
    assert [path.name for path in out.glob("*.parquet")] == ["part-0000001.parquet"]


def test_features_of_a_job(binsight: RunBinsight, tmp_path: Path, photos: Path) -> None:
    """They lie below the job, and the command ends as run does."""
    binsight("batch", "plan", photos, "--out", tmp_path / "job")
    run = binsight("features", tmp_path / "job")
    assert (run.code, "3 of 3 photos" in run.out) == (0, True)
    assert [len(row["features"]) for row in rows_of(tmp_path / "job" / "_features")] == [3, 3, 3]
    assert not (tmp_path / "job" / "_mirrored").exists()
    assert binsight("features", tmp_path / "job", "--mirrored").code == 0
    assert (tmp_path / "job" / "_mirrored" / "_SUCCESS").exists()
    status = binsight("batch", "status", tmp_path / "job")
    assert (status.code, status.out.splitlines()[-1]) == (1, "mirrored: 3 of 3 photos, 1 of 1 shards, complete")
    assert json.loads(binsight("batch", "status", tmp_path / "job", "--json").out)["features"]["complete"] is True


@pytest.mark.parametrize("more", [(), ("--mirrored",)])
def test_features_that_are_missing(
    binsight: RunBinsight, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: tuple[str, ...]
) -> None:
    """What goes on, and what verifies the parts of an array job, is the same command."""
    out = tmp_path / "job"
    binsight("batch", "plan", save_photos(tmp_path / "many", 6), "--out", out, "--shard-size", "3")
    again = " ".join(("binsight features", *more, str(out)))
    assert f"when all are: {again}\n" in binsight("features", out, *more, "--part", "0/2").out
    monkeypatch.setattr(batch_run, "_open_engine", lambda *_: _Inline(lambda _task: StoreError("away")))
    assert f"to go on: {again}\n" in binsight("features", out, *more, "--retries", "0").err


def test_ray_that_is_not_there(
    binsight: RunBinsight, tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its extra is advised, and an address that is none is wrong use: neither is a job that ended early."""
    binsight("batch", "plan", photos, "--out", tmp_path / "job")
    monkeypatch.setattr(batch_run, "_open_engine", OPEN_ENGINE)
    for ray, words in ((None, 'pip install "binsight[ray]"'), (ModuleType("ray"), "expected ray://HOST:10001")):
        monkeypatch.setitem(sys.modules, "ray", ray)
        run = binsight("batch", "run", tmp_path / "job", "--engine", "ray", "--address", "head")
        assert (run.code, run.out, words in run.err) == (2, "", True)
        assert "to go on" not in run.err


def test_resume_takes_the_plan_that_is_there(binsight: RunBinsight, tmp_path: Path, photos: Path, bundle: Path) -> None:
    """Without listing again; another model is refused all the same."""
    out = tmp_path / "job"
    assert binsight("batch", photos, "--out", out, "--resume").code == 0
    (photos / "a_red.png").rename(photos / "other.png")
    assert binsight("batch", photos, "--out", out, "--resume").code == 0
    changed = binsight("batch", photos, "--out", out)
    assert (changed.code, "planned with another list of 3 photos" in changed.err) == (2, True)
    other = binsight("batch", photos, "--out", out, "--resume", "--model", "waste8")
    assert (other.code, "planned with another model" in other.err) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("plan", "--out", "job"), "either SOURCE or --list FILE"),
        (("plan", "none/", "--out", "job"), "there is nothing of that name"),
        (("plan", "photos", "--out", "ftp://x/y"), "expected a folder, or an address"),
        (("run", "none"), "no job here; plan one"),
        (("status", "none"), "no job here"),
        (("statsu", "none"), "Did you mean 'status'?"),
        (("run", "job", "--engine", "ray"), "one needs the other"),
        (("run", "job", "--address", "ray://x:1"), "one needs the other"),
        (("run", "job", "--engine", "local", "--part", "0/2"), "--part goes with --engine index"),
        (("photos", "--out", "job", "--model", "none"), "no model bundle"),
    ],
)
def test_wrong_use_is_one_line(
    binsight: RunBinsight,
    tmp_path: Path,
    photos: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    words: str,
) -> None:
    """Exit code 2, what was expected, and nothing written."""
    monkeypatch.chdir(tmp_path)
    run = binsight("batch", *arguments)
    assert (run.code, run.out) == (2, "")
    assert words in run.err
    assert not (tmp_path / "job").exists()


def test_strange_camera_is_told(binsight: RunBinsight, tmp_path: Path) -> None:
    """Photos that as a whole look unlike what the model knows are warned of, as predict does."""
    review = ReviewThresholds(confidence=(0.0,) * 3, unfamiliarity=0.5)
    manifest = tiny_manifest(review=review, training={"unfamiliarity_median": 0.1})
    model = tiny_bundle(tmp_path / "shy", manifest=manifest)
    run = binsight("batch", save_photos(tmp_path / "many", 24), "--out", tmp_path / "job", "--model", model)
    assert "warning: this camera is strange to tiny: 24 of 24 photos" in run.err
    assert "this camera is strange" in (tmp_path / "job" / "_binsight" / "report.html").read_text()
