"""Looks at one piece: cut from the full frame, and which of them may vote."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from binsight.line.records import Blob, Frame, View
from binsight.predictor import Predictor

__all__ = ["cut_view", "measure_sharpness", "select_voters"]

_MARGIN = 0.12  # of the longer side, on each side: classifiers were trained on photos with some surroundings
_SHARPNESS_SIDE = 128
_BLURRED = 0.5  # of the sharpest view of the same piece: below, a view is blurred


def cut_view(frame: Frame, blob: Blob, *, margin: float = _MARGIN) -> View:
    """The piece with a margin, cut from the full frame; one that is cut off does not vote.

    Args:
        frame: the picture.
        blob: what was found in it.
        margin: on each side, as a share of the blob's longer side; it ends at the edge of the frame.
    """
    height, width = frame.image.shape[:2]
    extra = margin * max(blob.box.width, blob.box.height)
    left, top = max(0, round(blob.box.left - extra)), max(0, round(blob.box.top - extra))
    right = min(width, max(left + 1, round(blob.box.right + extra)))
    bottom = min(height, max(top + 1, round(blob.box.bottom + extra)))
    crop = frame.image[top:bottom, left:right].copy()  # or the frame would be kept alive by it
    return View(
        frame=frame.number,
        captured_s=frame.captured_s,
        box=blob.box,
        crop=crop,
        sharpness=measure_sharpness(crop),
        votes=not blob.cut_off,
    )


def measure_sharpness(image: NDArray[np.uint8]) -> float:
    """How much of a picture's contrast is in its finest detail, at least 0; higher is sharper.

    Variance of the Laplacian over the variance of the picture, both of its brightness at no more than 128 pixels a
    side, so that neither the size nor the contrast of a piece makes it sharp.

    Args:
        image: `(h, w, 3)` uint8.

    References:
        Pertuz et al. 2013, Analysis of focus measure operators for shape-from-focus, operator LAP4.
    """
    grey = Image.fromarray(image).convert("L")
    grey = grey.reduce(max(1, round(max(grey.size) / _SHARPNESS_SIDE)))
    x = np.asarray(grey, dtype=np.float32)
    if min(x.shape) < 3:
        return 0.0
    laplacian = x[1:-1, 2:] + x[1:-1, :-2] + x[2:, 1:-1] + x[:-2, 1:-1] - 4 * x[1:-1, 1:-1]
    return float(laplacian.var() / (x.var() + 1.0))


def judge_views(predictor: Predictor, views: Sequence[View]) -> list[View]:
    """The views with what the model says of each alone."""
    found = predictor.predict_images([view.crop for view in views])
    return [replace(view, prediction=prediction) for view, prediction in zip(views, found, strict=True)]


def select_voters(views: Sequence[View]) -> list[View]:
    """The views that count: judged, whole, and at least half as sharp as the sharpest of these."""
    able = [view for view in views if view.votes and view.prediction is not None]
    best = max((view.sharpness for view in able), default=0.0)
    return [view for view in able if view.sharpness >= _BLURRED * best]
