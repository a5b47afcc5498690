"""Files that commands write: whole or not at all."""

from __future__ import annotations

import contextlib
import uuid
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from binsight.errors import OutputError

__all__ = ["write_png"]


def write_png(path: Path, image: NDArray[np.uint8]) -> None:
    """Write an `(h, w, 3)` uint8 RGB picture as PNG; missing folders are made, an existing file is replaced.

    Raises:
        OutputError: it cannot be written.
    """
    from PIL import Image, PngImagePlugin  # noqa: F401 - the plug-in registers the format

    draft = path.with_name(f".{uuid.uuid4().hex}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with draft.open("xb") as file:
            Image.fromarray(image).save(file, "PNG")
        draft.replace(path)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):  # its folder may be none
            draft.unlink(missing_ok=True)
