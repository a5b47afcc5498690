"""Array jobs: which part of the shards is this machine's, as its scheduler says."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from binsight.errors import SettingsError

__all__ = ["Part", "find_part"]

_INDEXES = ("JOB_COMPLETION_INDEX", "SLURM_ARRAY_TASK_ID", "AWS_BATCH_JOB_ARRAY_INDEX")
_COUNTS = ("JOB_COMPLETIONS", "SLURM_ARRAY_TASK_COUNT", "AWS_BATCH_JOB_ARRAY_SIZE")
_WANTED = "expected I/N, part I of N with I from 0 to N-1, as in --part 0/8"


@dataclass(frozen=True, slots=True)
class Part:
    """Every `count`-th shard from `index` on, so that parts differ by one shard at most."""

    index: int
    count: int

    def __contains__(self, shard: object) -> bool:
        return isinstance(shard, int) and shard % self.count == self.index

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"


def find_part(text: str | None, environment: Mapping[str, str]) -> Part:
    """The part that the user names; what he leaves out, Kubernetes, Slurm or AWS Batch says in the environment.

    Args:
        text: `I/N`; `/N` where the environment has the index; None where it has both.
        environment: the variables of the process.

    Raises:
        SettingsError: it cannot be known, or there is no such part.
    """
    index, sign, count = (text or "").partition("/")
    if text and not (sign and re.fullmatch(r"\d*", index) and re.fullmatch(r"\d+", count)):
        raise SettingsError(f"--part {text}: {_WANTED}")
    name = next((name for name in _INDEXES if environment.get(name)), None)
    if not index and name is None:
        raise SettingsError(f"which part is this? {_WANTED}, or set {', '.join(_INDEXES)}")
    number = int(index) if index else _number(environment, name or "")
    if not index and name == "SLURM_ARRAY_TASK_ID":
        first, step = (_number(environment, f"SLURM_ARRAY_TASK_{what}", i) for i, what in enumerate(("MIN", "STEP")))
        number = (number - first) // max(1, step)
    total = int(count) if count else next((_number(environment, n) for n in _COUNTS if environment.get(n)), 0)
    if not total:
        raise SettingsError(f"of how many parts? --part /N, as many as the array has, or set {', '.join(_COUNTS)}")
    if number >= total:
        raise SettingsError(f"--part {number}/{total}: {_WANTED}")
    return Part(number, total)


def _number(environment: Mapping[str, str], name: str, missing: int | None = None) -> int:
    text = environment.get(name, "" if missing is None else str(missing))
    if not text.isdecimal():
        raise SettingsError(f"{name}: expected a number, got {text!r}")
    return int(text)
