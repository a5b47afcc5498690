"""The folder in which a training keeps what it has done so far, so that it can go on after an interruption.

Every finished stage leaves one file, with the key of what it was made from: when the data, the settings or an earlier
stage change, the key does, and the stage is done again. Files are written whole or not at all.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from binsight.errors import OutputError
from binsight.files import write_whole

__all__ = ["Work", "key_of"]

# Tells a folder made here, which may be emptied, from one of the user's.
_MARKER: Final = ".binsight-work.json"
# What is there before anything is trained; each part is known by what it was made from, so any run may use it.
_PREPARED: Final = frozenset({_MARKER, "config.toml", "data.json", "features", "graphs"})
_KEY: Final = "key"


def key_of(*parts: Any) -> str:
    """A short digest of JSON-ready values: the same values give the same key."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


class Work:
    """What is known of a training.

    Args:
        root: the folder; `Work.open` makes it.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    @classmethod
    def open(cls, root: Path, *, resume: bool = False, overwrite: bool = False) -> Work:
        """Open the folder of a training, or make it. One whose run failed before it trained anything is as good as new.

        Args:
            root: where.
            resume: go on with what is in it.
            overwrite: throw away what is in it, if it is a work folder.

        Raises:
            OutputError: it holds another run, or other files, or cannot be written.
        """
        try:
            if root.exists() and any(root.iterdir()):
                cls._prepare(root, resume=resume, overwrite=overwrite)
            root.mkdir(parents=True, exist_ok=True)
            (root / _MARKER).write_text(json.dumps({"made_by": "binsight train"}) + "\n", encoding="utf-8")
        except OutputError:
            raise
        except OSError as error:
            raise OutputError(f"cannot write {root}: {error.strerror or error}") from error
        return cls(root)

    @staticmethod
    def _prepare(root: Path, *, resume: bool, overwrite: bool) -> None:
        if not (root / _MARKER).is_file():
            raise OutputError(f"{root} was not made by binsight and is left alone; choose another folder for --work")
        if resume:
            return
        if not overwrite:
            if {entry.name for entry in root.iterdir()} <= _PREPARED:
                return
            raise OutputError(
                f"{root} holds an earlier run; pass --resume to continue it, or --overwrite to begin anew"
            )
        for entry in root.iterdir():
            if entry.name == _MARKER:
                continue
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()

    def folder(self, name: str) -> Path:
        """A subfolder, made when it is missing."""
        path = self.root / name
        path.mkdir(parents=True, exist_ok=True)
        return path

    def recall(self, stage: str, key: str) -> Any:
        """What `stage` left, as JSON values; None when it has not been done with this key."""
        try:
            kept = json.loads((self.root / f"{stage}.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None  # not there, or cut off: the stage is done again
        return kept.get("value") if isinstance(kept, dict) and kept.get(_KEY) == key else None

    def remember(self, stage: str, key: str, value: Any) -> None:
        """Keep what `stage` gave; `value` must be JSON-ready.

        Raises:
            OutputError: it cannot be written.
        """
        text = json.dumps({_KEY: key, "value": value}, indent=1)
        write_whole(self.root / f"{stage}.json", text.encode())

    def recall_arrays(self, stage: str, key: str) -> dict[str, NDArray[Any]] | None:
        """The arrays that `stage` left; None when it has not been done with this key."""
        try:
            with (self.root / f"{stage}.npz").open("rb") as file, np.load(file, allow_pickle=False) as kept:
                arrays = dict(kept.items())
        except (OSError, ValueError, EOFError, KeyError, AttributeError, zipfile.BadZipFile):
            return None
        return arrays if str(arrays.pop(_KEY, "")) == key else None

    def remember_arrays(self, stage: str, key: str, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Keep the arrays that `stage` gave.

        Raises:
            OutputError: they cannot be written.
        """
        stream = io.BytesIO()
        np.savez(stream, allow_pickle=False, **{_KEY: np.array(key)}, **arrays)
        write_whole(self.root / f"{stage}.npz", stream.getvalue())
