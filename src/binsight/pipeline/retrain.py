"""From what is labelled in a loop to a challenger in the registry: freeze, teach, register.

DIR/retrain/<key>.zip    the finished model, until it is registered; beside it what a full training needs to go on

A model is always taught from one that has not learned from this loop, with all labels of the newest version: so a photo
that was forgotten or withdrawn is not in the next model. The loop's ledger says what a model was made of before the
registry has it; whoever is killed in between has it finished by the same command.
"""

from __future__ import annotations

import csv
import hashlib
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Final

from binsight.adapt import NOT_WASTE, Adaptation, Lesson, adapt
from binsight.dataset import Dataset
from binsight.errors import BinsightError
from binsight.files import write_whole
from binsight.loop.ledger import Entry
from binsight.loop.queue import Queue
from binsight.loop.registry import RegisteredModel, Registry
from binsight.loop.versions import Version, freeze, read_split
from binsight.loop.votes import read_photos
from binsight.pipeline.config import TrainConfig
from binsight.pipeline.reporting import Reporter
from binsight.pipeline.work import key_of
from binsight.progress import Stage, unheard_stage

__all__ = ["FullTraining", "NothingNewError", "Retrained", "retrain"]

_TRAIN: Final = "train"
_LONGEST_BASE: Final = 48  # of the version that the new one begins with
_MOST: Final = 5000  # photos of a class: pairs of them are compared


class NothingNewError(BinsightError, ValueError):
    """Nothing was labelled since the last training, or photos were forgotten during this one."""

    code: ClassVar[str] = "dataset"


@dataclass(frozen=True, eq=False)
class FullTraining:
    """The way that trains the backbone too: the photos that the champion was made from, and the settings.

    Attributes:
        original: the photos; those labelled in the loop are added to them.
        config: as for `binsight train`.
        reporter: is told what happens.
    """

    original: Dataset
    config: TrainConfig
    reporter: Reporter


@dataclass(frozen=True, eq=False)
class Retrained:
    """What came of it.

    Attributes:
        model: in the registry; it is the challenger.
        version: of the labels.
        base: what it was taught from.
        waiting: corrections in quarantine, which were not used.
        taught: how it does on the photos; None after a full training, or where an earlier run had finished it.
    """

    model: RegisteredModel
    version: Version
    base: RegisteredModel
    waiting: int
    taught: Adaptation | None


def retrain(
    queue: Queue,
    registry: Registry,
    *,
    by: str,
    full: FullTraining | None = None,
    workers: int | None = None,
    stage: Stage = unheard_stage,
) -> Retrained:
    """Freeze what is labelled, teach the champion the split `train` of it, and register the challenger.

    Locked and hard photos, by which the gate judges, are never learned from; nor are corrections that no two people
    have confirmed, or more of one client than a tenth.

    Args:
        queue: of the loop.
        registry: with a champion.
        by: who.
        full: train the backbone anew; None: teach the heads what the labelled photos show, by the replay of the bundle.
        workers: cores.
        stage: called with what is being done; the result is called with how much of it is.

    Raises:
        NothingNewError: the same labels taught the same model before, or a photo was forgotten meanwhile.
        NothingLabelledError: no label is settled.
        RegistryError: there is no champion.
        BundleError: the champion cannot be taught.
        DatasetError: too few classes.
        OutputError: a folder cannot be written.
    """
    parent = registry.find("champion")
    version = freeze(queue, workers=workers)
    entries = [e for e in queue.ledger.read() if e.event == "train"]
    base = registry.find(_base(entries, parent.sha256))
    registry.check(base.sha256)
    key = key_of("retrain", version.sha256, base.sha256, None if full is None else _describe(full))
    known = [e.details["model"] for e in entries if e.details["key"] == key]
    candidate = queue.directory / "retrain" / f"{key}.zip"
    if known and any(m.sha256 == known[-1] for m in registry.models()):
        _sweep(candidate)
        raise NothingNewError(
            f"{queue.directory}: nothing was labelled since {registry.find(known[-1]).label} was trained on version "
            f"{version.sha256[:12]}"
        )
    taught = None
    if not candidate.is_file():
        manifest = queue.directory / "datasets" / f"{version.sha256}.csv"
        name = f"{base.version[:_LONGEST_BASE]}-retrained{len(entries) + 1}"
        if full is None:
            taught = adapt(registry.path(base.sha256), manifest, candidate, lesson=_lesson(version), version=name,
                           workers=workers, stage=stage)  # fmt: skip
        else:
            _train_fully(full, manifest, candidate, base.name, name, workers)
    made_of = {"version": version.sha256, "base": base.sha256 if full is None else None, "parent": parent.sha256}
    model = _register(queue, registry, candidate, {"key": key, **made_of, "by": by})
    _sweep(candidate)
    return Retrained(model, version, base, _waiting(queue), taught)


