"""Which part of the shards a task of a job array has."""

from __future__ import annotations

import pytest

from binsight.batch.engines.part import Part, find_part
from binsight.errors import SettingsError


@pytest.mark.parametrize(
    ("text", "environment", "part"),
    [
        ("3/8", {}, Part(3, 8)),
        ("3/8", {"JOB_COMPLETION_INDEX": "1"}, Part(3, 8)),
        ("/8", {"JOB_COMPLETION_INDEX": "1"}, Part(1, 8)),
        (None, {"JOB_COMPLETION_INDEX": "1", "JOB_COMPLETIONS": "4"}, Part(1, 4)),
        (None, {"SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_COUNT": "4", "SLURM_ARRAY_TASK_MIN": "1"}, Part(2, 4)),
        (
            None,
            {
                "SLURM_ARRAY_TASK_ID": "6",
                "SLURM_ARRAY_TASK_COUNT": "4",
                "SLURM_ARRAY_TASK_MIN": "0",
                "SLURM_ARRAY_TASK_STEP": "2",
            },
            Part(3, 4),
        ),
        (None, {"AWS_BATCH_JOB_ARRAY_INDEX": "0", "AWS_BATCH_JOB_ARRAY_SIZE": "2"}, Part(0, 2)),
    ],
)
def test_part_comes_from_the_scheduler(text: str | None, environment: dict[str, str], part: Part) -> None:
    """What the user does not say, Kubernetes, Slurm or AWS Batch does."""
    assert find_part(text, environment) == part


@pytest.mark.parametrize(
    ("text", "environment", "words"),
    [
        ("8/8", {}, "I from 0 to N-1"),
        ("3", {}, "expected I/N"),
        ("a/b", {}, "expected I/N"),
        ("0/0", {}, "of how many"),
        (None, {}, "which part is this"),
        ("/4", {}, "which part is this"),
        (None, {"JOB_COMPLETION_INDEX": "1"}, "of how many parts"),
        ("/4", {"JOB_COMPLETION_INDEX": "one"}, "JOB_COMPLETION_INDEX: expected a number"),
    ],
)
def test_unknown_part_is_refused(text: str | None, environment: dict[str, str], words: str) -> None:
    """No part is guessed: some shards would be left out, others done twice."""
    with pytest.raises(SettingsError, match=words):
        find_part(text, environment)


def test_parts_have_all_shards_between_them() -> None:
    """Each shard is in one part, and parts differ by one shard at most."""
    parts = [[shard for shard in range(10) if shard in Part(i, 4)] for i in range(4)]
    assert sorted(shard for part in parts for shard in part) == list(range(10))
    assert {len(part) for part in parts} == {2, 3}
