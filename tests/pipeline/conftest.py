"""A data set and a backbone small enough for tests, and one training that several tests look at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from tests.pipeline.tiny import COLOURS, FAST, CollectingReporter, make_photos, make_small

from binsight.dataset import scan
from binsight.pipeline.presets import resolve_config
from binsight.pipeline.train import TrainResult, places_beside, train

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of 60 photos of three colours, without split or taxonomy; no test changes it."""
    return make_photos(tmp_path_factory.mktemp("photos") / "colours")


@pytest.fixture
def reporter() -> CollectingReporter:
    """Return what remembers what it was told."""
    return CollectingReporter()


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every backbone be the tiny one, and let intervals be rough."""
    make_small(monkeypatch)


@dataclass(frozen=True)
class Trained:
    """A finished training, and what it told."""

    result: TrainResult
    reporter: CollectingReporter
    folder: Path


@pytest.fixture(scope="session")
def trained(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Return one training with the preset fast; no test changes it."""
    folder, told = tmp_path_factory.mktemp("trained"), CollectingReporter()
    with pytest.MonkeyPatch.context() as patch:
        make_small(patch)
        config = resolve_config(flags=FAST)
        result = train(scan(photos, taxonomy=COLOURS), config, places_beside(folder / "mine"), workers=2, reporter=told)
    return Trained(result, told, folder)
