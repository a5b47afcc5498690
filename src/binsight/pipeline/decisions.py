"""What a trained network says of every photo that judges it, kept in the work folder to study what is accepted."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from binsight.files import write_whole
from binsight.pipeline.calibrate import judge
from binsight.pipeline.data import HELD_OUT
from binsight.pipeline.work import Work
from binsight.probability.calibration import ScaledCalibration
from binsight.probability.scores import HeadScores

__all__ = ["write_decisions"]


def write_decisions(
    work: Work, seen: Mapping[str, HeadScores], labels: Mapping[str, NDArray[np.intp]], calibration: ScaledCalibration
) -> None:
    """Write `decisions.npz`; nothing where the network does not say how unfamiliar a photo is.

    Args:
        work: where.
        seen: split, or set of photos of none of the classes → scores.
        labels: of a split's photos.
        calibration: of the network.

    The file's arrays are, for each of n photos, `sources` (the split, or the source that was held out), `classes` (-1
    for none), `right`, `accepted` and `unfamiliarity`, and the `median` of the latter on `val` and its `limit`.
    """
    strangeness = {name: scores.exported(calibration.scale).unfamiliarity for name, scores in seen.items()}
    if any(values is None for values in strangeness.values()):
        return
    names = list(seen)
    classes = np.concatenate([labels.get(name, np.full(len(seen[name]), -1)) for name in names])
    arrays: dict[str, NDArray[Any]] = {
        "sources": np.repeat([name.removeprefix(HELD_OUT) for name in names], [len(seen[name]) for name in names]),
        "classes": classes,
        "right": np.concatenate([scores.logits.argmax(axis=1) for scores in seen.values()]) == classes,
        "accepted": np.concatenate([judge(seen[name], calibration).accepted for name in names]),
        "unfamiliarity": np.concatenate([np.asarray(strangeness[name]) for name in names]),
        "median": np.median(np.asarray(strangeness["val"])),
        "limit": np.asarray(calibration.fitted.review.unfamiliarity),
    }
    stream = io.BytesIO()
    np.savez(stream, allow_pickle=False, **arrays)
    write_whole(work.root / "decisions.npz", stream.getvalue())
