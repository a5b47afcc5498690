"""Versions of the data set: what labelled photos are, frozen into manifests that are named by their own hash.

DIR/datasets/<sha>.csv    path, class, split, labellers, mode, reason, pi, captured, group; never changed
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

from binsight.dataset import Dataset, Sample
from binsight.dataset.duplicates import duplicate_groups
from binsight.errors import BinsightError, InputError
from binsight.files import write_whole
from binsight.loop.ledger import Ledger
from binsight.loop.queue import Queue
from binsight.loop.votes import LABELS, NOT_WASTE, OTHERS, Photo, read_photos
from binsight.text_files import csv_text

__all__ = [
    "Difference",
    "NothingLabelledError",
    "Version",
    "compare_versions",
    "freeze",
    "newest_version",
    "read_all_splits",
    "read_split",
    "versions",
]

_COLUMNS: Final = ("path", "class", "split", "labellers", "mode", "reason", "pi", "captured", "group")
_CLIENT_SHARE = 0.1


class NothingLabelledError(BinsightError, ValueError):
    """There is no settled label yet."""

    code: ClassVar[str] = "dataset"


@dataclass(frozen=True, slots=True)
class Version:
    """A frozen version.

    Attributes:
        sha256: of the manifest; its name.
        at: when it was frozen.
        photos: split → photos.
        left_out: settled photos of corrections, beyond what one client may bring.
    """

    sha256: str
    at: str
    photos: dict[str, int]
    left_out: int


@dataclass(frozen=True, slots=True)
class Difference:
    """What changed between two versions, by the photos' ids."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    relabelled: tuple[str, ...]


def freeze(queue: Queue, *, workers: int | None = None) -> Version:
    """Write what is settled into a new version; the same content gives the same one, and no further line.

    Copies of one photo lie in one split, that of the first of them. Of the photos that are new since the last version
    one client's corrections make at most a tenth.

    Args:
        queue: with the labels.
        workers: threads, to look for copies.

    Raises:
        NothingLabelledError: no label is settled.
        OutputError: it cannot be written.
    """
    known = set(_read(queue, newest_version(queue.directory))) if newest_version(queue.directory) else set()
    with queue.reading() as rows:
        settled = [p for p in read_photos(rows) if p.truth is not None and p.truth not in set(OTHERS) - {NOT_WASTE}]
        captured = {row["id"]: row["at"] for row in rows.execute("SELECT id, at FROM items")}
        modes = {row["item"]: row["mode"] for row in rows.execute(LABELS) if not row["is_gold"]}
        clients: dict[str, str] = {}
        for row in rows.execute("SELECT item, client FROM claims WHERE NOT withdrawn ORDER BY id"):
            clients.setdefault(row["item"], row["client"])
    settled = [p for p in settled if queue.photo(p.id).is_file()]
    settled.sort(key=lambda p: (captured[p.id], p.id))
    kept = _capped(settled, known, clients)
    if not kept:
        raise NothingLabelledError(f"{queue.directory}: no photo has a settled label yet")
    text = _manifest(queue, kept, captured, modes, workers)
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    splits = dict(Counter(row["split"] for row in csv.DictReader(io.StringIO(text))))
    path = queue.directory / "datasets" / f"{sha256}.csv"
    if not path.is_file():
        write_whole(path, text)
    with queue.ledger.writing():
        entries = [e for e in queue.ledger.read() if e.event == "freeze"]
        if not entries or entries[-1].details["version"] != sha256:
            parent = entries[-1].details["version"] if entries else None
            left_out = len(settled) - len(kept)
            queue.ledger.append("freeze", version=sha256, photos=splits, left_out=left_out, parent=parent)
    return versions(queue)[-1]


def versions(queue: Queue) -> list[Version]:
    """All versions, in order."""
    entries = (e for e in queue.ledger.read() if e.event == "freeze")
    return [Version(e.details["version"], e.at, dict(e.details["photos"]), e.details["left_out"]) for e in entries]


def newest_version(directory: Path) -> Path | None:
    """The manifest of a loop's newest version; None where the folder is no loop, or has none."""
    found = [e.details["version"] for e in Ledger(directory / "ledger.jsonl").read() if e.event == "freeze"]
    return directory / "datasets" / f"{found[-1]}.csv" if found else None


