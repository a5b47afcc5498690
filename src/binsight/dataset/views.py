"""A decoded photo and the plainer versions of it that several checks look at, each made once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = ["FEW_SIDE", "Views"]

FEW_SIDE: Final = 128


@dataclass(frozen=True, slots=True)
class Views:
    """One photo.

    Attributes:
        pixels: `(h, w, 3)` uint8, upright RGB.
        grey: its luminance (ITU-R 601), a Pillow image of mode L and full size.
        few: a Pillow image of mode RGB, 128 x 128: each pixel is one of the photo's. Enough to average colours over
            regions, and several times faster than all.
    """

    pixels: NDArray[np.uint8]
    grey: Image.Image
    few: Image.Image

    @classmethod
    def of(cls, picture: Image.Image) -> Views:
        """The views of an upright picture of mode RGB."""
        few = picture.resize((FEW_SIDE, FEW_SIDE), Image.Resampling.NEAREST)
        return cls(np.asarray(picture), picture.convert("L"), few)
