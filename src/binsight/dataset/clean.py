"""Apply what an audit found to a data set: which photos to leave out, and why. No photo is changed."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from binsight.dataset.duplicates import connected_groups
from binsight.dataset.samples import Dataset, Sample
from binsight.errors import DatasetError
from binsight.text_files import read_text

__all__ = ["DROPPED_ALWAYS", "Cleaned", "Dropped", "NearPolicy", "clean", "read_audit"]

NearPolicy = Literal["together", "one", "ignore"]

DROPPED_ALWAYS = ("unreadable", "truncated", "damaged")
"""Kinds of findings whose photos cannot be used at all."""

_AUDIT_FORMAT = 1
# What is judged by keeps its photos; what is learned from gives way.
_PREFERRED_SPLITS = ("test", "val", "train")
_EXACT = ("same_file", "same_pixels")


@dataclass(frozen=True, slots=True)
class Dropped:
    """A photo that was left out.

    Attributes:
        path: as in the data set.
        reason: the kind of finding: `unreadable`, `label_conflict`, `leakage`, `exact_duplicate`, ...
        kept: the path of the copy that stayed, where that is the reason.
        message: what the audit said, in words.
    """

    path: str
    reason: str
    message: str
    kept: str | None = None


@dataclass(frozen=True)
class Cleaned:
    """What is left of a data set.

    Attributes:
        dataset: the samples that stayed, in order; those of a group of copies that was kept together name it in
            `extra["group"]`.
        dropped: the others, in order.
    """

    dataset: Dataset
    dropped: tuple[Dropped, ...]


def read_audit(path: str | Path) -> dict[str, Any]:
    """What `binsight data audit --json` wrote.

    Raises:
        InputError: the file cannot be read.
        DatasetError: it is no audit, or one of another format.
    """
    try:
        found = json.loads(read_text(path))
    except ValueError as error:
        raise DatasetError(f"{path}: expected the JSON of binsight data audit --json: {error}") from error
    lists = ("findings", "duplicate_groups")
    if not isinstance(found, dict) or not all(isinstance(found.get(key), list) for key in lists):
        raise DatasetError(f"{path}: expected the JSON of binsight data audit --json, got other JSON")
    if found.get("format") != _AUDIT_FORMAT:
        raise DatasetError(
            f"{path}: expected an audit of format {_AUDIT_FORMAT}, got {found.get('format')}; run it again"
        )
    return found


def clean(
    dataset: Dataset,
    audit: Mapping[str, Any],
    *,
    near: NearPolicy = "together",
    keep_conflicts: bool = False,
    drop: Collection[str] = (),
) -> Cleaned:
    """The data set without what an audit found, and what was left out.

    In this order: unusable photos; findings of the kinds in `drop`; copies with different labels, all of them; copies
    on both sides of a split, but for one side; exact copies, but for one. Of copies on several sides those in `test`
    stay, then those in `val`; of copies on one side the largest photo stays, then the first by path.

    Args:
        dataset: the samples.
        audit: what an audit of the same photos found, as `read_audit` gives it.
        near: altered copies on one side are kept `together` (named as a group, which a split respects), reduced to
            `one`, or left alone (`ignore`), also across splits.
        keep_conflicts: do not drop copies with different labels.
        drop: further kinds of findings whose photos are dropped, such as `blank` or `label_error`.

    Raises:
        DatasetError: the audit is of other photos, or malformed.
    """
    try:
        return _clean(dataset, audit, near, keep_conflicts=keep_conflicts, drop=drop)
    except (KeyError, TypeError, AttributeError) as error:
        raise DatasetError(f"malformed audit: {type(error).__name__} {error}; run it again") from error


def _clean(
    dataset: Dataset, audit: Mapping[str, Any], near: NearPolicy, *, keep_conflicts: bool, drop: Collection[str]
) -> Cleaned:
    positions = _match(dataset, audit)
    dropped: dict[int, Dropped] = {}
    for i, sample in enumerate(dataset):
        if sample.error is not None:
            dropped[i] = Dropped(sample.path, "unreadable", sample.error)
    kinds = [*DROPPED_ALWAYS, *drop, *([] if keep_conflicts else ["label_conflict"])]
    for kind in dict.fromkeys(kinds):
        for finding in audit["findings"]:
            if finding["kind"] == kind:
                for i in (positions[f["path"]] for f in finding["files"]):
                    dropped.setdefault(i, Dropped(dataset.samples[i].path, kind, finding["message"]))
    labels: dict[int, str] = {}
    for group in audit["duplicate_groups"]:
        members = [positions[f["path"]] for f in group["files"]]
        exact = [(positions[p["first"]], positions[p["second"]]) for p in group["pairs"] if p["kind"] in _EXACT]
        dropped |= dict(_reduce(dataset, [m for m in members if m not in dropped], exact, near))
        left = sorted(m for m in members if m not in dropped)
        if near != "ignore" and len(left) > 1:
            labels |= dict.fromkeys(left, min(dataset.samples[m].path for m in left))
    kept = tuple(
        replace(s, extra={"group": labels[i], **s.extra}) if i in labels else s
        for i, s in enumerate(dataset)
        if i not in dropped
    )
    return Cleaned(replace(dataset, samples=kept), tuple(dropped[i] for i in sorted(dropped)))


def _reduce(
    dataset: Dataset, members: Sequence[int], exact: Sequence[tuple[int, int]], near: NearPolicy
) -> Iterator[tuple[int, Dropped]]:
    """Which members of one group of copies are dropped."""
    samples = dataset.samples
    ranked = sorted(members, key=lambda i: _rank(samples[i]))
    if not ranked:
        return
    best = ranked[0]
    twins = _exact_twins(members, exact)
    kept: list[int] = []
    for i in ranked:
        twin = next((k for k in kept if k in twins[i]), None)
        if near != "ignore" and samples[i].split != samples[best].split:
            message = f"a copy of {samples[best].path}, which is in {samples[best].split}"
            yield i, Dropped(samples[i].path, "leakage", message, samples[best].path)
        elif twin is not None:
            message = f"an exact copy of {samples[twin].path}"
            yield i, Dropped(samples[i].path, "exact_duplicate", message, samples[twin].path)
        elif near == "one" and kept:
            message = f"an altered copy of {samples[best].path}"
            yield i, Dropped(samples[i].path, "near_duplicate", message, samples[best].path)
        else:
            kept.append(i)


def _rank(sample: Sample) -> tuple[int, int, int, str]:
    """What sorts the copy that stays to the front."""
    known = sample.split in _PREFERRED_SPLITS
    split = _PREFERRED_SPLITS.index(str(sample.split)) if known else len(_PREFERRED_SPLITS)
    return split, -(sample.width or 0) * (sample.height or 0), -(sample.bytes or 0), sample.path


def _exact_twins(members: Sequence[int], pairs: Sequence[tuple[int, int]]) -> dict[int, set[int]]:
    """For each member all that are exact copies of it, directly or through others, and itself."""
    place = {i: row for row, i in enumerate(members)}
    groups = connected_groups(len(members), ((place[a], place[b]) for a, b in pairs if a in place and b in place))
    return {i: {j for j in members if groups[place[j]] == groups[place[i]]} for i in members}


def _match(dataset: Dataset, audit: Mapping[str, Any]) -> dict[str, int]:
    """The position of every photo that the audit names: by where it lies, else by its path below the root."""
    root = Path(str(audit["root"]))
    named = {f["path"] for entry in (*audit["findings"], *audit["duplicate_groups"]) for f in entry["files"]}
    by_file = {os.path.normpath(dataset.file(s)): i for i, s in enumerate(dataset)}
    by_path = {s.path: i for i, s in enumerate(dataset)}
    found = {name: by_file.get(os.path.normpath(root / name), by_path.get(name, -1)) for name in named}
    missing = sorted(name for name, i in found.items() if i < 0)
    if missing:
        raise DatasetError(
            f"the audit names {len(missing):,} photos that the data set does not have, such as {missing[0]}; audit the "
            "data set that is to be cleaned"
        )
    return found
