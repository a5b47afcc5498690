"""What is kept of a piece to be looked at: every view that was judged, small, and what the model said of it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from binsight.imaging import encode_picture
from binsight.line.records import View

__all__ = ["Film", "make_film"]

_THUMBNAIL_SIDE = 192
_VIEW_SIDE, _VIEW_BYTES = 128, 4_000  # of one view; a piece has four at most
_QUALITIES = (75, 50, 25, 10)


@dataclass(frozen=True, slots=True)
class Film:
    """Pictures of one piece, and what the model saw in them.

    Attributes:
        thumbnail: its sharpest view, a JPEG of at most 192 pixels a side.
        views: all of them in order, JSON-ready; `bytes` says how long each one's JPEG is.
        frames: the views' JPEGs of at most 128 pixels a side, one after another.
    """

    thumbnail: bytes
    views: tuple[dict[str, Any], ...] = ()
    frames: bytes = b""

    def frame(self, number: int) -> bytes | None:
        """The JPEG of a view, from 1; None where there is no such view."""
        ends = [0, *accumulate(view["bytes"] for view in self.views)]
        return self.frames[ends[number - 1] : ends[number]] if 1 <= number <= len(self.views) else None


def make_film(views: Sequence[View], voted: Collection[int], *, at: Callable[[float], str]) -> Film:
    """Keep at least one judged view of a piece, in some 20 kB at most.

    Args:
        views: with their predictions.
        voted: the frames' numbers of those that counted.
        at: the time, as a text, of a moment on the line's clock.
    """
    ordered = sorted(views, key=lambda view: view.captured_s)
    frames = [_view_jpeg(view.crop) for view in ordered]
    entries = tuple(
        _entry(view, voted=view.frame in voted, at=at(view.captured_s), size=len(frame))
        for view, frame in zip(ordered, frames, strict=True)
    )
    sharpest = max(ordered, key=lambda view: view.sharpness)
    return Film(encode_picture(_small(sharpest.crop, _THUMBNAIL_SIDE), quality=85), entries, b"".join(frames))


def _entry(view: View, *, voted: bool, at: str, size: int) -> dict[str, Any]:
    said, box = view.prediction, view.box
    entry = {
        "frame": view.frame,
        "at": at,
        "box": [round(side) for side in (box.left, box.top, box.right, box.bottom)],
        "sharpness": round(view.sharpness, 4),
        "voted": voted,
        "bytes": size,
    }
    if said is None:
        return entry
    strangeness = None if said.unfamiliarity is None else round(float(np.nan_to_num(said.unfamiliarity)), 4)
    return entry | {
        "category": said.category,
        "decision": said.decision,
        "reason": said.reason,
        "unfamiliarity": strangeness,
        "scores": {name: round(share, 5) for name, share in said.scores.items()},
    }


def _view_jpeg(crop: NDArray[np.uint8]) -> bytes:
    """As good as it may be in its bytes; noise takes the most."""
    picture = _small(crop, _VIEW_SIDE)
    for quality in _QUALITIES:
        jpeg = encode_picture(picture, quality=quality)
        if len(jpeg) <= _VIEW_BYTES:
            break
    return jpeg


def _small(crop: NDArray[np.uint8], side: int) -> Image.Image:
    picture = Image.fromarray(crop)
    picture.thumbnail((side, side), Image.Resampling.BILINEAR)
    return picture
