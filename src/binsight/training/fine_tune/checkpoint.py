"""The state of a run on disk, whole or not at all: arrays and a JSON description in one `.npz`, without pickle.

A run's folder holds `start.npz` (the weights before the first step), `epoch-NNNN.npz` (the state after that epoch; the
newest two) and `best-NNNN.npz` (the weights of the best epoch so far).
"""

from __future__ import annotations

import json
import logging
import re
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from binsight.errors import CheckpointError, OutputError
from binsight.files import replacing

__all__ = ["Checkpoint", "RunFolder", "read_checkpoint", "write_checkpoint"]

_log = logging.getLogger("binsight.training")
_ABOUT: Final = "about.json"
_KEPT: Final = 2
_DAMAGED: Final = (OSError, ValueError, KeyError, EOFError, AttributeError, zipfile.BadZipFile, zlib.error)
_EPOCH_FILE: Final = re.compile(r"(epoch|best)-(\d{4,})\.npz")


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """What one file holds.

    Attributes:
        about: anything JSON has.
        groups: name → arrays, such as `weights` in the order of the network's variables.
    """

    about: Mapping[str, Any]
    groups: Mapping[str, list[NDArray[Any]]]


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint so that whatever happens, `path` is either as before or complete and on the disk.

    Raises:
        OutputError: it cannot be written.
    """
    about = json.dumps({**checkpoint.about, "groups": {name: len(group) for name, group in checkpoint.groups.items()}})
    arrays = {f"{name}.{i}": array for name, group in checkpoint.groups.items() for i, array in enumerate(group)}
    try:
        with replacing(path) as file:
            np.savez(file, allow_pickle=False, **{_ABOUT: np.frombuffer(about.encode(), np.uint8)}, **arrays)
    except OutputError as error:
        size = sum(array.nbytes for array in arrays.values())
        raise OutputError(f"{error}; it takes {size / 1e6:.0f} MB; then resume") from error


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint; every array is verified by its checksum.

    Raises:
        CheckpointError: it is missing or damaged.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            about = json.loads(stored[_ABOUT].tobytes())
            groups = {
                name: [stored[f"{name}.{i}"] for i in range(count)] for name, count in about.pop("groups").items()
            }
    except _DAMAGED as error:
        raise CheckpointError(f"{path}: the checkpoint cannot be read ({error})") from error
    return Checkpoint(about, groups)


class RunFolder:
    """The checkpoints of one run.

    Args:
        path: of the folder; made when something is written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def start(self) -> Path:
        """The file with the weights before the first step."""
        return self.path / "start.npz"

    def epochs(self) -> list[int]:
        """The epochs whose state is kept, the newest first."""
        return sorted(self._numbers("epoch"), reverse=True)

    def read_start(self) -> Checkpoint | None:
        """The weights before the first step; None where the run never began.

        Raises:
            CheckpointError: they are damaged.
        """
        return read_checkpoint(self.start) if self.start.exists() else None

    def read_newest(self) -> tuple[Checkpoint, Checkpoint] | None:
        """The newest state that is sound, with the best weights up to it; None where no epoch was completed.

        A damaged one is logged, and the one before is taken.

        Raises:
            CheckpointError: there are states, but all are damaged.
        """
        epochs = self.epochs()
        for epoch in epochs:
            try:
                state = read_checkpoint(self._file("epoch", epoch))
                return state, read_checkpoint(self._file("best", state.about["best_epoch"]))
            except CheckpointError as error:
                _log.warning("%s; trying the epoch before", error)
        if epochs:
            raise CheckpointError(
                f"{self.path}: all {len(epochs)} checkpoints are damaged; delete the folder, start again"
            )
        return None

    def write_start(self, checkpoint: Checkpoint) -> None:
        """Keep the weights before the first step.

        Raises:
            OutputError: they cannot be written.
        """
        write_checkpoint(self.start, checkpoint)

    def write_epoch(self, epoch: int, state: Checkpoint, best: Checkpoint | None) -> None:
        """Keep the state after an epoch, and its weights where they are the best; then delete what is no longer needed.

        Raises:
            OutputError: they cannot be written.
        """
        if best is not None:
            write_checkpoint(self._file("best", epoch), best)
        write_checkpoint(self._file("epoch", epoch), state)
        kept = [number for number in self.epochs() if number <= epoch][:_KEPT]
        needed = {_read_about(self._file("epoch", number)).get("best_epoch") for number in kept}
        for kind, numbers in (("epoch", set(kept)), ("best", needed)):
            for number in self._numbers(kind) - numbers:
                self._file(kind, number).unlink(missing_ok=True)

    def _numbers(self, kind: str) -> set[int]:
        if not self.path.is_dir():
            return set()
        matches = (_EPOCH_FILE.fullmatch(file.name) for file in self.path.iterdir())
        return {int(match[2]) for match in matches if match and match[1] == kind}

    def _file(self, kind: str, epoch: int) -> Path:
        return self.path / f"{kind}-{epoch:04}.npz"


def _read_about(path: Path) -> Mapping[str, Any]:
    """What a checkpoint says about itself; empty where it is damaged."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            about: dict[str, Any] = json.loads(stored[_ABOUT].tobytes())
    except _DAMAGED:
        return {}
    return about
