"""A decoded photo and the plainer versions of it that several checks look at, each made once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from PIL import Image

from binsight.imaging import ImageLimits, Photo, decode_photo

__all__ = ["CHECKED_SIZE", "FEW_SIDE", "Views", "decode_for_checks"]

CHECKED_SIZE: Final = 512, 512
"""A large JPEG is looked at in 1/2, 1/4 or 1/8 of its size, but no side is smaller than this: ten times what the checks
average it down to."""

FEW_SIDE: Final = 128


def decode_for_checks(data: bytes, *, limits: ImageLimits | None = None) -> Photo:
    """A photo in the size that checks look at it; of a large JPEG that takes a fifth of the time of all pixels."""
    return decode_photo(data, limits=limits, min_size=CHECKED_SIZE)


@dataclass(frozen=True, slots=True)
class Views:
    """One photo.

    Attributes:
        photo: as `decode_for_checks` gives it.
        grey: its luminance (ITU-R 601), a Pillow image of mode L and as large.
        few: a Pillow image of mode RGB, 128 x 128: each pixel is one of the photo's. Enough to average colours over
            regions, and several times faster than all.
    """

    photo: Photo
    grey: Image.Image
    few: Image.Image

    @classmethod
    def of(cls, photo: Photo) -> Views:
        """The views of a photo."""
        few = photo.picture.resize((FEW_SIDE, FEW_SIDE), Image.Resampling.NEAREST)
        return cls(photo, photo.picture.convert("L"), few)
