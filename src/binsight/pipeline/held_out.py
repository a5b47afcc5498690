"""Which photos are kept back to judge by: whole sources, or a part of one that its photos' names decide."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import PurePath
from typing import Final

from binsight.dataset.samples import Sample

__all__ = ["held_out_faults", "held_out_shares", "is_held_out"]

_ALL: Final = 1.0


def held_out_shares(entries: Sequence[str]) -> dict[str, float]:
    """Source → the share of its photos that is held out, of entries `SOURCE` and `SOURCE:SHARE`."""
    return dict(map(_read, entries))


def held_out_faults(entries: Sequence[str]) -> Iterator[str]:
    """What is wrong with such entries."""
    for source, share in map(_read, entries):
        if not 0 < share <= 1:
            yield f"data.hold_out: expected a share above 0, at most 1, of {source}, got {share:g}"


def is_held_out(sample: Sample, shares: dict[str, float]) -> bool:
    """Whether a photo is; the same photo always, wherever it lies and whatever lies beside it."""
    share = shares.get(sample.extra.get("source", ""), 0.0)
    if share >= _ALL:
        return True
    name = f"{sample.class_id}/{PurePath(sample.path).name}".encode("utf-8", "surrogateescape")
    return int.from_bytes(hashlib.sha256(name).digest()[:4]) < share * 2**32


def _read(entry: str) -> tuple[str, float]:
    name, _, share = entry.rpartition(":")
    try:
        return (name, float(share)) if name else (entry, _ALL)
    except ValueError:  # a source may have a colon in its name
        return entry, _ALL
