"""What the frozen layers make of the views of photos, computed once and kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pasted import SPEC, ViewMaker
from photographers import NONE, Photos
from rich.progress import track

from binsight.bundle.runtime import open_graph
from binsight.imaging import prepare_photo
from binsight.predictor import available_cores, run_in_order
from binsight.training.backbones.efficientnet_lite import EFFICIENTNET_LITE, build_backbone, load_pretrained
from binsight.training.fine_tune.activations import Activations, cut_graph
from binsight.training.photos import open_photo

__all__ = ["BACKBONE", "LAST_FROZEN", "VIEWS", "Seen"]

BACKBONE: Final = "efficientnet_lite0"
LAST_FROZEN: Final = 10  # block, counted from 0
VIEWS: Final = (0, 1, 3)  # as numbered in `pasted`
_NOT_ALTERED: Final = 0

Look = Callable[[int], tuple[NDArray[np.uint8], int]]


@dataclass(frozen=True, eq=False)
class Seen:
    """Activations, `(n, 16, 16, 112)` float16 each.

    Attributes:
        views: by number; view 0 of all photos, the others of those to train on.
        used: by number: which photo of an empty place is in each picture, or -1.
        patches: of empty places made of corners.
        patched: the photo that each of them is a corner of.
    """

    views: dict[int, Activations]
    used: dict[int, NDArray[np.intp]]
    patches: Activations
    patched: NDArray[np.intp]

    @classmethod
    def of(cls, photos: Photos, cache: Path) -> Seen:
        """Compute what is not in the cache."""
        maker, patched = ViewMaker(photos), photos.to_patch()
        views, used = {}, {}
        for number in VIEWS:
            count = len(photos.paths) if number == _NOT_ALTERED else photos.trained
            views[number], used[number] = _keep(cache / f"view{number}", partial(maker.view, number), range(count))
        patches, _ = _keep(cache / "patches", lambda photo: (maker.patch(photo), NONE), patched.tolist())
        return cls(views, used, patches, patched)


def see(paths: Sequence[Path], cache: Path, name: str) -> Activations:
    """Activations of other photos as they are."""
    prepare = partial(prepare_photo, spec=SPEC)
    return _keep(cache / name, lambda i: (open_photo(paths[i], prepare), NONE), range(len(paths)))[0]


def _keep(stem: Path, look: Look, photos: Sequence[int]) -> tuple[Activations, NDArray[np.intp]]:
    kept, used = stem.with_suffix(".npy"), stem.with_suffix(".used.npy")
    if not kept.exists():
        stem.parent.mkdir(parents=True, exist_ok=True)
        session = open_graph(_front())

        def row(photo: int) -> tuple[Activations, int]:
            picture, place = look(photo)
            (found,) = session.run(None, {"images": np.ascontiguousarray(picture[None])})
            return found[0].transpose(1, 2, 0).astype(np.float16), place

        found = run_in_order(row, photos, workers=available_cores())
        rows, places = zip(*track(found, description=f"Activations, {stem.name}", total=len(photos)), strict=True)
        np.save(used, np.array(places))
        draft = stem.with_suffix(".draft.npy")
        np.save(draft, np.stack(rows))
        draft.replace(kept)
    return np.load(kept, mmap_mode="r"), np.load(used)


def _front() -> bytes:
    whole = build_backbone(load_pretrained(BACKBONE), replace(EFFICIENTNET_LITE[BACKBONE], size=SPEC.size[0]))
    return cut_graph(whole, f"_blocks.{LAST_FROZEN}._project_conv.sum.residual")
