"""Under which licence a photo is, and whether that is among those that one may use.

A manifest says it in the column `licence` (or `license`), in whatever spelling: `CC BY 4.0`, `cc-by-4.0`, a link to the
deed. Only what is a licence and nothing else counts: "repository MIT, photo rights unclear" is none that is known.

References:
    SPDX licence list, https://spdx.org/licenses (identifiers).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Container, Sequence
from pathlib import Path
from typing import Final

from binsight.dataset.samples import Dataset, Sample
from binsight.errors import DatasetError, SettingsError
from binsight.settings import suggest

__all__ = ["NOT_STATED", "keep_licensed", "licence_faults", "licence_names", "licence_of"]

NOT_STATED: Final = "not stated"

_FAMILIES: Final = (
    "cc0", "cc-by", "cc-by-sa", "cc-by-nc", "cc-by-nd", "cc-by-nc-sa", "cc-by-nc-nd", "cc-pdm", "pddl", "odc-by",
    "odbl", "mit", "mit-0", "apache", "isc", "0bsd", "bsd-2-clause", "bsd-3-clause", "mpl", "gpl", "lgpl", "agpl",
    "gfdl", "unlicense",
)  # fmt: skip
_KNOWN: Final = re.compile(
    rf"({'|'.join(sorted(_FAMILIES, key=len, reverse=True))})(-\d+(?:\.\d+)?(?:-only|-or-later)?(?:-[a-z]{{2,3}})?)?"
)
_DEED: Final = re.compile(
    r"(?:https?://)?(?:www\.)?creativecommons\.org/(?:licenses|publicdomain)/([a-z\d/.-]+?)(?:/deed\.[a-z_-]+)?/?"
)
_WORDS: Final = (  # in this order; on small letters, with hyphens for spaces
    (r"creative-commons", "cc"), (r"non-?commercial", "nc"), (r"no-?deriv(?:ative)?s?(?:-works)?", "nd"),
    (r"share-?alike", "sa"), (r"attribution", "by"), (r"public-domain-mark", "pdm"),
    (r"(?:^|-)(?:the|licen[cs]ed?|dedication|international|unported|universal|version|public)(?=-|$)", ""),
    (r"(^|-|gpl)v(?=\d)", r"\1-"), (r"^cc-?(?:0|zero)", "cc0"), (r"^by(?=-|$)", "cc-by"), (r"^zero", "cc0"),
    (r"^mark", "cc-pdm"), (r"\+$", "-or-later"), (r"-{2,}", "-"), (r"^-|-$", ""),
)  # fmt: skip


def licence_of(sample: Sample) -> str:
    """What the manifest says of a photo's licence, as it is written; `not stated` where it says nothing."""
    return (sample.extra.get("licence") or sample.extra.get("license") or "").strip() or NOT_STATED


def licence_names(text: str) -> tuple[str, ...]:
    """The licences' identifiers in small letters, near SPDX's: `cc-by-4.0` of `CC BY 4.0`; none where none is known.

    Several only where the text leaves the choice: `MIT OR Apache-2.0`.
    """
    found = [_identifier(part) for part in re.split(r"\s+or\s+(?!later)", text.strip().casefold())]
    return tuple(name for name in found if name)


def licence_faults(wanted: Sequence[str]) -> list[str]:
    """Which of the wanted are no licences that are known, and what may have been meant."""
    unknown = [text for text in wanted if not licence_names(text)]
    return [f"data.licences: no licence {text!r} is known; {suggest(text, _FAMILIES)}" for text in unknown]


def keep_licensed(dataset: Dataset, wanted: Sequence[str]) -> tuple[Dataset, tuple[str, ...]]:
    """The photos under one of the wanted licences, and what a person should be told of the others.

    Args:
        dataset: with the column `licence` in its manifest.
        wanted: such as `cc0`, `cc-by-4.0`, `MIT`; without a version, every version will do. None: all photos are kept.

    Raises:
        SettingsError: one of the wanted is no licence that is known.
        DatasetError: nothing is left; the message lists what there is.
    """
    if not wanted:
        return dataset, ()
    if faults := licence_faults(wanted):
        raise SettingsError("; ".join(faults))
    names = {name for text in wanted for name in licence_names(text)}
    kept = dataset.where(lambda s: any(_is_under(own, names) for own in licence_names(licence_of(s))))
    if len(kept) == len(dataset):
        return kept, ()
    there = Counter(licence_of(s) for s in dataset)
    listed = "; ".join(
        f"{count:,} {text!r}{'' if licence_names(text) or text == NOT_STATED else ' (none that is known)'}"
        for text, count in there.most_common()
    )
    if not len(kept):
        advice = "; a manifest says it in the column licence" if set(there) == {NOT_STATED} else ""
        where = "" if dataset.root == Path() else f"{dataset.root}: "
        raise DatasetError(f"{where}no photo is under {', '.join(wanted)}; there are {listed}{advice}")
    return kept, (f"{len(kept):,} of {len(dataset):,} photos are under {', '.join(wanted)}; there are {listed}",)


def _identifier(word: str) -> str | None:
    deed = _DEED.fullmatch(word)
    word = re.sub(r"[\s_/,]+", "-", deed[1].strip("/") if deed else word)
    for pattern, instead in _WORDS:
        word = re.sub(pattern, instead, word)
    return word if _KNOWN.fullmatch(word) else None


def _is_under(own: str, wanted: Container[str]) -> bool:
    found = _KNOWN.fullmatch(own)
    return own in wanted or (found is not None and found[1] in wanted)
