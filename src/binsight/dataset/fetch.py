"""Bring a public set of photos to a folder, with manifests of its own classes and of those of `waste8`."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from binsight.dataset.archive import ArchiveLimits, unpack
from binsight.dataset.catalog import PublicSet, RemoteFile
from binsight.dataset.crops import cut_objects
from binsight.dataset.download import download, file_sha256
from binsight.dataset.kaggle import KaggleClient, download_with_kagglehub
from binsight.dataset.manifest import write_manifest
from binsight.dataset.samples import Dataset
from binsight.dataset.scan import scan
from binsight.errors import BinsightError, DatasetError, InputError, OutputError
from binsight.files import write_whole
from binsight.progress import Stage, unheard_stage
from binsight.taxonomy import builtin_taxonomy

__all__ = ["LOCK_NAME", "Fetched", "fetch"]

LOCK_NAME = "binsight-lock.json"
_WORK = ".download"


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a fetch brought.

    Attributes:
        folder: where it is: `photos/`, `manifest.csv`, `waste8.csv`, `SOURCE.md` and the lock file.
        photos: how many, with those that cannot be read.
        unreadable: how many of them cannot be read.
        classes: photos of each of the set's own classes.
        mapped: photos of each class of `waste8`.
        without_counterpart: the set's classes that `waste8` does not have, with their photos.
        crops: how many objects were cut out or not, by outcome; empty for a set of whole photos.
        was_there: nothing had to be downloaded.
    """

    folder: Path
    photos: int
    unreadable: int
    classes: Mapping[str, int]
    mapped: Mapping[str, int]
    without_counterpart: Mapping[str, int]
    crops: Mapping[str, int] = field(default_factory=dict)
    was_there: bool = False


