"""What all tests share: the tiny bundle, and Hypothesis that tries the same examples on every machine."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.internal.conjecture import providers
from tests.tiny_bundle import tiny_bundle

from binsight.loop import queue

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Hypothesis also draws the constants it reads in the modules that happen to be loaded: other examples for a file run
# alone, in the whole suite or beside other workers. It has no setting for that; tests/test_same_examples.py watches it.
providers._get_local_constants = providers.Constants
# Nor may a test fail because the machine is slow.
settings.register_profile(
    "same-everywhere",
    derandomize=True,
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("same-everywhere")


def pytest_configure(config: pytest.Config) -> None:
    """Give each of several workers one thread of the matrix libraries: the workers are what uses the cores."""
    if getattr(config.option, "numprocesses", None):
        for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
            os.environ.setdefault(name, "1")


@pytest.fixture(scope="session", autouse=True)
def _same_draws() -> Iterator[None]:
    """Let every loop draw the same: its secret decides what is locked, labelled twice or a hidden check."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(queue, "secrets", SimpleNamespace(token_bytes=bytes))
        yield


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """Return the folder of a sound tiny bundle of the test's own."""
    return tiny_bundle(tmp_path / "tiny")


@pytest.fixture
def zipped(tmp_path: Path) -> Path:
    """Return the zip of a sound tiny bundle of the test's own."""
    return tiny_bundle(tmp_path / "tiny.zip")


@pytest.fixture(scope="session")
def shared_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a sound tiny bundle that no test changes."""
    return tiny_bundle(tmp_path_factory.mktemp("bundle") / "tiny")
