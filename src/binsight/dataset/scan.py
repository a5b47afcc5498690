"""From a folder or a manifest to a table of photos."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import fields, replace
from functools import partial
from pathlib import Path

from binsight.dataset.cache import FileKey, ScanCache
from binsight.dataset.labels import resolve_classes
from binsight.dataset.layout import Placed, find_photos, place_photos
from binsight.dataset.manifest import read_manifest
from binsight.dataset.photo import inspect_photo
from binsight.dataset.samples import Dataset, Facts, Progress, Sample
from binsight.errors import InputError
from binsight.imaging import ImageLimits
from binsight.predictor import available_cores, run_in_order
from binsight.taxonomy import Taxonomy

__all__ = ["scan"]

_REMEMBERED_AT_ONCE = 1000
_FACTS = tuple(field.name for field in fields(Facts))


def scan(
    path: str | Path,
    *,
    taxonomy: Taxonomy | None = None,
    cache: str | Path | None = None,
    progress: Progress | None = None,
    workers: int | None = None,
    decode: bool = False,
    limits: ImageLimits | None = None,
) -> Dataset:
    """The table of a data set's photos, with hash, size and format of each. Nothing is written but the cache.

    A photo that cannot be read stays a row, with its `error`. Photos are read one after another and not kept, so memory
    grows with their number only (about 1 kB each).

    Args:
        path: a folder (see `binsight.dataset.layout`) or a manifest (see `binsight.dataset.manifest`).
        taxonomy: what folder names are matched to; without one, the classes are the folders' names, sorted.
        cache: an SQLite file that remembers photos by path, size and time of change; made when it is missing.
        progress: called in the caller's thread as photos are done.
        workers: threads; by default one per core.
        decode: decode every photo, to find those that are truncated or damaged behind a sound header.
        limits: a larger photo is an error.

    Returns:
        Samples sorted by path; those of a manifest in its order, with its columns.

    Raises:
        InputError: `path` does not exist or cannot be read.
        DatasetError: it is not laid out as a data set.
        TaxonomyError: a folder's name is no class of the taxonomy.
    """
    path = Path(os.path.abspath(path))  # noqa: PTH100 - a link to the folder keeps its own name
    if path.is_dir():
        dataset = _read_folder(path, taxonomy)
    elif path.is_file():
        dataset = read_manifest(path, taxonomy=taxonomy)
    else:
        raise InputError(f"{path}: no such folder or manifest")
    facts = _inspect_all(
        [dataset.file(s) for s in dataset],
        cache=None if cache is None else Path(cache),
        progress=progress or (lambda _done, _total: None),
        workers=workers or available_cores(),
        decode=decode,
        limits=limits or ImageLimits(),
    )
    rows = zip(dataset.samples, facts, strict=True)
    return replace(dataset, samples=tuple(_with_facts(s, f) for s, f in rows))


def _read_folder(root: Path, taxonomy: Taxonomy | None) -> Dataset:
    photos, passed_over = find_photos(root)
    placed, loose = place_photos(photos, taxonomy, where=str(root))
    names = resolve_classes((p.class_name for p in placed), taxonomy, where=str(root))
    samples = tuple(_sample(p, names[p.class_name]) for p in placed)
    classes = taxonomy.ids if taxonomy else tuple(sorted(set(names.values())))
    return Dataset(root, classes, samples, taxonomy, tuple(sorted([*passed_over, *loose], key=lambda i: i.path)))


def _sample(placed: Placed, class_id: str) -> Sample:
    known = placed.biodegradable is not None
    extra = {"biodegradable": str(placed.biodegradable).lower()} if known else {}
    return Sample("/".join(placed.parts), class_id, placed.split, extra=extra)


def _with_facts(sample: Sample, facts: Facts) -> Sample:
    return replace(sample, **{name: getattr(facts, name) for name in _FACTS})


def _inspect_all(
    files: Sequence[Path],
    *,
    cache: Path | None,
    progress: Progress,
    workers: int,
    decode: bool,
    limits: ImageLimits,
) -> list[Facts]:
    settings = f"{limits.max_bytes}/{limits.max_pixels}/{limits.max_side}"
    inspect = partial(inspect_photo, decode=decode, limits=limits)
    with nullcontext(None) if cache is None else ScanCache.open(cache) as memory:
        known: dict[int, Facts] = {}
        keys: dict[int, FileKey] = {}
        if memory is not None:
            keys = {i: key for i, file in enumerate(files) if (key := FileKey.of(file, settings))}
            known = {i: f for i, key in keys.items() if (f := memory.get(key)) and (f.decoded or not decode)}
        unknown = [i for i in range(len(files)) if i not in known]
        done = len(known)
        progress(done, len(files))
        fresh: list[tuple[FileKey, Facts]] = []
        for i, facts in zip(unknown, run_in_order(inspect, (files[i] for i in unknown), workers=workers), strict=True):
            known[i] = facts
            done += 1
            progress(done, len(files))
            if memory is not None and i in keys:
                fresh.append((keys[i], facts))
                if len(fresh) >= _REMEMBERED_AT_ONCE:
                    memory.put(fresh)
                    fresh.clear()
        if memory is not None:
            memory.put(fresh)
    return [known[i] for i in range(len(files))]