def read_split(path: Path, split: str) -> dict[str, str]:
    """The photos of one split of a manifest, by id, and the class of each."""
    with path.open(encoding="utf-8", newline="") as file:
        return {Path(row["path"]).stem: row["class"] for row in csv.DictReader(file) if row["split"] == split}


def read_all_splits(queue: Queue) -> dict[str, set[str]]:
    """The photos that each split had in any version, by id."""
    found: dict[str, set[str]] = {}
    for path in (queue.directory / "datasets").glob("*.csv"):
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                found.setdefault(row["split"], set()).add(Path(row["path"]).stem)
    return found


def compare_versions(queue: Queue, first: str, second: str) -> Difference:
    """What changed from one version to another, each named by the beginning of its hash.

    Raises:
        InputError: there is no such version, or several.
    """
    old, new = (_read(queue, _find(queue, name)) for name in (first, second))
    return Difference(
        added=tuple(sorted(new.keys() - old.keys())),
        removed=tuple(sorted(old.keys() - new.keys())),
        relabelled=tuple(sorted(item for item in old.keys() & new.keys() if old[item] != new[item])),
    )


def _find(queue: Queue, name: str) -> Path:
    found = sorted((queue.directory / "datasets").glob("*.csv"))
    meant = [path for path in found if name and path.stem.startswith(name)]
    if len(meant) != 1:
        listed = ", ".join(path.stem[:12] for path in found) or "none"
        raise InputError(f"{queue.directory}: expected one version {name[:64]!r}; there are {listed}")
    return meant[0]


def _read(queue: Queue, path: Path | None) -> dict[str, str]:
    """Photo → class."""
    if path is None or not path.is_file():
        raise InputError(f"{queue.directory}: {path}: the manifest of a version is missing; bring back a copy")
    with path.open(encoding="utf-8", newline="") as file:
        return {Path(row["path"]).stem: row["class"] for row in csv.DictReader(file)}


def _capped(settled: Sequence[Photo], known: set[str], clients: dict[str, str]) -> list[Photo]:
    claimed = [p for p in settled if p.id not in known and p.reasons == ("correction",)]
    others = sum(p.id not in known for p in settled) - len(claimed)
    room = _room(others, list(Counter(clients.get(p.id, "") for p in claimed).values()))
    used: Counter[str] = Counter()
    kept = []
    for p in settled:
        if p.id not in known and p.reasons == ("correction",):
            client = clients.get(p.id, "")
            used[client] += 1
            if used[client] > room:
                continue
        kept.append(p)
    return kept


def _room(others: int, claimed: Sequence[int]) -> int:
    """How many each client may bring, so that nobody's are more than a tenth of what is taken in."""
    for room in range(max(claimed, default=0), 0, -1):
        if room <= _CLIENT_SHARE * (others + sum(min(count, room) for count in claimed)):
            return room
    return 0


def _manifest(
    queue: Queue, kept: Sequence[Photo], captured: dict[str, str], modes: dict[str, str], workers: int | None
) -> str:
    paths = [f"../photos/{p.id[:2]}/{p.id}.jpg" for p in kept]
    names = tuple(sorted({_class(p) for p in kept}))
    samples = tuple(Sample(path, _class(p)) for path, p in zip(paths, kept, strict=True))
    groups = duplicate_groups(Dataset(queue.directory / "datasets", names, samples), workers=workers)
    first = {group: kept[i] for i, group in reversed(list(enumerate(groups)))}
    rows: list[tuple[object, ...]] = [_COLUMNS]
    for path, p, group in sorted(zip(paths, kept, groups, strict=True), key=lambda row: row[1].id):
        who, reasons = " ".join(sorted(p.votes)), " ".join(p.reasons)
        own = (path, _class(p), first[group].split, who, modes[p.id], reasons, f"{p.chance:.6g}", captured[p.id])
        rows.append((*own, first[group].id[:16]))
    return csv_text(rows)


def _class(photo: Photo) -> str:
    return "not-waste" if photo.truth == NOT_WASTE else str(photo.truth)
