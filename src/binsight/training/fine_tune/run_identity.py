"""What makes a run this run: a checkpoint continues with the same settings, seed, photos and network only."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import keras

from binsight.imaging import PreprocessSpec
from binsight.training.fine_tune.settings import FineTuneSettings
from binsight.training.photos import LabelledPhotos

__all__ = ["describe_run", "find_differences"]


def describe_run(
    network: keras.Model,
    train: LabelledPhotos,
    val: LabelledPhotos,
    settings: FineTuneSettings,
    *,
    spec: PreprocessSpec,
    seed: int,
) -> dict[str, Any]:
    """All that decides how a run goes, JSON-ready; photos by their names, order and labels, wherever they lie."""
    shapes = [list(v.shape) for v in network.variables]
    return {
        "settings": settings.to_dict(),
        "preprocess": spec.to_dict(),
        "seed": seed,
        "training photos": _digest(train, with_sources=bool(settings.source_balance)),
        "validation photos": _digest(val),
        "network": hashlib.sha256(repr(shapes).encode()).hexdigest(),
    }


def find_differences(before: Mapping[str, Any], now: Mapping[str, Any], prefix: str = "") -> list[str]:
    """What differs between two descriptions, as `name: before, now after`; digests by name only."""
    found = []
    for key in sorted({*before, *now}):
        old, new = before.get(key), now.get(key)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            found += find_differences(old, new, "" if key == "settings" else f"{key}.")
        elif old != new:
            digest = isinstance(old, str) and len(old) == 64
            found.append(f"{prefix}{key}" if digest else f"{prefix}{key} was {old}, now {new}")
    return found


def _digest(photos: LabelledPhotos, *, with_sources: bool = False) -> str:
    answers, sources = photos.biodegradable, photos.sources if with_sources else None
    rows = [
        (path.parent.name, path.name, int(label), None if answers is None else bool(answers[i]))
        for i, (path, label) in enumerate(zip(photos.paths, photos.labels, strict=True))
    ]
    known = rows if sources is None else [rows, sources.tolist()]
    return hashlib.sha256(repr(known).encode()).hexdigest()
