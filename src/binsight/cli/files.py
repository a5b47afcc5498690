"""Files that commands write: whole or not at all."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from binsight.errors import OutputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["write_bytes", "write_png"]


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file; missing folders are made, an existing file is replaced.

    Raises:
        OutputError: it cannot be written.
    """
    with _replacing(path) as file:
        file.write(data)


def write_png(path: Path, image: NDArray[np.uint8]) -> None:
    """Write an `(h, w, 3)` uint8 RGB picture as PNG; missing folders are made, an existing file is replaced.

    Raises:
        OutputError: it cannot be written.
    """
    from PIL import Image, PngImagePlugin  # noqa: F401 - the plug-in registers the format

    with _replacing(path) as file:
        Image.fromarray(image).save(file, "PNG")


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[BinaryIO]:
    """A draft beside `path` that takes its place when all is written."""
    draft = path.with_name(f".{uuid.uuid4().hex}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with draft.open("xb") as file:
            yield file
        draft.replace(path)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):  # its folder may be none
            draft.unlink(missing_ok=True)
