"""A split data set as folders: `<split>/<class>/<photo>`, copied or linked; the originals stay as they are."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Literal

from binsight.dataset.manifest import write_manifest
from binsight.dataset.samples import Dataset, Sample
from binsight.errors import DatasetError, OutputError
from binsight.progress import Progress, unheard
from binsight.taxonomy import folder_name_fault

__all__ = ["Mode", "materialise"]

Mode = Literal["copy", "link"]

# Tells a folder made here, which may be replaced, from one with somebody's photos.
_MARKER = ".binsight.json"


def materialise(
    dataset: Dataset, out: str | Path, *, mode: Mode = "copy", overwrite: bool = False, progress: Progress = unheard
) -> Path:
    """Make a folder of the photos that have a split, with a `manifest.csv`; it appears whole or not at all.

    Args:
        dataset: samples without a split are left out.
        out: the folder to make.
        mode: `copy` the files, or `link` to where they lie (symbolic links).
        overwrite: replace `out`, but only when it was made by this function.
        progress: called as files are done.

    Returns:
        `out`.

    Raises:
        DatasetError: no sample has a split, or a class or split cannot be the name of a folder.
        OutputError: `out` exists, or a file cannot be read or written.
    """
    out = Path(os.path.abspath(out))  # noqa: PTH100 - a link to the folder keeps its own name
    samples = [s for s in dataset if s.split is not None]
    if not samples:
        raise DatasetError(f"{dataset.root}: no sample has a split; split the data set first")
    _check_names(samples)
    _check_target(out, dataset, overwrite=overwrite)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as workplace:
            draft = Path(workplace, "new")
            _fill(draft, dataset, samples, mode, progress)
            if out.exists():
                out.rename(Path(workplace, "old"))
            draft.rename(out)
    except OSError as error:
        raise OutputError(f"cannot make {out}: {error.filename or ''} {error.strerror or error}") from error
    return out


def _check_names(samples: list[Sample]) -> None:
    names = dict.fromkeys(str(name) for s in samples for name in (s.split, s.class_id))
    faults = [f"{name!r} {fault}" for name in names if (fault := folder_name_fault(name))]
    if faults:
        raise DatasetError(f"classes and splits become folders here; rename these: {'; '.join(faults)}")


def _check_target(out: Path, dataset: Dataset, *, overwrite: bool) -> None:
    if not os.path.lexists(out):
        return
    if not overwrite:
        raise OutputError(f"{out} exists; choose another name, or pass --overwrite to replace it")
    if not (out / _MARKER).is_file():
        raise OutputError(f"{out} was not made by binsight and is not replaced; choose another name")
    if any(dataset.file(s).is_relative_to(out) for s in dataset):
        raise OutputError(f"{out} holds photos of this very data set and is not replaced; choose another name")


def _fill(draft: Path, dataset: Dataset, samples: list[Sample], mode: Mode, progress: Progress) -> None:
    taken: set[str] = set()
    rows = []
    for done, sample in enumerate(samples, start=1):
        path = _free_name(sample, taken)
        target = draft / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if mode == "link":
            target.symlink_to(dataset.file(sample))
        else:
            shutil.copy2(dataset.file(sample), target)
        rows.append(replace(sample, path=path))
        progress(done, len(samples))
    write_manifest(replace(dataset, root=draft, samples=tuple(rows), ignored=()), draft / "manifest.csv")
    (draft / _MARKER).write_text(json.dumps({"made_by": "binsight data split", "mode": mode}) + "\n", "utf-8")


def _free_name(sample: Sample, taken: set[str]) -> str:
    """`split/class/name`; photos of one name from different folders get a number. Case does not tell names apart."""
    name = Path(sample.path)
    folder = f"{sample.split}/{sample.class_id}"
    path, count = f"{folder}/{name.name}", 1
    while path.casefold() in taken:
        count += 1
        path = f"{folder}/{name.stem}-{count}{name.suffix}"
    taken.add(path.casefold())
    return path
