"""What duplicates mean for a data set: leakage, contradicting labels, or only photos too many."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from binsight.dataset.audit.findings import Finding, group_members
from binsight.dataset.duplicates import ORIENTATIONS, DuplicatePair
from binsight.dataset.samples import Dataset

__all__ = ["copy_findings"]

_ADVICE = {
    "leakage": "keep the group on one side: binsight data split does; until then trust no figure of this split",
    "label_conflict": "look at them and give all one label, or leave them out; binsight data clean leaves them out",
    "exact_duplicate": "keep one; binsight data clean does",
    "near_duplicate": "keep one, or keep the group on one side of every split",
}


def copy_findings(dataset: Dataset, pairs: Sequence[DuplicatePair], groups: Sequence[int]) -> list[Finding]:
    """The findings about each group of copies: one on leakage, one on labels, and if neither, one on the copies."""
    by_group: dict[int, list[DuplicatePair]] = {}
    for pair in pairs:
        by_group.setdefault(groups[pair.first], []).append(pair)
    return [finding for some in by_group.values() for finding in _group_findings(dataset, some)]


def _group_findings(dataset: Dataset, pairs: Sequence[DuplicatePair]) -> Iterator[Finding]:
    files = group_members(pairs)
    splits = list(dict.fromkeys(s for i in files if (s := dataset.samples[i].split) is not None))
    classes = list(dict.fromkeys(dataset.samples[i].class_id for i in files))
    exact = all(pair.kind != "near" for pair in pairs)
    turned = [name for name in dict.fromkeys(pair.orientation for pair in pairs) if name != ORIENTATIONS[0]]
    what = f"{len(files)} {'exact' if exact else 'altered'} copies" + (f" ({', '.join(turned)})" if turned else "")
    details = {
        "exact": exact,
        "similarity": min(pair.similarity for pair in pairs),
        "orientations": list(dict.fromkeys(pair.orientation for pair in pairs)),
    }
    if len(splits) > 1:
        message = f"{what} of one photo in {_list(splits)}"
        yield Finding("leakage", "error", files, message, _ADVICE["leakage"], {**details, "splits": splits})
    if len(classes) > 1:
        message = f"{what} of one photo labelled {_list(classes)}"
        yield Finding(
            "label_conflict", "error", files, message, _ADVICE["label_conflict"], {**details, "classes": classes}
        )
    if len(splits) <= 1 and len(classes) <= 1:
        kind = "exact_duplicate" if exact else "near_duplicate"
        yield Finding(kind, "warning" if exact else "info", files, f"{what} of one photo", _ADVICE[kind], details)


def _list(words: Sequence[str]) -> str:
    return ", ".join(words[:-1]) + " and " + words[-1]
