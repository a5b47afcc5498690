"""The lessons of a server's models in one folder, and the teaching of them."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from binsight.adapt import next_version
from binsight.bundle import Bundle
from binsight.errors import OutputError
from binsight.imaging import ImageLimits
from binsight.predictor import available_cores
from binsight.serving.lesson import Lesson, Result
from binsight.serving.placements import Placements
from binsight.serving.teaching import Task, Teaching
from binsight.system_errors import describe_os_error

__all__ = ["Lessons"]

_INTERRUPTED = "the server ended while it taught; nothing is lost: teach it again"
_log = logging.getLogger("binsight.serving")


class Lessons:
    """The lessons of a server's models, in one folder.

    Args:
        folder: where they are; made when it is missing.
        max_bytes: all photos together take at most this.

    Raises:
        InputError: what is noted there is damaged.
        OutputError: the folder cannot be made.
    """

    def __init__(self, folder: Path, *, max_bytes: int) -> None:
        self.folder, self.max_bytes = folder.absolute(), max_bytes
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"cannot keep lessons in {folder}: {describe_os_error(error, named=False)}") from error
        for draft in self.folder.glob("*/bundles/.binsight-*"):  # of a server that was killed
            shutil.rmtree(draft, ignore_errors=True)
        self.placements = Placements(self.folder)
        self.teaching = Teaching()
        self._lessons: dict[str, Lesson] = {}

    def lesson(self, model: str) -> Lesson:
        """That of a model."""
        return self._lessons.setdefault(model, Lesson(self.folder / model))

    def size(self) -> int:
        """Bytes that the photos of all lessons take."""
        return sum(Lesson(folder).size() for folder in self.folder.iterdir())

    def teach(self, model: str, bundle: Bundle, limits: ImageLimits) -> None:
        """Begin to teach a model what its lesson shows.

        Raises:
            TeachingBusyError: a model is being taught.
        """
        lesson = self.lesson(model)
        notes, digest = lesson.notes(), lesson.digest()
        version = bundle.manifest.version
        for _ in range(notes.taught + 1):
            version = next_version(version)
        file = f"{version}.zip"
        task = Task(
            bundle.path,
            lesson.photos_folder,
            lesson.bundles_folder / file,
            version,
            notes.new_classes,
            max(1, available_cores() // 2),
            limits,
        )

        def begin() -> None:
            lesson.photos_folder.mkdir(parents=True, exist_ok=True)
            lesson.note(fault=_INTERRUPTED)
            self._tidy(model, set() if notes.result is None else {notes.result.file})

        def end(figures: Mapping[str, Any] | None, fault: str | None) -> None:
            if figures is None:
                lesson.note(fault=fault)
                return
            lesson.note(taught=notes.taught + 1, result=Result(version, file, digest, dict(figures)), fault=None)
            self._tidy(model, {file})

        self.teaching.start(model, task, begin, end)
        _log.warning("model %s: is being taught, as version %s", model, version)

    def _tidy(self, model: str, kept: set[str]) -> None:
        """Delete bundles that were taught and never served, but for those in `kept`."""
        folder = self.lesson(model).bundles_folder
        kept = kept | {path.name for path in self.placements.paths(model)}
        for path in folder.glob("*.zip"):
            if path.name not in kept:
                path.unlink(missing_ok=True)
