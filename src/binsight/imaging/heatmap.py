"""What the network looked at, drawn onto the photo."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from binsight.imaging.preprocess import PreprocessSpec, visible_box

__all__ = ["class_evidence", "overlay_heatmap"]

_OPACITY = 0.65


def class_evidence(attention: NDArray[np.float32], class_index: int) -> NDArray[np.float32]:
    """Where a picture speaks for one class rather than for the others.

    At each place: the class's logit less the mean of all classes' logits, negative values cut to 0, divided by the
    largest.

    Args:
        attention: `(gh, gw, C)`, the category head applied at every place.
        class_index: 0 to C - 1.

    Returns:
        `(gh, gw)` in [0, 1]; all 0 where no place speaks for the class.

    References:
        Class activation maps: Zhou et al. 2016, arXiv 1512.04150.
    """
    evidence: NDArray[np.float32] = np.maximum(attention[..., class_index] - attention.mean(axis=-1), 0)
    peak = float(evidence.max())
    return evidence / peak if peak > 0 else evidence


def overlay_heatmap(image: NDArray[np.uint8], evidence: NDArray[np.float32], spec: PreprocessSpec) -> NDArray[np.uint8]:
    """Lay a heat map over a photo: clear where it is 0, yellow to red towards 1.

    Args:
        image: `(h, w, 3)` uint8, the upright photo in any size.
        evidence: `(gh, gw)` in [0, 1], covering what the network saw of the photo.
        spec: how the photo was fitted into the network's input; parts it did not see stay clear.

    Returns:
        `(h, w, 3)` uint8.
    """
    height, width = image.shape[:2]
    heat = np.clip(_spread(evidence, visible_box(spec, height, width), height, width), 0, 1)[..., None]
    colour = np.concatenate([np.full_like(heat, 255), 220 * (1 - heat), np.zeros_like(heat)], axis=-1)
    opacity = _OPACITY * heat
    blended: NDArray[np.uint8] = np.rint(image * (1 - opacity) + colour * opacity).astype(np.uint8)
    return blended


def _spread(
    evidence: NDArray[np.float32], box: tuple[float, float, float, float], height: int, width: int
) -> NDArray[np.float32]:
    """Stretch the evidence over its `box` of a `height` x `width` photo; 0 outside of the box."""
    left, top, right, bottom = (round(v) for v in box)
    right, bottom = max(right, left + 1), max(bottom, top + 1)
    # The padding of a letterbox lies outside the photo and may be thousands of times larger: it is cut off first.
    inside = max(left, 0), max(top, 0), min(right, width), min(bottom, height)
    gh, gw = evidence.shape
    part = (
        gw * (inside[0] - left) / (right - left),
        gh * (inside[1] - top) / (bottom - top),
        gw * (inside[2] - left) / (right - left),
        gh * (inside[3] - top) / (bottom - top),
    )
    size = inside[2] - inside[0], inside[3] - inside[1]
    seen = Image.fromarray(np.ascontiguousarray(evidence, dtype=np.float32))
    seen = seen.resize(size, Image.Resampling.BICUBIC, box=part)
    canvas = Image.new("F", (width, height), 0.0)
    canvas.paste(seen, inside[:2])
    return np.asarray(canvas)
