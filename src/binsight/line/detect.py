"""Pieces in one frame: what differs from the empty belt."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from binsight.line.background import Background
from binsight.line.components import Component, find_components
from binsight.line.field import Direction, Field
from binsight.line.records import Blob, Box, Frame
from binsight.line.shape import looks_like_several

__all__ = ["Detector"]

_SMALL_SIDE = 160  # pixels of the longer side of the small picture
# Standard deviations: below the first a pixel is belt, above the second, with its neighbours, piece; a share of every
# piece's pixels reach the third. What is above the ceiling counts no more: a bright edge does not spread into the belt.
_BARE, _LOW, _HIGH, _CEILING = 1.5, 2.6, 4.5, 6.5
_STEPS = 39  # into which a standard deviation is divided where bytes do: the ceiling is just below 256
_STRONG_SHARE = 0.15
# The least distance in a core of a blob; the least share of the blob's pixels in one core, and in all.
_CORE, _CORE_SHARE, _CORES_SHARE = 5.0, 0.08, 0.75
_ENTWINED = 0.2  # of the smaller box lies in the other
_FLOOD_SHARE = 0.6  # more than this differs: the light or the camera changed, these are no pieces
_SEAM_SPAN, _SEAM_FILL = 0.9, 0.55  # a joint of the belt spans it, and fills its box badly
_SAMPLES_PER_FIELD = 8


class Detector:
    """Finds pieces in frames of one camera; learns the empty belt by itself.

    Args:
        region: the watched part of the picture as shares: left, top, right, bottom.
        direction: where the belt carries pieces in the picture.
        field_mm: how much belt the region shows along the direction.
        min_piece_mm: what is smaller across, measured as the side of a square of the same area, is dirt.

    Raises:
        SettingsError: a setting is out of range.
    """

    def __init__(
        self,
        *,
        region: Sequence[float] = (0.0, 0.0, 1.0, 1.0),
        direction: Direction = "right",
        field_mm: float = 600.0,
        min_piece_mm: float = 25.0,
    ) -> None:
        self._region, self._direction, self._field_mm = region, direction, field_mm
        self._min_piece_mm = min_piece_mm
        Field.of((1000, 1000), region=region, direction=direction, field_mm=field_mm)  # refuse now, not at a frame
        self._line_axis = 0 if direction in {"right", "left"} else 1
        self._size: tuple[int, int] | None = None
        self._background = Background(line_axis=self._line_axis)
        self._sampled_mm = -np.inf
        self._flooded_mm: float | None = None
        self.field: Field | None = None
        self.flooded = False

    @property
    def ready(self) -> bool:
        """Whether an empty belt has been seen; until then nothing is found."""
        return self._background.ready

    @property
    def known_share(self) -> float:
        """How much of the empty belt is known, in [0, 1], while it is being learnt."""
        return 1.0 if self.ready else self._background.known_share

    def learn(self, images: Iterable[NDArray[np.uint8]]) -> bool:
        """Learn the empty belt from pictures of a recording, far apart from each other.

        Args:
            images: `(h, w, 3)` uint8 each; at least 8, better 40.

        Returns:
            Whether it is known now.
        """
        for image in images:
            if not self.ready:
                self._background.add(self._shrink(image))
        return self.ready

    def dump(self) -> bytes:
        """The empty belt as it is known, for `restore` by the same camera after a restart.

        Raises:
            ValueError: it is not known yet.
        """
        stream = io.BytesIO()
        assert self._size is not None  # noqa: S101 - it was learnt from pictures
        camera = np.array(json.dumps([*self._size, *self._settings]))
        np.savez(stream, camera=camera, **self._background.dump())  # type: ignore[arg-type]  # its stub takes them for options
        return stream.getvalue()

    def restore(self, data: bytes) -> bool:
        """Begin with an empty belt that was learnt before.

        Returns:
            Whether it is known now; False when `data` is damaged, or of another region, direction or scale. Where the
            belt looks different by now, it is learnt anew as after any other change.
        """
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as found:
                height, width, *settings = json.loads(str(found["camera"]))
                if settings != self._settings:
                    return False
                background = Background(line_axis=self._line_axis)
                background.restore(found)
                self._begin((int(height), int(width)), background)
        except (ValueError, KeyError, TypeError, OSError, EOFError, zipfile.BadZipFile):
            return False
        return True

    def find(self, frame: Frame, travel_mm: float) -> list[Blob]:
        """The pieces in a frame, in reading order.

        Args:
            frame: of the same size as those before; another size begins anew.
            travel_mm: how far the belt has come since any fixed moment. The empty belt is learnt by distance: a belt
                that stands shows nothing new.

        Returns:
            Nothing while the empty belt is not known, and where most of the picture differs from it (`flooded`).
        """
        small = self._shrink(frame.image)
        assert self.field is not None  # noqa: S101 - set by _shrink
        due = abs(travel_mm - self._sampled_mm) >= self.field.length_mm / _SAMPLES_PER_FIELD
        if due:
            self._sampled_mm = travel_mm
        if not self.ready:
            if due:
                self._background.add(small)
            return []
        distance = self._background.distance(small)
        # Smoothing closes gaps between pieces, and the pixel itself opens them again.
        mask = _is_high_around(distance) & (distance >= _BARE)
        self._watch_flood(float(mask.mean()), travel_mm)
        if self.flooded:
            return []
        if due:
            self._background.adapt(small, ~mask)
        return [self._blob(part) for part in self._pieces(mask, distance)]

    def _shrink(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The watched region as a small picture, `(3, h, w)` uint8."""
        if image.shape[:2] != self._size:
            self._begin((image.shape[0], image.shape[1]), Background(line_axis=self._line_axis))
        field = self.field
        assert field is not None  # noqa: S101 - set with the size
        part = image[field.top : field.bottom, field.left : field.right]
        self._factor = max(1, round(max(part.shape[:2]) / _SMALL_SIDE))
        small = Image.fromarray(np.ascontiguousarray(part)).reduce(self._factor)
        return np.ascontiguousarray(np.asarray(small).transpose(2, 0, 1))

    def _begin(self, size: tuple[int, int], background: Background) -> None:
        """Frames of this size come now, of this belt."""
        self.field = Field.of(size, region=self._region, direction=self._direction, field_mm=self._field_mm)
        self._size, self._background, self._sampled_mm = size, background, -np.inf

    @property
    def _settings(self) -> list[float | str]:
        return [*self._region, self._direction, self._field_mm]

    def _watch_flood(self, share: float, travel_mm: float) -> None:
        """Begin anew when most of the picture stays different for two lengths of the field."""
        assert self.field is not None  # noqa: S101
        self.flooded = share > _FLOOD_SHARE
        if not self.flooded:
            self._flooded_mm = None
        elif self._flooded_mm is None:
            self._flooded_mm = travel_mm
        elif abs(travel_mm - self._flooded_mm) > 2 * self.field.length_mm:
            self._background, self._flooded_mm = Background(line_axis=self._line_axis), None

    def _pieces(self, mask: NDArray[np.bool_], distance: NDArray[np.float32]) -> list[Component]:
        assert self.field is not None  # noqa: S101
        area = max(4.0, (self._min_piece_mm / (self.field.mm_per_pixel * self._factor)) ** 2)
        parts = [
            part
            for part in find_components(mask, min_area=round(area))
            if _strong_area(part, distance) >= max(area / 2, _STRONG_SHARE * part.area)
            and not self._is_seam(part, mask.shape)
        ]
        parts = [piece for part in parts for piece in _cut_bridges(part, distance, area)]
        return _join_faint(parts, distance)

    def _is_seam(self, part: Component, shape: tuple[int, ...]) -> bool:
        assert self.field is not None  # noqa: S101
        height, width = part.mask.shape
        span = height / shape[0] if self.field.horizontal else width / shape[1]
        return bool(span >= _SEAM_SPAN and part.area < _SEAM_FILL * height * width)

    def _blob(self, part: Component) -> Blob:
        field, factor = self.field, self._factor
        assert field is not None  # noqa: S101
        box = Box(
            field.left + part.left * factor,
            field.top + part.top * factor,
            min(field.right, field.left + part.right * factor),
            min(field.bottom, field.top + part.bottom * factor),
        )
        near, far = field.along(box)
        edge = factor * field.mm_per_pixel
        cut_off = near < edge or far > field.length_mm - edge
        return Blob(
            box=box,
            area=float(part.area * factor * factor),
            cut_off=cut_off,
            several=not cut_off and looks_like_several(part.mask),  # what is seen in part is judged later
        )