def fetch(
    public_set: PublicSet,
    to: str | Path,
    *,
    kaggle: KaggleClient = download_with_kagglehub,
    report: Stage = unheard_stage,
    force: bool = False,
    keep_archives: bool = False,
    limits: ArchiveLimits | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> Fetched:
    """Download, check and unpack a public set; what an interrupted call got is used by the next.

    A file whose checksum is not in the catalogue has it recorded in `binsight-lock.json` the first time, and must have
    the same ever after; so does the set as a whole. A file that was downloaded by other means is taken from
    `.download/` below `to`.

    Args:
        public_set: what to fetch.
        to: the folder; made when it is missing.
        kaggle: how to get a set from Kaggle.
        report: told what is being done.
        force: fetch it again though it is there.
        keep_archives: leave the downloaded files in `.download/`.
        limits: the largest archive that is unpacked.
        sleep: waits between attempts to download.

    Raises:
        InputError: a source cannot be reached, wants credentials, or gives another file than expected.
        DatasetError: an archive was refused, or the photos are not laid out as the catalogue says.
        OutputError: `to` holds something else, or cannot be written.
        MissingExtraError: the set is on Kaggle and kagglehub is not installed.
    """
    to = Path(os.path.abspath(to))  # noqa: PTH100 - a link to the folder keeps its own name
    lock = _read_lock(to, public_set)
    if (to / "photos").is_dir() and "content_sha256" in lock and not force:
        return _finish(public_set, to, lock, report, was_there=True)
    if (to / "photos").exists() and "content_sha256" not in lock:
        raise OutputError(f"{to / 'photos'} exists and was not fetched by binsight; choose another folder")
    work = to / _WORK
    try:
        work.mkdir(parents=True, exist_ok=True)
        raw = kaggle(public_set.kaggle, work / "kaggle") if public_set.kaggle else None
        if raw is None:
            raw = work / "unpacked"
            _get_files(public_set, to, lock, report, limits, sleep)
        crops = _place(public_set, raw, to, report)
        result = _finish(public_set, to, lock, report, crops=crops)
        _tidy(work, public_set, keep_archives=keep_archives)
    except BinsightError:
        raise
    except OSError as error:
        raise OutputError(f"cannot write below {to}: {error.strerror or error}") from error
    return result


def _read_lock(to: Path, public_set: PublicSet) -> dict[str, Any]:
    path = to / LOCK_NAME
    if not path.exists():
        return {"set": public_set.name, "files": {}}
    try:
        lock = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {path}: {error}") from error
    if not isinstance(lock, dict) or lock.get("set") != public_set.name or not isinstance(lock.get("files"), dict):
        raise OutputError(f"{to} holds another set than {public_set.name}; choose another folder")
    return lock


def _write_lock(to: Path, lock: Mapping[str, Any]) -> None:
    write_whole(to / LOCK_NAME, (json.dumps(lock, indent=2) + "\n").encode(), overwrite=True)


def _get_files(
    public_set: PublicSet,
    to: Path,
    lock: dict[str, Any],
    report: Stage,
    limits: ArchiveLimits | None,
    sleep: Callable[[float], None],
) -> None:
    """Download what is missing and unpack all of it below `.download/unpacked`."""
    work = to / _WORK
    shutil.rmtree(work / "unpacked", ignore_errors=True)
    for file in public_set.files:
        archive = work / file.name
        is_ours = not archive.exists()
        if is_ours:
            _download(public_set, file, archive, report, sleep)
        found = file_sha256(archive)
        known = lock["files"].get(file.name, {}).get("sha256")
        if (file.sha256 or known or found) != found:
            if is_ours:
                archive.unlink()
            raise InputError(_other_file(file, found, known, to, archive, is_ours=is_ours))
        lock["files"][file.name] = {"sha256": found, "bytes": archive.stat().st_size}
        _write_lock(to, lock)
        folder = work / "unpacked" if len(public_set.files) == 1 else work / "unpacked" / file.name.split(".")[0]
        unpack(archive, folder, limits=limits, progress=report(f"Unpacking {file.name}"))


def _download(
    public_set: PublicSet, file: RemoteFile, archive: Path, report: Stage, sleep: Callable[[float], None]
) -> None:
    size = file.bytes or file.about_bytes or 0
    free = shutil.disk_usage(archive.parent).free
    if size > free:
        raise OutputError(f"{file.name} has about {size:,} bytes, {free:,} are free at {archive.parent}")
    failures = []
    for url in file.urls:
        try:
            download(url, archive, size=file.bytes, progress=report(f"Downloading {file.name}"), sleep=sleep)
        except InputError as error:
            failures.append(str(error))
        else:
            return
    raise InputError(
        "; ".join(failures) + f"; check the connection, or get {file.name} from {public_set.home} by other means, put "
        f"it at {archive} and run this again"
    )


def _other_file(file: RemoteFile, found: str, known: str | None, to: Path, archive: Path, *, is_ours: bool) -> str:
    where = "the catalogue" if file.sha256 else str(to / LOCK_NAME)
    return (
        f"{file.name}: expected the SHA-256 {file.sha256 or known} of {where}, got {found}: it was damaged on the way "
        f"or changed at its source; {'it was deleted' if is_ours else f'move {archive} away'}. Run this again"
        + ("" if file.sha256 else f", or remove its entry from {LOCK_NAME} to accept the new one")
    )


def _place(public_set: PublicSet, raw: Path, to: Path, report: Stage) -> dict[str, int]:
    """Move the photos out of what was unpacked to `photos/`, or cut them out of it."""
    base = next((raw / name for name in public_set.folders if (raw / name).is_dir()), None)
    if base is None:
        raise DatasetError(
            f"{public_set.name}: expected one of the folders {', '.join(public_set.folders)} in what was downloaded; "
            f"its layout has changed, see {public_set.home}"
        )
    draft = to / _WORK / "photos"
    shutil.rmtree(draft, ignore_errors=True)
    crops: dict[str, int] = {}
    if public_set.crops:
        crops = cut_objects(base / public_set.crops, draft, progress=report("Cutting objects out"))
    elif public_set.only:
        draft.mkdir()
        for name in public_set.only:
            if (base / name).is_dir():
                (base / name).rename(draft / name)
    else:
        base.rename(draft)
    shutil.rmtree(to / "photos", ignore_errors=True)
    draft.rename(to / "photos")
    return crops


def _finish(
    public_set: PublicSet,
    to: Path,
    lock: dict[str, Any],
    report: Stage,
    *,
    crops: Mapping[str, int] | None = None,
    was_there: bool = False,
) -> Fetched:
    """Look at the photos, compare them with the lock, and write the manifests that are missing."""
    found = scan(to / "photos", progress=report("Scanning"))
    found = replace(
        found, samples=tuple(replace(s, extra={**s.extra, "source": public_set.name}) for s in found.samples)
    )
    content = _content_sha256(found)
    # Objects cut out anew may be other bytes of the same picture, by another release of the encoder.
    if not crops and lock.get("content_sha256", content) != content:
        raise DatasetError(
            f"{to / 'photos'} is not what {LOCK_NAME} says was fetched before: photos were changed, or the set is "
            f"another version; delete {to / LOCK_NAME} and fetch again to accept the new one"
        )
    mapped = _map_to_waste8(found, public_set)
    for name, dataset in (("manifest.csv", found), ("waste8.csv", mapped)):
        if dataset.samples and not (was_there and (to / name).exists()):
            write_manifest(dataset, to / name, overwrite=True)
    write_whole(to / "SOURCE.md", _source_note(public_set).encode(), overwrite=True)
    _write_lock(to, {**lock, "photos": len(found), "content_sha256": content})
    classes = Counter(s.class_id for s in found)
    return Fetched(
        folder=to,
        photos=len(found),
        unreadable=sum(s.error is not None for s in found),
        classes=dict(sorted(classes.items())),
        mapped=dict(sorted(Counter(s.class_id for s in mapped).items())),
        without_counterpart={name: n for name, n in sorted(classes.items()) if public_set.to_waste8(name) is None},
        crops=crops or {},
        was_there=was_there,
    )


def _map_to_waste8(found: Dataset, public_set: PublicSet) -> Dataset:
    samples = tuple(
        replace(s, class_id=target, extra={**s.extra, "original_class": s.class_id})
        for s in found.samples
        if (target := public_set.to_waste8(s.class_id)) is not None
    )
    taxonomy = builtin_taxonomy("waste8")
    return replace(found, classes=taxonomy.ids, samples=samples, taxonomy=taxonomy)


def _content_sha256(found: Dataset) -> str:
    """One hash of all photos and their names, whatever the order."""
    lines = sorted(f"{s.sha256} {s.path}\n" for s in found)
    return hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


def _source_note(public_set: PublicSet) -> str:
    return (
        f"# {public_set.title}\n\nHome: {public_set.home}\nLicence: {public_set.licence}\n\n"
        "`manifest.csv` has the classes of the set, `waste8.csv` those that binsight's built-in taxonomy has too.\n"
    )


def _tidy(work: Path, public_set: PublicSet, *, keep_archives: bool) -> None:
    if not keep_archives or public_set.kaggle:
        shutil.rmtree(work, ignore_errors=True)
        return
    for entry in work.iterdir():
        if entry.is_dir():
            shutil.rmtree(entry, ignore_errors=True)