def _base(entries: Iterable[Entry], champion: str) -> str:
    """The model that the champion's heads were taught from, which itself has not learned from this loop."""
    bases = {e.details["model"]: e.details["base"] for e in entries if e.details["base"] is not None}
    while champion in bases:
        champion = bases[champion]
    return champion


def _lesson(version: Version) -> Lesson:
    return Lesson(
        split=_TRAIN,
        fewest=1,
        most=_MOST,
        drops_suspects=True,
        told="what people labelled of its own photos by `binsight retrain`",
        photos="these photos",
        metrics="labelled",
        record={"labels": version.sha256},
    )


def _describe(full: FullTraining) -> list[str]:
    photos = sorted(f"{s.path} {s.class_id} {s.split} {s.sha256}" for s in full.original)
    return [full.config.to_toml(), hashlib.sha256("\n".join(photos).encode()).hexdigest()]


def _train_fully(
    full: FullTraining, manifest: Path, candidate: Path, name: str, version: str, workers: int | None
) -> None:
    """Train on the original photos and the labelled ones; goes on where an earlier run was killed."""
    from binsight.pipeline.train import places_beside, train  # noqa: PLC0415 - needs Keras

    photos = read_split(manifest, _TRAIN)
    found = {}
    for kind, chosen in (
        ("also", {item for item, own in photos.items() if own != NOT_WASTE}),
        ("outliers", {item for item, own in photos.items() if own == NOT_WASTE}),
    ):
        if chosen:
            path = candidate.with_suffix(f".{kind}.csv")
            write_whole(path, _rows(manifest, chosen))
            found[kind] = (str(path),)
    data, bundle = full.config.data, full.config.bundle
    data = replace(data, also=data.also + found.get("also", ()), outliers=data.outliers + found.get("outliers", ()))
    bundle = replace(bundle, name=bundle.name or name, version=version)
    config = replace(full.config, data=data, bundle=bundle)
    train(full.original, config, places_beside(candidate), resume=True, workers=workers, reporter=full.reporter)


def _rows(manifest: Path, chosen: set[str]) -> str:
    """The rows of some photos; `retrain/` lies where `datasets/` does, so the paths hold."""
    lines = manifest.read_text(encoding="utf-8").splitlines(keepends=True)
    place = next(csv.reader(lines)).index("path")
    return "".join([lines[0], *(line for line in lines[1:] if Path(next(csv.reader([line]))[place]).stem in chosen)])


def _register(queue: Queue, registry: Registry, candidate: Path, made_of: dict[str, Any]) -> RegisteredModel:
    """Say what the model was made of, then add it: so there is no model of which `forget` would not know."""
    model = hashlib.sha256(candidate.read_bytes()).hexdigest()
    manifest = queue.directory / "datasets" / f"{made_of['version']}.csv"
    with queue.ledger.writing():
        if gone := queue.forgotten(read_split(manifest, _TRAIN)):
            _sweep(candidate)
            raise NothingNewError(f"{len(gone)} of the photos were forgotten while it was trained; run it again")
        known = {e.details["model"] for e in queue.ledger.read() if e.event == "train"}
        if model not in known:
            queue.ledger.append("train", model=model, **made_of)
    return registry.add(candidate, by=made_of["by"], labels=made_of["version"], parent=made_of["parent"])


def _sweep(candidate: Path) -> None:
    """Remove what a training needs no more, and drafts of runs that were killed."""
    for path in [*candidate.parent.glob(f"{candidate.stem}.*"), *candidate.parent.glob(".*")]:
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def _waiting(queue: Queue) -> int:
    with queue.reading() as rows:
        return sum(p.reasons == ("correction",) and p.truth is None for p in read_photos(rows))
