"""Every option that takes a number refuses what is none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import RunBinsight

OPTIONS = [
    ("predict", "--max-mb"),
    ("predict", "--max-megapixels"),
    ("evaluate", "--target-precision"),
    ("data split", "--val"),
    ("data split", "--test"),
    *(("data audit", f"--{n}") for n in ("near-similarity", "max-aspect", "min-sharpness", "shortcut-gain")),
    ("data audit", "--max-imbalance"),
    ("train", "--val"),
    ("train", "--learning-rate"),
    ("train", "--fine-tune-weight-decay"),
    ("tune", "--tuning-timeout-s"),
    ("serve", "--deadline"),
]


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
@pytest.mark.parametrize(("command", "option"), OPTIONS)
def test_no_number(binsight: RunBinsight, tmp_path: Path, command: str, option: str, value: str) -> None:
    """`nan` is in no range, though it is not outside either."""
    words = command.split()
    data = [str(tmp_path)] if command != "serve" else []
    run = binsight(*words, *data, f"{option}={value}")
    assert run.code == 2
    assert "No such option" not in run.err
    assert "nan" in run.err or "inf" in run.err
