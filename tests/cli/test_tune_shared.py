"""Several `binsight tune` on one study, in a real PostgreSQL."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from tests.line.services import postgres
from tests.pipeline.tiny import SIZE, make_photos

if TYPE_CHECKING:
    from collections.abc import Iterable

TRIALS = 6
FLAGS = ("--backbone-size", str(SIZE), "--val", "0.25", "--trials", str(TRIALS), "--tuning-epochs", "2", "-q", "--json")


def _begin(url: str, folder: Path, name: str) -> subprocess.Popen[str]:
    command = [
        sys.executable,
        "-m",
        "tests.cli.tuning_worker",
        str(folder / f"go-{name}"),
        "tune",
        str(folder / "photos"),
    ]
    return subprocess.Popen(
        [*command, "--out", str(folder / name), "--study-storage", url, *FLAGS],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "XDG_CACHE_HOME": str(folder / f"cache-{name}"), "OMP_NUM_THREADS": "1"},
    )


def _different(trials: Iterable[dict[str, float]]) -> int:
    return len({(trial["learning_rate"], trial["inner_size"], trial["dropout"]) for trial in trials})


def test_one_of_two_workers_is_killed(tmp_path: Path) -> None:
    """They begin on an empty database at once; the other finishes the study, and nothing was evaluated twice."""
    make_photos(tmp_path / "photos")
    with postgres() as address, ExitStack() as running:
        url = address.replace("+psycopg", "")  # as anyone would write it
        doomed, other = (running.enter_context(_begin(url, tmp_path, name)) for name in ("doomed", "other"))
        running.callback(other.kill)
        running.callback(doomed.kill)
        for worker in (doomed, other):
            assert worker.stdout is not None
            assert worker.stdout.readline() == "waiting\n"
        doomed.kill()
        (tmp_path / "go-other").touch()
        output, _ = other.communicate()
    assert other.returncode == 0
    trials = json.loads(output)["trials"]
    assert len(trials) == _different(trials) == TRIALS
    other_tried = json.loads((tmp_path / "go-other.tried").read_text())
    assert other_tried == TRIALS - 1  # what the killed one had finished counts
