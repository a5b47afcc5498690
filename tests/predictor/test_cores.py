"""How many cores may be used."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from binsight.predictor import available_cores

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the process be bound to eight cores."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)


@pytest.mark.parametrize(
    ("text", "cores"),
    [
        ("max 100000\n", 8),
        ("200000 100000\n", 2),
        ("150000 100000\n", 2),
        ("5000 100000\n", 1),
        ("9900000 100000\n", 8),
    ],
)
def test_a_containers_quota_counts(tmp_path: Path, text: str, cores: int) -> None:
    """A share of the time is rounded up to cores, and never more than there are."""
    (tmp_path / "cpu.max").write_text(text)
    assert available_cores(quota=tmp_path / "cpu.max") == cores


@pytest.mark.parametrize("text", ["", "a b", "1 2 3"])
def test_a_quota_that_says_nothing_is_no_limit(tmp_path: Path, text: str) -> None:
    """Other systems keep other things there."""
    (tmp_path / "cpu.max").write_text(text)
    assert available_cores(quota=tmp_path / "cpu.max") == 8


def test_without_a_quota_the_bound_cores_count(tmp_path: Path) -> None:
    """Outside of containers there is no such file."""
    assert available_cores(quota=tmp_path / "missing") == 8