def _is_high_around(distance: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Where the mean over 3 x 3 pixels is high: one bright speck is no piece. Edges repeat."""
    picture = Image.fromarray((np.minimum(distance, _CEILING) * _STEPS).astype(np.uint8))
    return np.asarray(np.asarray(picture.filter(ImageFilter.BoxBlur(1))) >= _LOW * _STEPS)


def _cut_bridges(part: Component, distance: NDArray[np.float32], least: float) -> list[Component]:
    """The cores of a blob where shadow or dust alone joins them, else the blob itself.

    Cores make up nearly all of such a blob. Where much of it is faint, as in a clear bottle between its cap and its
    label, the faint part is piece too and holds it together.
    """
    own = distance[part.top : part.bottom, part.left : part.right]
    cores = find_components(part.mask & (own >= _CORE), min_area=round(max(least, _CORE_SHARE * part.area)))
    if len(cores) < 2:
        return [part]
    grown = [_grow(core, part) for core in cores]
    return grown if sum(core.area for core in grown) >= _CORES_SHARE * part.area else [part]


def _join_faint(parts: list[Component], distance: NDArray[np.float32]) -> list[Component]:
    """Blobs that are faint and lie in each other's box made one: two edges of a piece of the belt's own colour."""
    faint: list[Component] = []
    clear: list[Component] = []
    for part in parts:
        own = distance[part.top : part.bottom, part.left : part.right][part.mask]
        (faint if 2 * np.count_nonzero(own < _CORE) > own.size else clear).append(part)
    joined: list[Component] = []
    while faint:
        part = faint.pop()
        near = next((other for other in faint if _entwined(part, other)), None)
        if near is None:
            joined.append(part)
        else:
            faint = [other for other in faint if other is not near]
            faint.append(_unite(part, near))
    return clear + joined


def _entwined(a: Component, b: Component) -> bool:
    height, width = min(a.bottom, b.bottom) - max(a.top, b.top), min(a.right, b.right) - max(a.left, b.left)
    smaller = min(a.mask.size, b.mask.size)
    return height > 0 and width > 0 and height * width >= _ENTWINED * smaller


def _unite(a: Component, b: Component) -> Component:
    top, left, bottom, right = min(a.top, b.top), min(a.left, b.left), max(a.bottom, b.bottom), max(a.right, b.right)
    mask = np.zeros((bottom - top, right - left), dtype=bool)
    for part in (a, b):
        mask[part.top - top : part.bottom - top, part.left - left : part.right - left] |= part.mask
    return Component(top, left, bottom, right, mask, a.area + b.area)


def _grow(core: Component, part: Component) -> Component:
    """A core with the rim of one pixel that smoothing took it, as far as the blob reaches, placed in the picture."""
    top, left = max(0, core.top - 1), max(0, core.left - 1)
    bottom, right = min(part.mask.shape[0], core.bottom + 1), min(part.mask.shape[1], core.right + 1)
    wide = np.pad(core.mask, 2)
    wide = wide[:-2] | wide[1:-1] | wide[2:]
    wide = wide[:, :-2] | wide[:, 1:-1] | wide[:, 2:]
    shift_y, shift_x = top - (core.top - 1), left - (core.left - 1)
    wide = wide[shift_y : shift_y + bottom - top, shift_x : shift_x + right - left]
    mask = wide & part.mask[top:bottom, left:right]
    return Component(
        part.top + top, part.left + left, part.top + bottom, part.left + right, mask, int(np.count_nonzero(mask))
    )


def _strong_area(part: Component, distance: NDArray[np.float32]) -> int:
    own = distance[part.top : part.bottom, part.left : part.right]
    return int(np.count_nonzero((own >= _HIGH) & part.mask))
