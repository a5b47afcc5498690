"""From the names of folders and columns to class ids and splits."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from binsight.dataset.samples import Dataset
from binsight.errors import TaxonomyError
from binsight.taxonomy import Taxonomy, name_key

__all__ = ["adopt_taxonomy", "biodegradability_name", "is_split", "resolve_classes", "split_name"]

_SPLIT_KEYS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}
_BIODEGRADABILITY_KEYS = {"biodegradable": True, "nonbiodegradable": False, "notbiodegradable": False}


def split_name(text: str) -> str | None:
    """The split that `text` means: `valid` and `Validation` give `val`; other words are kept, none gives None."""
    text = text.strip()
    return _SPLIT_KEYS.get(name_key(text), text or None)


def is_split(name: str) -> bool:
    """Whether a folder of this name holds a split."""
    return name_key(name) in _SPLIT_KEYS


def biodegradability_name(name: str) -> bool | None:
    """Whether a folder of this name holds biodegradable or other classes; None when it does not say."""
    return _BIODEGRADABILITY_KEYS.get(name_key(name))


def resolve_classes(names: Iterable[str], taxonomy: Taxonomy | None, *, where: str) -> dict[str, str]:
    """The class id for each of `names`.

    Args:
        names: as written; may repeat.
        taxonomy: what they are matched to. Without one, names that differ only in case, spaces and punctuation are the
            same class, called by the first of them.
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


def adopt_taxonomy(dataset: Dataset, taxonomy: Taxonomy) -> Dataset:
    """The data set with its classes matched to those of `taxonomy`.

    Raises:
        TaxonomyError: listing every class that the taxonomy does not have.
    """
    names = resolve_classes(dataset.classes, taxonomy, where=str(dataset.root))
    samples = tuple(replace(s, class_id=names[s.class_id]) for s in dataset)
    return replace(dataset, classes=taxonomy.ids, samples=samples, taxonomy=taxonomy)
