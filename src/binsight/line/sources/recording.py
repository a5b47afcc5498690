"""Recordings: a video file or a folder of pictures, every frame in its own time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from binsight.errors import BrokenImageError, ImageError, InputError
from binsight.imaging import decode_image, read_photo
from binsight.line.ports import Clock
from binsight.line.records import CameraState, Frame
from binsight.line.sources.reader import Shots
from binsight.line.sources.slot import Shot

__all__ = ["RecordingSource", "play", "read_folder"]

_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".webp"})


class RecordingSource:
    """Gives every frame, as fast as it is asked: nothing is dropped, and the line runs in the recording's time.

    Args:
        shots: begins the recording; `captured_s` from 0.
        started_s: what 0 is on the line's clock.
    """

    def __init__(self, shots: Callable[[], Iterator[Shot]], *, started_s: float = 0.0) -> None:
        self._shots, self._started_s = shots(), started_s
        self._number = 0
        self.broken = 0
        self.dropped = 0

    @property
    def state(self) -> CameraState:
        """Always `ok`: a recording has no trouble of its own."""
        return "ok"

    def read(self, timeout_s: float) -> Frame | None:  # noqa: ARG002 - it never waits
        """See `Source.read`; frames that cannot be decoded are counted in `broken` and left out."""
        for shot in self._shots:
            self._number += 1
            try:
                return Frame(shot.decode(), self._started_s + shot.captured_s, self._number, shot.encoder)
            except ImageError:
                self.broken += 1
        raise EOFError("no more frames")

    def close(self) -> None:
        """See `Source.close`."""
        self._shots = iter(())


def read_folder(folder: Path, *, frames_per_second: float) -> Iterator[Shot]:
    """The pictures of a folder by name, evenly in time.

    Raises:
        InputError: there is no such folder, or no picture in it.
    """
    if not folder.is_dir():
        raise InputError(f"expected a folder of pictures, got {folder}")
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in _SUFFIXES)
    if not paths:
        raise InputError(f"expected pictures in {folder}, found none ({', '.join(sorted(_SUFFIXES))})")
    for position, path in enumerate(paths):
        yield Shot(position / frames_per_second, partial(_decode_file, path))


def play(shots: Callable[[], Iterator[Shot]], clock: Clock) -> Shots:
    """The recording in real time, for a reader: each shot when its time has come."""

    def run(stop: threading.Event) -> Iterator[Shot]:
        started_s = clock.now()
        for shot in shots():
            due_s = started_s + shot.captured_s
            if stop.wait(max(0.0, due_s - clock.now())):
                return
            yield Shot(due_s, shot.decode, shot.encoder)

    return run


def _decode_file(path: Path) -> NDArray[np.uint8]:
    try:
        return decode_image(read_photo(path))
    except InputError as error:  # gone, or not readable
        raise BrokenImageError(str(error)) from error
