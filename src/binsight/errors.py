"""Every error binsight raises on purpose.

All derive from `BinsightError`, so one `except` catches what the library refuses; each also derives from the builtin
that fits, so code that knows nothing of binsight still does the right thing. A message is one line and says what was
expected, what came and what to do. `code` is a stable, machine-readable word: it appears in JSON answers and may be
relied on.
"""

from __future__ import annotations

from typing import ClassVar

__all__ = [
    "AccessError",
    "BinsightError",
    "BrokenImageError",
    "BundleError",
    "CheckpointError",
    "DatasetError",
    "DiskFullError",
    "EmptyImageError",
    "ExportError",
    "ImageError",
    "ImageTooLargeError",
    "InputError",
    "JobError",
    "LeakageError",
    "MissingExtraError",
    "OutputError",
    "SettingsError",
    "SpecError",
    "StoreError",
    "TaxonomyError",
    "TruncatedImageError",
    "UnsupportedImageError",
    "WeightsError",
    "WorkerDiedError",
]


class BinsightError(Exception):
    """The base of every error binsight raises on purpose."""

    code: ClassVar[str] = "error"


class TaxonomyError(BinsightError, ValueError):
    """A taxonomy is malformed or does not have the class asked for."""

    code = "taxonomy"


class SpecError(BinsightError, ValueError):
    """A preprocessing specification is malformed."""

    code = "preprocess_spec"


class ImageError(BinsightError, ValueError):
    """A picture was refused; the subclasses say why."""

    code = "image"


class EmptyImageError(ImageError):
    """There are no bytes to decode."""

    code = "empty"


class ImageTooLargeError(ImageError):
    """A picture exceeds one of the limits in bytes, pixels or side length."""

    code = "too_large"


class UnsupportedImageError(ImageError):
    """The bytes are no picture, or a picture in a format or pixel type that is not supported."""

    code = "not_an_image"


class BrokenImageError(ImageError):
    """The bytes begin like a picture but cannot be decoded."""

    code = "broken"


class TruncatedImageError(BrokenImageError):
    """The picture's data end too early: an interrupted download or copy."""

    code = "truncated"


class BundleError(BinsightError, ValueError):
    """A model bundle is malformed, incomplete or altered.

    Attributes:
        file: the file inside the bundle that is at fault, or None where it is the bundle as a whole.
    """

    code = "bundle"

    def __init__(self, message: str, *, file: str | None = None) -> None:
        super().__init__(f"{file}: {message}" if file else message)
        self.file = file


class InputError(BinsightError, OSError):
    """A file or folder given by the user is missing or cannot be read."""

    code = "unreadable"


class OutputError(BinsightError, OSError):
    """A result cannot be written where the user asked for it."""

    code = "unwritable"


class DiskFullError(OutputError):
    """There is no room for a file: the disk is full, or what it was for has had its share."""

    code = "disk_full"


class StoreError(BinsightError, OSError):
    """An object store refuses its service, or cannot be reached: no fault of the photo that was asked for."""

    code = "store"


class AccessError(StoreError):
    """An object store wants other keys, or rights that these do not have."""

    code = "access_refused"


class JobError(BinsightError, ValueError):
    """A batch job is missing, damaged, or another one than was asked for."""

    code = "job"


class WorkerDiedError(BinsightError, OSError):
    """The process that worked on photos ended in the middle of it."""

    code = "worker_died"


class DatasetError(BinsightError, ValueError):
    """A data set is laid out, labelled or described in a way that cannot be used."""

    code = "dataset"


class LeakageError(DatasetError):
    """Copies lie on both sides of a split, so that what is measured there would be too good."""

    code = "leakage"


class WeightsError(BinsightError, ValueError):
    """Pretrained weights are missing, malformed or do not fit the backbone."""

    code = "weights"


class SettingsError(BinsightError, ValueError):
    """A setting of training has a value that it cannot have, or does not exist."""

    code = "settings"


class CheckpointError(BinsightError, ValueError):
    """A checkpoint of training is damaged, or was made by another run."""

    code = "checkpoint"


class ExportError(BinsightError, ValueError):
    """A network cannot be turned into the format asked for."""

    code = "export"


class MissingExtraError(BinsightError, ImportError):
    """A feature needs an optional dependency that is not installed.

    Args:
        feature: what was asked for, as the subject of the sentence.
        extra: the extra that brings it, as in `pip install "binsight[train]"`.
    """

    code = "missing_extra"

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(f'{feature} needs an extra that is not installed: pip install "binsight[{extra}]"')
        self.feature = feature
        self.extra = extra

    def __reduce__(self) -> tuple[type[MissingExtraError], tuple[str, str]]:
        """Without this, the error could not pass from one process to another."""
        return type(self), (self.feature, self.extra)
