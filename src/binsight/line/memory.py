"""What a line remembers over restarts, in files beside its configuration: the empty belt, and a familiar camera."""

from __future__ import annotations

import hashlib
import json
import logging
import threading
from pathlib import Path
from typing import Any

from binsight.bundle import Manifest
from binsight.errors import OutputError
from binsight.files import write_whole
from binsight.line.config import LineConfig

__all__ = ["LineMemory"]

_log = logging.getLogger(__name__)


class LineMemory:
    """What is written is written by a thread of its own: a slow disk must not keep the engine from looking.

    What was never written, or is lost, is learnt anew; so is whether the camera is familiar where it or the model has
    become another.
    """

    def __init__(self, folder: Path, config: LineConfig, manifest: Manifest) -> None:
        self._belt = folder / f"{config.line.name}.belt.npz"
        self._camera = folder / f"{config.line.name}.camera.json"
        # Not the address itself: there may be a password in it.
        source, model = config.camera.source.encode(), manifest.to_bytes()
        self._key = {"camera": hashlib.sha256(source).hexdigest(), "model": hashlib.sha256(model).hexdigest()}

    @property
    def empty_belt(self) -> bytes | None:
        """As `keep_belt` was given it."""
        try:
            return self._belt.read_bytes()
        except OSError:
            return None

    def keep_belt(self, data: bytes) -> None:
        """Remember what the empty belt looks like."""
        self._write(self._belt, data)

    @property
    def is_new(self) -> bool:
        """Whether nobody knows that this camera is familiar to this model."""
        try:
            kept: Any = json.loads(self._camera.read_bytes())
        except (OSError, ValueError):
            return True
        return bool(kept != {**self._key, "familiar": True})

    def keep_familiar(self, familiar: bool) -> None:
        """Remember whether it is."""
        self._write(self._camera, json.dumps({**self._key, "familiar": familiar}).encode())

    def _write(self, path: Path, data: bytes) -> None:
        threading.Thread(target=_write, args=(path, data), name="memory", daemon=True).start()


def _write(path: Path, data: bytes) -> None:
    try:
        write_whole(path, data)
    except OutputError as error:
        _log.warning("this cannot be remembered: %s", error)
