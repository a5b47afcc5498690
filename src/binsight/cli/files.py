"""Pictures that commands write: whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from binsight.files import replacing

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["write_png"]


def write_png(path: Path, image: NDArray[np.uint8]) -> None:
    """Write an `(h, w, 3)` uint8 RGB picture as PNG; missing folders are made, an existing file is replaced.

    Raises:
        OutputError: it cannot be written.
    """
    from PIL import Image, PngImagePlugin  # noqa: F401 - the plug-in registers the format

    with replacing(path) as file:
        Image.fromarray(image).save(file, "PNG")
