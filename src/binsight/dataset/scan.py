"""From a folder or a manifest to a table of photos."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from functools import partial
from pathlib import Path

from binsight.dataset.cache import PhotoCache
from binsight.dataset.folder import find_photos, folder_notes
from binsight.dataset.labels import resolve_classes, spelling_notes
from binsight.dataset.layout import Placed, place_photos
from binsight.dataset.manifest import check_encoding, read_manifest
from binsight.dataset.photo import inspect_photo
from binsight.dataset.samples import Dataset, Facts, Sample
from binsight.errors import InputError
from binsight.imaging import ImageLimits
from binsight.predictor import run_in_order
from binsight.progress import Progress, unheard
from binsight.taxonomy import Taxonomy

__all__ = ["scan"]

_REMEMBERED_AT_ONCE = 1000
_FACTS = tuple(field.name for field in fields(Facts))


def scan(
    path: str | Path,
    *,
    taxonomy: Taxonomy | None = None,
    cache: str | Path | None = None,
    progress: Progress = unheard,
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
        cache: an SQLite file that remembers photos by path, size and time of change; made when it is missing. Only
            sound ones are remembered: whether an error goes away may depend on more than the file.
        progress: called in the caller's thread as photos are done.
        workers: threads; by default one per core.
        decode: decode every photo, to find those that are truncated or damaged behind a sound header.
        limits: a larger photo is an error.

    Returns:
        Samples sorted by path; those of a manifest in its order, with its columns.

    Raises:
        InputError: `path` does not exist, cannot be read, or is a manifest in another encoding.
        OutputError: there is something at `cache` that is no cache.
        DatasetError: it is not laid out as a data set.
        TaxonomyError: a folder's name is no class of the taxonomy.
    """
    path = Path(os.path.abspath(path))  # noqa: PTH100 - a link to the folder keeps its own name
    if path.is_dir():
        dataset = _read_folder(path, taxonomy)
    elif path.is_file():
        dataset = read_manifest(path, taxonomy=taxonomy)
        check_encoding(dataset, path)
    else:
        raise InputError(f"{path}: no such folder or manifest")
    facts = _inspect_all(
        [dataset.file(s) for s in dataset],
        cache=cache,
        progress=progress,
        workers=workers,
        decode=decode,
        limits=limits or ImageLimits(),
    )
    known = ({name: getattr(found, name) for name in _FACTS} for found in facts)
    samples = tuple(replace(s, **facts) for s, facts in zip(dataset.samples, known, strict=True))
    return replace(dataset, samples=samples)


def _read_folder(root: Path, taxonomy: Taxonomy | None) -> Dataset:
    photos, passed_over = find_photos(root)
    placement = place_photos(photos, taxonomy, where=str(root))
    names = resolve_classes((p.class_name for p in placement.placed), taxonomy, where=str(root))
    samples = tuple(_sample(p, names[p.class_name]) for p in placement.placed)
    classes = taxonomy.ids if taxonomy else tuple(sorted(set(names.values())))
    ignored = sorted([*passed_over, *placement.loose], key=lambda i: i.path)
    notes = (*folder_notes(passed_over), *placement.notes, *spelling_notes(names))
    return Dataset(root, classes, samples, taxonomy, tuple(ignored), notes)


def _sample(placed: Placed, class_id: str) -> Sample:
    known = placed.biodegradable is not None
    extra = {"biodegradable": str(placed.biodegradable).lower()} if known else {}
    return Sample("/".join(placed.parts), class_id, placed.split, extra=extra)


def _inspect_all(
    files: Sequence[Path],
    *,
    cache: str | Path | None,
    progress: Progress,
    workers: int | None,
    decode: bool,
    limits: ImageLimits,
) -> list[Facts]:
    kind = f"{','.join(_FACTS)} within {limits.max_bytes}/{limits.max_pixels}/{limits.max_side}"
    inspect = partial(inspect_photo, decode=decode, limits=limits)
    with PhotoCache.open(cache) as memory:
        kept = {} if cache is None else memory.get(kind, [os.fsencode(file) for file in files])
        known = {i: facts for i, file in enumerate(files) if (facts := _recall(file, kept, decode=decode))}
        unknown = [i for i in range(len(files)) if i not in known]
        # Before the photos are read: one that is changed meanwhile is looked at again next time.
        states = {} if cache is None else {i: _state(files[i]) for i in unknown}
        progress(len(known), len(files))
        fresh: dict[bytes, bytes] = {}
        for i, facts in zip(unknown, run_in_order(inspect, (files[i] for i in unknown), workers=workers), strict=True):
            known[i] = facts
            progress(len(known), len(files))
            state = states.get(i)
            if state is not None and facts.error is None and facts.bytes == state[0]:
                fresh[os.fsencode(files[i])] = json.dumps([state, [getattr(facts, name) for name in _FACTS]]).encode()
            if len(fresh) >= _REMEMBERED_AT_ONCE:
                memory.put(kind, fresh)
                fresh.clear()
        memory.put(kind, fresh)
    return [known[i] for i in range(len(files))]


def _recall(file: Path, kept: Mapping[bytes, bytes], *, decode: bool) -> Facts | None:
    """What is remembered of a file, if it has not changed since and says enough."""
    if (packed := kept.get(os.fsencode(file))) is None:
        return None
    state, values = json.loads(packed)
    facts = Facts(**dict(zip(_FACTS, values, strict=True)))
    return facts if state == _state(file) and (facts.decoded or not decode) else None


def _state(file: Path) -> list[int] | None:
    """Size and time of change, in nanoseconds."""
    try:
        status = file.stat()
    except OSError:
        return None
    return [status.st_size, status.st_mtime_ns]
