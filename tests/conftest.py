"""What all tests share: the tiny bundle, and Hypothesis that tries the same examples on every machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import settings
from tests.tiny_bundle import tiny_bundle

if TYPE_CHECKING:
    from pathlib import Path

settings.register_profile("same-everywhere", derandomize=True, deadline=None, max_examples=60)
settings.load_profile("same-everywhere")


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
