"""Which taught bundles stand in the place of those in the settings; a file keeps it over restarts."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Final

import msgspec

from binsight.errors import InputError
from binsight.files import write_whole
from binsight.text_files import read_text

__all__ = ["Placements"]

_FILE: Final = "served.json"


class _Served(msgspec.Struct):
    models: dict[str, list[str]]


class Placements:
    """For each model the taught bundles in the order in which they were put in place; the last one is served.

    Args:
        folder: holds the bundles and the file; None where nothing is taught, and nothing is kept.

    Raises:
        InputError: the file is there and cannot be read, or is damaged.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._placed = {} if folder is None else _read(folder / _FILE)

    def path(self, name: str) -> Path | None:
        """The taught bundle that is served under a name; None: that of the settings is."""
        return self._at(name, -1)

    def existing(self, name: str) -> Path | None:
        """The same, to be loaded.

        Raises:
            InputError: it is gone.
        """
        path = self.path(name)
        if path is not None and not path.exists():
            raise InputError(
                f"no taught bundle at {path}, though {_FILE} in the lessons' folder says that it is served as {name}: "
                f"bring it back, or delete {_FILE}"
            )
        return path

    def before(self, name: str) -> Path | None:
        """What was served before that; None: that of the settings was."""
        return self._at(name, -2)

    def paths(self, name: str) -> list[Path]:
        """All that are kept to go back to, the present one last."""
        return [path for i in range(len(self._placed.get(name, ()))) if (path := self._at(name, i))]

    def follow(self, name: str, path: Path) -> None:
        """Keep that the bundle at `path` is served now. One that was served before takes those after it away.

        Raises:
            OutputError: the file cannot be written.
        """
        if self._folder is None:
            return
        with self._lock:
            placed = self._placed.get(name, [])
            if path.is_relative_to(self._folder):
                entry = path.relative_to(self._folder).as_posix()
                new = placed[: placed.index(entry) + 1] if entry in placed else [*placed, entry]
            else:
                new = []
            if new != placed:
                every = {**self._placed, name: new}
                kept = {key: value for key, value in every.items() if value}
                write_whole(self._folder / _FILE, json.dumps({"models": kept}, indent=1) + "\n")
                self._placed = kept

    def _at(self, name: str, position: int) -> Path | None:
        placed = self._placed.get(name, [])
        if self._folder is None or not -len(placed) <= position < len(placed):
            return None
        return self._folder / placed[position]


def _read(file: Path) -> dict[str, list[str]]:
    if not file.exists():
        return {}
    try:
        return msgspec.json.decode(read_text(file), type=_Served).models
    except msgspec.MsgspecError as error:
        raise InputError(
            f"{file}: expected which taught bundles are served: {error}; without the file those of the settings are"
        ) from None
