"""From a table of photos to the splits a training uses: audited, divided, unreadable photos left out."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from binsight.dataset import Dataset
from binsight.dataset.audit import Audit, audit
from binsight.dataset.licences import keep_licensed, licence_of
from binsight.dataset.samples import SPLITS, Sample
from binsight.dataset.split import split
from binsight.errors import DatasetError, LeakageError
from binsight.pipeline.auxiliary import read_labelled
from binsight.pipeline.config import DataConfig
from binsight.pipeline.held_out import held_out_shares, is_held_out
from binsight.pipeline.reporting import Reporter
from binsight.pipeline.strangers import CORNERS, Strangers, read_strangers, strangers_digest, write_corners
from binsight.pipeline.work import Work, key_of
from binsight.settings import suggest
from binsight.taxonomy import Taxonomy, WasteClass
from binsight.training.photos import LabelledPhotos

__all__ = ["HELD_OUT", "PreparedData", "Split", "open_taxonomy", "prepare_data"]

_UNUSABLE = ("unreadable", "truncated", "damaged")
_LEAST_VAL = 10  # calibration is cross-fitted in five parts
_THIN = 10  # of so many, all rightly classified, one still cannot say that three in four will be
_SHOWN = 5
_UNSORTED = "unsorted"
_ATTRIBUTION = ("attribution", "author", "from", "url")  # columns of a manifest
HELD_OUT = "held out: "
"""What the name of a split begins with that holds the photos of one source."""


@dataclass(frozen=True, eq=False)
class Split:
    """The photos of one split.

    Attributes:
        paths: n files.
        labels: `(n,)`, positions in the taxonomy.
        groups: `(n,)`; photos of one number are copies of each other.
        digests: of each the SHA-256 of its file, hexadecimal.
        sources: of each where it comes from, as its manifest says; empty where that is not asked for.
    """

    paths: tuple[Path, ...]
    labels: NDArray[np.intp]
    groups: NDArray[np.intp]
    digests: tuple[str, ...]
    sources: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.paths)


@dataclass(frozen=True, eq=False)
class PreparedData:
    """The photos of a training.

    Attributes:
        taxonomy: what the classes mean.
        is_open: whether it was made here, because the data set had none.
        root: where the photos lie.
        splits: `train` and `val`, `test` where there is one, and one for each source that is held out.
        strangers: photos of none of the classes.
        sha256: over path, class, split and content of every photo used.
        record: what the audit found and what was done about it, for the bundle.
    """

    taxonomy: Taxonomy
    is_open: bool
    root: Path
    splits: Mapping[str, Split]
    sha256: str
    record: Mapping[str, Any]
    strangers: Strangers = field(default_factory=Strangers)

    @property
    def mask(self) -> NDArray[np.bool_] | None:
        """`(C,)`, which classes are biodegradable; None where the taxonomy leaves it open."""
        return np.asarray(self.taxonomy.biodegradable_mask) if self.taxonomy.has_biodegradability else None

    def truth(self, name: str) -> NDArray[np.bool_] | None:
        """For each photo of a split whether it is biodegradable, `(n,)`; None where the taxonomy leaves it open."""
        return None if self.mask is None else self.mask[self.splits[name].labels]

    def labelled(self, name: str) -> LabelledPhotos:
        """The photos of a split, for training."""
        split = self.splits[name]
        sources = np.array(split.sources) if split.sources else None
        return LabelledPhotos(split.paths, split.labels, self.truth(name), sources)


def prepare_data(
    dataset: Dataset,
    config: DataConfig,
    *,
    seed: int,
    work: Work,
    reporter: Reporter,
    content_cache: Path | None = None,
    workers: int | None = None,
) -> PreparedData:
    """Audit, leave out what cannot be read, split.

    Args:
        dataset: as `binsight.dataset.scan` gives it.
        config: the shares, and whether leakage is accepted.
        seed: of the split.
        work: keeps the result.
        reporter: is told what happens.
        content_cache: an SQLite file that remembers what was measured on photos, by content.
        workers: threads; by default one per core.

    Raises:
        LeakageError: copies lie on both sides of a split, and that is not accepted.
        DatasetError: a split is missing, too small, or lacks a class.
        TaxonomyError: there are fewer than two classes.
    """
    is_open = dataset.taxonomy is None
    dataset, notes = keep_licensed(dataset, config.licences)
    taxonomy = _present(dataset, dataset.taxonomy or open_taxonomy(dataset), reporter)
    strangers, strange = read_strangers(config, workers=workers, say=reporter.say)
    more = read_labelled(config.also, taxonomy, workers=workers)
    more, others = keep_licensed(more, config.licences) if len(more) else (more, ())
    for note in (*notes, *more.notes, *others):
        reporter.say(note)
    added = frozenset(s.path for s in more)
    dataset = replace(dataset, samples=(*dataset.samples, *more.samples))
    rows = [[s.path, s.class_id, s.split, s.sha256, s.error] for s in dataset]
    plain = replace(config, allow_leakage=False, outliers=(), corners=0, corners_of=(), backdrops=())
    key = key_of("data", rows, asdict(plain), sorted(strangers.held), seed)
    plan = work.recall("data", key)
    if plan is None:
        sound = dataset.sound()
        if not len(sound):
            raise DatasetError(f"{dataset.root}: no photo that can be read")
        found = audit(sound, cache=content_cache, workers=workers, stage=reporter.stage)
        plan = _plan(dataset, found, config, seed, added, strangers.held)
        work.remember("data", key, plan)
    _speak_of(plan["record"], reporter)
    _check_leakage(plan["record"], config)
    data = _assemble(dataset, taxonomy, is_open, plan)
    if config.outliers or config.backdrops or config.corners:
        data = _with_strangers(data, strangers, strange, config, work, seed)
    if thin := list(thin_classes(data)):
        reporter.say(f"few photos to learn from or to judge by: {'; '.join(thin)}")
    return data


def _with_strangers(
    data: PreparedData, found: Strangers, rows: Sequence[Sample], config: DataConfig, work: Work, seed: int
) -> PreparedData:
    """The data with photos of none of the classes, and corners of those of the classes."""
    corners = (config.corners, config.corners_of) if config.corners else ()
    digest = strangers_digest(data.sha256, rows, corners, [path.name for path in found.places])
    if config.corners:
        train, named = data.splits["train"], [data.taxonomy.match(name) for name in config.corners_of]
        fit = np.isin(train.labels, [data.taxonomy.index(name) for name in named or data.taxonomy.ids])
        paths = [train.paths[i] for i in np.flatnonzero(fit)]
        folder = work.folder(f"{CORNERS}-{digest[:16]}")
        found = found.with_corners(write_corners(paths, config.corners, folder, seed=seed))
    photos = {**data.record["photos"], "outliers": len(found.learnt)}
    sources = [*data.record["sources"], *_describe_sources(rows)]
    return replace(data, strangers=found, sha256=digest, record={**data.record, "photos": photos, "sources": sources})


def thin_classes(data: PreparedData) -> Iterator[str]:
    """For each split the classes with fewer than ten photos there, and how many they have."""
    for name in [name for name in SPLITS if name in data.splits]:
        counts = np.bincount(data.splits[name].labels, minlength=len(data.taxonomy))
        if few := [f"{c} {n or 'none'}" for c, n in zip(data.taxonomy.ids, counts, strict=True) if n < _THIN]:
            yield f"{name}: {', '.join(few)}"


def open_taxonomy(dataset: Dataset) -> Taxonomy:
    """A taxonomy of the data set's classes that leaves open what is not known.

    Biodegradability is filled in where every photo says so, such as by lying in `biodegradable/` or
    `non_biodegradable/`.
    """
    said: dict[str, set[str | None]] = {name: set() for name in dataset.classes}
    for sample in dataset:
        said[sample.class_id].add(sample.extra.get("biodegradable"))
    known = all(words in ({"true"}, {"false"}) for words in said.values())
    classes = tuple(
        WasteClass(name, name.replace("_", " ").capitalize(), said[name] == {"true"} if known else None, _UNSORTED)
        for name in dataset.classes
    )
    return Taxonomy(dataset.root.name or "own", classes)


def _present(dataset: Dataset, taxonomy: Taxonomy, reporter: Reporter) -> Taxonomy:
    """The taxonomy with only the classes that have photos."""
    present = {sample.class_id for sample in dataset}
    if absent := [name for name in taxonomy.ids if name not in present]:
        reporter.say(f"there are no photos of {', '.join(absent)}: the model will not know them")
    return Taxonomy(taxonomy.name, tuple(c for c in taxonomy.classes if c.id in present))


def _plan(
    dataset: Dataset, found: Audit, config: DataConfig, seed: int, added: Container[str], strange: Container[str]
) -> dict[str, Any]:
    """For each photo used its path, split and group, and what is to be said about the data."""
    unusable = {i: f.message for f in found.of_kind(*_UNUSABLE) for i in f.files}
    left_out = [{"path": s.path, "message": s.error} for s in dataset if s.error is not None]
    left_out += [{"path": found.dataset.samples[i].path, "message": text} for i, text in sorted(unusable.items())]
    kept = [i for i in range(len(found.dataset)) if i not in unusable]
    split_of, how = _choose_splits(found, kept, config, seed, added, strange)
    unused = Counter(name for name in split_of.values() if not _is_used(name))
    split_of = {i: name for i, name in split_of.items() if _is_used(name)}
    copies = _copies_of_judging(found, split_of, added, all_of_them=config.leave_out_copies)
    samples = found.dataset.samples
    record = {
        "findings": found.counts(),
        "unused": {split or "no split": count for split, count in sorted(unused.items(), key=str)},
        "leakage": [] if config.leave_out_copies else [f.message for f in found.of_kind("leakage")],
        "copies_left_out": len(copies),
        "split": how,
        "left_out": left_out,
    }
    rows = [[samples[i].path, name, found.groups[i]] for i, name in split_of.items() if i not in copies]
    return {"rows": rows, "record": record}


def _choose_splits(
    found: Audit, kept: Sequence[int], config: DataConfig, seed: int, added: Container[str], strange: Container[str]
) -> tuple[dict[int, str | None], str]:
    """The split of each photo that is kept, by its position, and where the splits come from."""
    samples = found.dataset.samples
    shares = held_out_shares(config.hold_out)
    judging = [i for i in kept if samples[i].split in (None, "train", "val") and is_held_out(samples[i], shares)]
    held = {i: HELD_OUT + samples[i].extra["source"] for i in judging}
    _check_sources([name for name in shares if name not in strange], samples, set(held.values()))
    own = [i for i in kept if i not in held and samples[i].path not in added]
    divided, how = _divide(found.dataset.take(own), [found.groups[i] for i in own], config, seed)
    split_of: dict[int, str | None] = {i: sample.split for i, sample in zip(own, divided, strict=True)}
    return split_of | {i: "train" for i in kept if samples[i].path in added} | held, how


def _check_sources(wanted: Sequence[str], samples: Sequence[Sample], found: Container[str]) -> None:
    there = sorted({s.extra["source"] for s in samples if s.extra.get("source")})
    advice = "no photo says its source; a manifest does in the column source"
    faults = [
        f"data.hold_out: no photos of the source {name} in train or val; {suggest(name, there) if there else advice}"
        for name in wanted
        if HELD_OUT + name not in found
    ]
    if faults:
        raise DatasetError("; ".join(faults))


def _is_used(name: str | None) -> bool:
    return name is not None and (name in SPLITS or name.startswith(HELD_OUT))


def _copies_of_judging(
    found: Audit, split_of: Mapping[int, str | None], added: Container[str], *, all_of_them: bool
) -> set[int]:
    """Photos to leave out since a copy judges what is learnt from them: those that were added, or all.

    Test goes before the held-out sources, these before val, val before held-out photos that were added; train is last.
    """
    samples, ranks = found.dataset.samples, {"train": 0, "val": 2, "test": 4}
    rank_of = {i: ranks.get(name or "", 1 if samples[i].path in added else 3) for i, name in split_of.items()}
    strictest: dict[int, int] = {}
    for i, rank in rank_of.items():
        strictest[found.groups[i]] = max(rank, strictest.get(found.groups[i], 0))
    return {
        i
        for i, rank in rank_of.items()
        if rank < strictest[found.groups[i]] and (all_of_them or samples[i].path in added)
    }


def _divide(dataset: Dataset, groups: list[int], config: DataConfig, seed: int) -> tuple[Dataset, str]:
    """The data set with the splits that a training needs, and where they come from."""
    has = set(dataset.splits)
    if {"train", "val"} <= has:
        return dataset, "as given"
    if not has:
        how = f"val {config.val:g}, test {config.test:g}, seed {seed}, copies kept together"
        return split(dataset, val=config.val, test=config.test, seed=seed, groups=groups), how
    if "train" not in has:
        raise DatasetError(f"{dataset.root}: expected a split train, got {', '.join(dataset.splits)}")
    inside = [i for i, s in enumerate(dataset) if s.split == "train"]
    divided = split(dataset.take(inside), val=config.val, test=0, seed=seed, groups=[groups[i] for i in inside])
    splits = [s.split for s in dataset]
    for i, sample in zip(inside, divided, strict=True):
        splits[i] = sample.split
    return dataset.with_splits(splits), f"val {config.val:g} taken out of train, seed {seed}, copies kept together"


def _speak_of(record: Mapping[str, Any], reporter: Reporter) -> None:
    if left_out := record["left_out"]:
        names = ", ".join(entry["path"] for entry in left_out[:_SHOWN])
        more = f" and {len(left_out) - _SHOWN} more" if len(left_out) > _SHOWN else ""
        reporter.say(f"{len(left_out)} photos cannot be read and are left out: {names}{more}")
    if copies := record["copies_left_out"]:
        reporter.say(f"{copies} photos are left out, for a copy of each is among those that judge the model")
    if unused := record.get("unused"):
        listed = ", ".join(f"{count:,} in {split}" for split, count in unused.items())
        reporter.say(f"{sum(unused.values()):,} photos are not used, for they are not in {', '.join(SPLITS)}: {listed}")
    if conflicts := record["findings"].get("label_conflict"):
        reporter.say(f"{conflicts} groups of copies have different labels; binsight data audit lists them")


def _check_leakage(record: Mapping[str, Any], config: DataConfig) -> None:
    leaks = record["leakage"]
    if leaks and not config.allow_leakage:
        raise LeakageError(
            f"{len(leaks)} photos have copies on both sides of the split ({leaks[0]}): see binsight data audit, divide "
            "anew with binsight data split --resplit, or pass --allow-leakage"
        )


def _assemble(dataset: Dataset, taxonomy: Taxonomy, is_open: bool, plan: Mapping[str, Any]) -> PreparedData:
    by_path = {s.path: s for s in dataset}
    splits: dict[str, Split] = {}
    digest = hashlib.sha256()
    named = {split_name for _, split_name, _ in plan["rows"]}
    for name in (*SPLITS, *sorted(named - set(SPLITS))):
        rows = [(by_path[path], group) for path, split_name, group in plan["rows"] if split_name == name]
        if not rows and name == "test":
            continue
        labels = np.array([taxonomy.index(sample.class_id) for sample, _ in rows], np.intp)
        groups = np.array([group for _, group in rows], np.intp)
        paths = tuple(dataset.file(sample) for sample, _ in rows)
        digests = tuple(sample.sha256 or "" for sample, _ in rows)
        splits[name] = Split(paths, labels, groups, digests, tuple(s.extra.get("source", "") for s, _ in rows))
        for sample, _ in sorted(rows, key=lambda row: row[0].path):
            digest.update(f"{name} {sample.class_id} {sample.sha256}  {sample.path}\n".encode())
    _check_splits(splits, taxonomy, dataset.root)
    photos = {name: len(found) for name, found in splits.items()}
    sources = _describe_sources(by_path[path] for path, name, _ in plan["rows"] if name in ("train", "val"))
    record = {**plan["record"], "photos": photos, "sources": sources}
    return PreparedData(taxonomy, is_open, dataset.root, splits, digest.hexdigest(), record)


def _describe_sources(samples: Iterable[Sample]) -> list[dict[str, Any]]:
    """What manifests say of where photos come from, the most frequent first."""
    found: Counter[tuple[str, str, str]] = Counter()
    for sample in samples:
        attribution = next((sample.extra[key] for key in _ATTRIBUTION if sample.extra.get(key)), "")
        found[sample.extra.get("source", ""), licence_of(sample), attribution] += 1
    names = ("source", "licence", "attribution", "photos")
    return [dict(zip(names, (*source, count), strict=True)) for source, count in found.most_common()]


def _check_splits(splits: Mapping[str, Split], taxonomy: Taxonomy, root: Path) -> None:
    faults = []
    counts = Counter(splits["train"].labels.tolist())
    if missing := [name for i, name in enumerate(taxonomy.ids) if not counts[i]]:
        faults.append(f"no photos of {', '.join(missing)} in train")
    if len(splits["val"]) < _LEAST_VAL:
        faults.append(f"expected at least {_LEAST_VAL} photos in val, got {len(splits['val'])}; raise --val")
    if faults:
        raise DatasetError(f"{root}: " + "; ".join(faults))
