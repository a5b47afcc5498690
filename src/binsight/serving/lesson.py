"""A lesson: the photos of one camera that an operator collects to teach a model, in a folder of the server.

    DIR/<model>/photos/<class>/<sha256 of the file>.jpeg   as they came; the folder is what `binsight adapt` takes
    DIR/<model>/thumbnails/<sha256>.jpg                    small pictures of them, made again when they are missing
    DIR/<model>/bundles/<version>.zip                      what was taught
    DIR/<model>/lesson.json                                new classes, and what came of the last time

The folders are the truth: what a browser shows of a lesson it has from here, so nothing is lost with the page.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal

import msgspec
from PIL import Image

from binsight.dataset.labels import biodegradability_name, is_split, looks_like_split
from binsight.errors import BinsightError, DiskFullError, InputError, OutputError, TaxonomyError
from binsight.files import write_whole
from binsight.imaging import ImageLimits, decode_image, encode_picture, read_photo, sniff_format
from binsight.system_errors import describe_os_error
from binsight.taxonomy import Taxonomy, WasteClass, name_key
from binsight.text_files import read_text

__all__ = ["Lesson", "LessonError", "LessonFullError", "Notes", "Photo", "Put", "Result", "new_class_fault"]

Put = Literal["stored", "known", "moved"]

_PHOTOS, _THUMBNAILS, _NOTES = "photos", "thumbnails", "lesson.json"
_THUMBNAIL_SIDE: Final = 320
_THUMBNAIL_QUALITY: Final = 80
_FILE_NAME = re.compile(r"([0-9a-f]{64})\.[a-z]{3,4}")
_ID = re.compile(r"[0-9a-f]{64}")


class LessonError(BinsightError, ValueError):
    """A class or photo is none of the lesson, or a new class cannot be had."""

    code = "bad_parameter"


class LessonFullError(DiskFullError):
    """There is no room for another photo."""

    code = "lesson_full"


@dataclass(frozen=True, slots=True)
class Photo:
    """One photo: the SHA-256 of its file, the class whose folder it lies in, and its file."""

    id: str
    label: str
    path: Path


@dataclass(frozen=True, slots=True)
class Result:
    """What came of teaching.

    Attributes:
        version: of the bundle.
        file: its name in the folder of bundles.
        photos: the digest of what was shown.
        figures: the JSON of the `Adaptation`.
    """

    version: str
    file: str
    photos: str
    figures: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Notes:
    """What `lesson.json` holds.

    Attributes:
        new_classes: classes that the model of the settings does not have.
        taught: how many bundles were taught; counts up only, so that no version is given twice.
        result: what came of the last one.
        fault: why the last attempt came to nothing; while one is under way, that it was interrupted.
    """

    new_classes: tuple[WasteClass, ...] = ()
    taught: int = 0
    result: Result | None = None
    fault: str | None = None


@dataclass(slots=True)
class Lesson:
    """The lesson of one model. Threads may share it; processes may not.

    Args:
        folder: where it is; made when a photo comes.
    """

    folder: Path
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def photos_folder(self) -> Path:
        """A folder per class."""
        return self.folder / _PHOTOS

    @property
    def bundles_folder(self) -> Path:
        """What was taught."""
        return self.folder / "bundles"

    def photos(self) -> list[Photo]:
        """All of them, in the order in which they came."""
        found = []
        for path in self.photos_folder.glob("*/*"):
            if _FILE_NAME.fullmatch(path.name):
                with suppress(FileNotFoundError):  # moved meanwhile
                    found.append((path.stat().st_mtime_ns, path))
        return [Photo(path.name.partition(".")[0], path.parent.name, path) for _, path in sorted(found)]

    def size(self) -> int:
        """Bytes that they take."""
        total = 0
        for photo in self.photos():
            with suppress(FileNotFoundError):
                total += photo.path.stat().st_size
        return total

    def digest(self) -> str:
        """Names the photos and their classes: another one says that something was added, moved or taken away."""
        parts = sorted(f"{photo.label}/{photo.id}" for photo in self.photos())
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def add(self, data: bytes, label: str, *, limits: ImageLimits, most: int, room: int) -> tuple[Photo, Put]:
        """Keep a photo as it came, for a class; one that lies in another class's folder moves.

        Args:
            data: the file.
            label: the class.
            limits: a larger photo is refused.
            most: photos of a class.
            room: bytes that there is room for.

        Raises:
            ImageError: it is no photo, or damaged.
            DiskFullError: there is no room in the class, for the lessons, or on the disk.
            OutputError: it cannot be written.
        """
        digest = hashlib.sha256(data).hexdigest()
        with self._lock:  # also around the decoder: one large photo in memory at a time
            there = next((photo for photo in self.photos() if photo.id == digest), None)
            if there is not None and there.label == label:
                return there, "known"
            self._check_room(label, most)
            if there is not None:
                return self._moved(there, label), "moved"
            if len(data) > room:
                raise LessonFullError("the lessons have reached --teach-max-mb; remove photos, or allow more")
            path = self.photos_folder / label / f"{digest}.{sniff_format(data).lower()}"
            write_whole(self._thumbnail(digest), _small(data, limits))
            write_whole(path, data)
            return Photo(digest, label, path), "stored"

    def move(self, photo_id: str, label: str | None, *, most: int) -> Photo:
        """Put a photo into another class's folder, or delete it where `label` is None; says where it was.

        Raises:
            LessonError: there is no such photo.
            LessonFullError: the class has `most` photos.
            OutputError: it cannot be moved.
        """
        with self._lock:
            photo = self._find(photo_id)
            if label == photo.label:
                return photo
            if label is not None:
                self._check_room(label, most)
                self._moved(photo, label)
                return photo
            with _changing(photo.path):
                photo.path.unlink()
                self._thumbnail(photo.id).unlink(missing_ok=True)
            return photo

    def thumbnail(self, photo_id: str, limits: ImageLimits) -> bytes:
        """A JPEG of at most 320 pixels a side.

        Raises:
            LessonError: there is no such photo.
        """
        file = self._thumbnail(photo_id) if _ID.fullmatch(photo_id) else None
        if file is not None and file.is_file():
            return file.read_bytes()
        with self._lock:
            return _small(read_photo(self._find(photo_id).path, limits=limits), limits)

    def notes(self) -> Notes:
        """What is noted.

        Raises:
            InputError: the file is damaged.
        """
        file = self.folder / _NOTES
        if not file.exists():
            return Notes()
        try:
            return msgspec.json.decode(read_text(file), type=Notes)
        except msgspec.MsgspecError as error:
            raise InputError(
                f"{file} is damaged: {error}; without it the photos stay, and only new classes must be said again"
            ) from None

    def note(self, **changes: Any) -> Notes:
        """Change what is noted.

        Raises:
            InputError: the file is damaged.
            OutputError: it cannot be written.
        """
        with self._lock:
            notes = replace(self.notes(), **changes)
            write_whole(self.folder / _NOTES, msgspec.json.format(msgspec.json.encode(notes)))
            return notes

    def _check_room(self, label: str, most: int) -> None:
        if sum(photo.label == label for photo in self.photos()) >= most:
            raise LessonFullError(f"{label} has {most} photos, and more are not learned from; remove some of them")

    def _find(self, photo_id: str) -> Photo:
        for photo in self.photos():
            if photo.id == photo_id:
                return photo
        raise LessonError(f"the lesson has no photo {photo_id[:64]!r}")

    def _moved(self, photo: Photo, label: str) -> Photo:
        target = self.photos_folder / label / photo.path.name
        with _changing(photo.path):
            target.parent.mkdir(parents=True, exist_ok=True)
            photo.path.replace(target)
        return Photo(photo.id, label, target)

    def _thumbnail(self, photo_id: str) -> Path:
        return self.folder / _THUMBNAILS / f"{photo_id}.jpg"


def new_class_fault(new: WasteClass, taxonomy: Taxonomy, not_waste: str) -> str | None:
    """Why a class cannot be added to those of a model; None when it can."""
    try:
        return f"the model has that class: {taxonomy.match(new.id)}"
    except TaxonomyError:
        pass
    if name_key(new.id) == name_key(not_waste):
        return f"{not_waste} is what shows none of the classes"
    if is_split(new.id) or looks_like_split(new.id) or biodegradability_name(new.id) is not None:
        return f"{new.id!r} means a part of a data set, not a class; choose another name"
    try:
        Taxonomy(taxonomy.name, (*taxonomy.classes, new))
    except TaxonomyError as error:
        return str(error)
    return None


@contextmanager
def _changing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(f"cannot change {path}: {describe_os_error(error, named=False)}") from error


def _small(data: bytes, limits: ImageLimits) -> bytes:
    picture = Image.fromarray(decode_image(data, limits=limits, min_size=(_THUMBNAIL_SIDE, _THUMBNAIL_SIDE)))
    picture.thumbnail((_THUMBNAIL_SIDE, _THUMBNAIL_SIDE))
    return encode_picture(picture, quality=_THUMBNAIL_QUALITY)
