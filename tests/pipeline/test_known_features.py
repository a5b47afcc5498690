"""Training on features that `binsight features` has made."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from tests.batch.jobs import InlineEngine, make_job
from tests.pipeline.tiny import COLOURS, FAST, SIZE, tiny_backbone

from binsight.batch.features import JobFeatures
from binsight.batch.run import run_job
from binsight.bundle import load_bundle
from binsight.dataset import scan
from binsight.errors import BinsightError, JobError, SettingsError
from binsight.pipeline import run as run_module
from binsight.pipeline.backbone import ChosenBackbone
from binsight.pipeline.presets import resolve_config
from binsight.pipeline.train import TrainResult, places_beside, train
from binsight.pipeline.tune import tune
from binsight.training.features import FeatureExtractor

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.pipeline.conftest import Trained
    from tests.pipeline.tiny import CollectingReporter


@pytest.fixture(scope="module")
def job(trained: Trained, photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a job with the features of all photos, upright and mirrored, of a model on the frozen tiny backbone."""
    out = tmp_path_factory.mktemp("known") / "job"
    planned = make_job(photos, out, trained.result.bundle, shard_size=25)
    run_job(*planned, InlineEngine(), kind="features")
    run_job(*planned, InlineEngine(), kind="mirrored")
    return out


@pytest.fixture
def run(tiny: None, photos: Path, tmp_path: Path, reporter: CollectingReporter) -> Callable[..., TrainResult]:
    """Trains on the tiny photos with features that are known."""

    def go(job: Path, **flags: str) -> TrainResult:
        config = resolve_config(flags={**FAST, **flags})
        dataset, places = scan(photos, taxonomy=COLOURS), places_beside(tmp_path / "mine")
        return train(dataset, config, places, workers=2, reporter=reporter, known=JobFeatures(str(job)))

    return go


def never(*_: Any) -> None:
    """Fail."""
    pytest.fail("a photo was run through the network again")


def test_no_photo_is_run_through_the_network_again(
    run: Callable[..., TrainResult],
    job: Path,
    trained: Trained,
    reporter: CollectingReporter,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The model is the one that is trained without, byte by byte."""
    monkeypatch.setattr(FeatureExtractor, "_run", never)
    found, known = load_bundle(run(job).bundle), load_bundle(trained.result.bundle)
    assert found.read_model() == known.read_model()
    assert f"features of 60 photos are taken from {job}, of " in " ".join(reporter.lines)


def test_a_search_takes_them_too(
    tiny: None, photos: Path, job: Path, tmp_path: Path, reporter: CollectingReporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As training does."""
    monkeypatch.setattr(FeatureExtractor, "_run", never)
    config = resolve_config(flags={**FAST, "trials": "1", "tuning-epochs": "1"})
    dataset, known = scan(photos, taxonomy=COLOURS), JobFeatures(str(job))
    result = tune(dataset, config, tmp_path / "out", work=tmp_path / "work", workers=2, reporter=reporter, known=known)
    assert len(result.trials) == 1


def test_what_is_missing_is_computed(
    run: Callable[..., TrainResult], job: Path, trained: Trained, photos: Path, tmp_path: Path
) -> None:
    """A job that is not finished, and without mirror images, is of use as far as it goes."""
    planned = make_job(photos, tmp_path / "part", trained.result.bundle, shard_size=25)
    run_job(*planned, InlineEngine(), kind="features", shards=[1])
    assert load_bundle(run(tmp_path / "part").bundle).read_model() == load_bundle(trained.result.bundle).read_model()


@pytest.mark.parametrize("fault", ["backbone", "size", "damaged", "none"])
def test_features_of_something_else_are_refused(
    run: Callable[..., TrainResult], job: Path, trained: Trained, photos: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, fault: str,
) -> None:  # fmt: skip
    """In one line, before the photos are looked at; or before any of a file that is damaged are used."""
    out, flags = job, {}
    wanted = (SettingsError, "are not those of this backbone")
    if fault != "damaged":
        monkeypatch.setattr(run_module, "prepare_data", never)
    if fault == "backbone":
        graph = tiny_backbone()
        graph.graph.initializer[0].raw_data = np.float32(127).tobytes()
        monkeypatch.setattr(ChosenBackbone, "to_onnx", lambda *_: graph)
    elif fault == "size":
        flags, wanted = {"backbone-size": str(2 * SIZE)}, (SettingsError, f"size .*{SIZE}, {SIZE}.* here .*{2 * SIZE}")
    else:
        out = tmp_path / "own"
        planned = make_job(photos, out, trained.result.bundle)
        wanted = (JobError, "binsight features")
        if fault == "damaged":
            run_job(*planned, InlineEngine(), kind="features")
            (out / "_features" / "part-0000001.parquet").write_bytes(b"PAR1")
            wanted = (JobError, "damaged")
    with pytest.raises(wanted[0], match=wanted[1]) as caught:
        run(out, **flags)
    assert "\n" not in str(caught.value)


def test_features_of_another_model_are_refused(job: Path, trained: Trained, photos: Path, tmp_path: Path) -> None:
    """A file that another job's model has made is told by the digest in it."""
    other = tmp_path / "other"
    planned = make_job(photos, other, trained.result.bundle, shard_size=25)
    run_job(*planned, InlineEngine(), kind="features")
    known = JobFeatures(str(other))
    known._job = replace(known._job, model=replace(known._job.model, digest="0" * 64))
    with pytest.raises(BinsightError, match="of another job"):
        list(known.parts())
