"""From the names of folders and columns to class ids and splits."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from binsight.dataset.samples import Dataset
from binsight.errors import TaxonomyError
from binsight.taxonomy import Taxonomy, name_key

__all__ = [
    "adopt_taxonomy",
    "biodegradability_name",
    "is_split",
    "looks_like_split",
    "resolve_classes",
    "spelling_notes",
    "split_name",
]

_SPLIT_KEYS = {
    **dict.fromkeys(("train", "training", "trn"), "train"),
    **dict.fromkeys(("val", "valid", "validate", "validation", "dev", "development"), "val"),
    **dict.fromkeys(("test", "tests", "testing", "tst"), "test"),
}
# What people add: `train_images`, `images-train`, `TrainSet`, `val2017`.
_ADDED = "images|image|imgs|img|photos|photo|pictures|pics|dataset|data|set|split|samples|folder"
_SPLIT = re.compile(rf"(?:the)?(?:{_ADDED})?({'|'.join(_SPLIT_KEYS)})(?:{_ADDED})?(?:20\d\d)?")
_SPLIT_WORDS = re.compile(rf"\b(?:{'|'.join(_SPLIT_KEYS)}|trainval|eval|evaluation|holdout|hold out|fold)(?:\b|(?=\d))")
_WORD_ENDS = re.compile(r"(?<=[a-z])(?=[A-Z])|[\W_]+")
_BIODEGRADABILITY_KEYS = {"biodegradable": True, "nonbiodegradable": False, "notbiodegradable": False}


def split_name(text: str) -> str | None:
    """The split that `text` means: `valid` and `Validation` give `val`; other words are kept, none gives None."""
    text = text.strip()
    match = _SPLIT.fullmatch(name_key(text))
    return _SPLIT_KEYS[match[1]] if match else text or None


def is_split(name: str) -> bool:
    """Whether a folder of this name holds a split."""
    return _SPLIT.fullmatch(name_key(name)) is not None


def looks_like_split(name: str) -> bool:
    """Whether a folder of this name may hold a split, such as `train_2` or `eval`; which one is not for us to say."""
    return is_split(name) or _SPLIT_WORDS.search(_WORD_ENDS.sub(" ", name).lower()) is not None


def biodegradability_name(name: str) -> bool | None:
    """Whether a folder of this name holds biodegradable or other classes; None when it does not say."""
    return _BIODEGRADABILITY_KEYS.get(name_key(name))


def resolve_classes(names: Iterable[str], taxonomy: Taxonomy | None, *, where: str) -> dict[str, str]:
    """The class id for each of `names`.

    Args:
        names: as written; may repeat.
        taxonomy: what they are matched to. Without one, names that differ only in case, spaces, hyphens and underscores
            are the same class, called by the first of them.
        where: named in the message.

    Raises:
        TaxonomyError: listing every name that is no class of the taxonomy, with the ones that come closest.
    """
    found: dict[str, str] = {}
    first: dict[str, str] = {}
    faults = []
    for name in dict.fromkeys(names):
        if taxonomy is None:
            found[name] = first.setdefault(name_key(name) or name, name.strip())
            continue
        try:
            found[name] = taxonomy.match(name)
        except TaxonomyError as error:
            faults.append(str(error))
    if faults:
        raise TaxonomyError(f"{where}: " + "; ".join(faults))
    return found


def spelling_notes(found: Mapping[str, str], *, what: str = "class") -> Iterator[str]:
    """For each class, or split, that several spellings were taken for, a line that says so."""
    spellings = defaultdict(set)
    for name, meant in found.items():
        spellings[meant].add(name.strip())
    for meant, names in spellings.items():
        if len(names) > 1:
            yield f"{', '.join(sorted(names))} are taken for one {what}, {meant}"


def adopt_taxonomy(dataset: Dataset, taxonomy: Taxonomy) -> Dataset:
    """The data set with its classes matched to those of `taxonomy`.

    Raises:
        TaxonomyError: listing every class that the taxonomy does not have.
    """
    names = resolve_classes(dataset.classes, taxonomy, where=str(dataset.root))
    samples = tuple(replace(s, class_id=names[s.class_id]) for s in dataset)
    notes = (*dataset.notes, *spelling_notes(names))
    return replace(dataset, classes=taxonomy.ids, samples=samples, taxonomy=taxonomy, notes=notes)
