"""What the classes of a model mean: title, biodegradability, stream, advice.

A taxonomy is a TOML file with one table per class, in the order of the network's outputs (`docs/taxonomy.md`).
Nothing in binsight hard-codes the eight classes of the built-in one.
"""

from __future__ import annotations

import difflib
import re
import tomllib
import unicodedata
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib import resources
from typing import Any

from binsight.errors import TaxonomyError

__all__ = ["Taxonomy", "WasteClass", "builtin_taxonomy", "folder_name_fault", "name_key"]

_CLASS_KEYS = ("id", "title", "biodegradable", "stream", "advice")
_MAX_CLASSES = 1000
_MAX_TEXT = 1000
_MAX_ID_BYTES = 200
# Spaces, hyphens, dashes and underscores, which people use for one another.
_SEPARATORS = re.compile(r"[\s_\-\u058a\u2010-\u2015\u2212]+")
_FORBIDDEN_IN_ID = set('/\\:*?"<>|')
_RESERVED_ON_WINDOWS = frozenset(
    ["con", "prn", "aux", "nul", *(f"{port}{number}" for port in ("com", "lpt") for number in range(1, 10))]
)


@dataclass(frozen=True, slots=True)
class WasteClass:
    """One category of waste.

    Attributes:
        id: folder name in a data set and key in JSON; usable as a file name everywhere.
        title: what a person reads.
        biodegradable: True, False, or None where it was left open.
        stream: where the item goes: recycling, compost, e-waste, landfill, or a word of your own.
        advice: one sentence for the person who holds the item; may be empty.
    """

    id: str
    title: str
    biodegradable: bool | None
    stream: str
    advice: str = ""


@dataclass(frozen=True)
class Taxonomy:
    """An ordered set of waste classes; position `i` is output `i` of the network.

    Raises:
        TaxonomyError: listing every fault, when the classes are not well-formed.
    """

    name: str
    classes: tuple[WasteClass, ...]

    def __post_init__(self) -> None:
        faults = [*_name_faults(self.name), *_faults(self.classes)]
        if faults:
            raise TaxonomyError(f"taxonomy {self.name!r}: " + "; ".join(faults))

    def __len__(self) -> int:
        return len(self.classes)

    @cached_property
    def ids(self) -> tuple[str, ...]:
        """The class ids, in label order."""
        return tuple(c.id for c in self.classes)

    @property
    def has_biodegradability(self) -> bool:
        """Whether every class says if it is biodegradable."""
        return all(c.biodegradable is not None for c in self.classes)

    @cached_property
    def biodegradable_mask(self) -> tuple[bool, ...]:
        """For each class whether it is biodegradable; open counts as not."""
        return tuple(c.biodegradable is True for c in self.classes)

    def index(self, class_id: str) -> int:
        """The position of `class_id`.

        Raises:
            TaxonomyError: the taxonomy has no such class.
        """
        try:
            return self.ids.index(class_id)
        except ValueError:
            raise TaxonomyError(f"no class {class_id!r} in {self.name!r}; it has {', '.join(self.ids)}") from None

    def match(self, name: str) -> str:
        """The id of the class that `name` means: its id or title, whatever the case, spaces, hyphens and underscores.

        Raises:
            TaxonomyError: no class, or several, go by that name; the message says which come closest.
        """
        if name in self.ids:
            return name
        key = name_key(name)
        meant = sorted({c.id for c in self.classes if key and key in (name_key(c.id), name_key(c.title))})
        if len(meant) == 1:
            return meant[0]
        if meant:
            raise TaxonomyError(f"{name!r} may mean any of {', '.join(meant)} in {self.name!r}; write one of them")
        near = self._closest(key)
        hint = f"did you mean {' or '.join(near)}?" if near else f"it has {', '.join(self.ids)}"
        raise TaxonomyError(f"no class {name!r} in {self.name!r}; {hint}")

    def _closest(self, key: str) -> list[str]:
        ids = {name_key(text): c.id for c in self.classes for text in (c.title, c.id)}
        return list(dict.fromkeys(ids[found] for found in difflib.get_close_matches(key, ids, n=2, cutoff=0.6)))

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form that `from_dict` reads back."""
        return {"name": self.name, "classes": [asdict(c) for c in self.classes]}

    def to_toml(self) -> str:
        """The TOML form that `from_toml` reads back. TOML has no null: an open `biodegradable` is left out."""
        import tomli_w  # noqa: PLC0415 - only writing needs it

        classes = [{k: v for k, v in asdict(c).items() if v is not None} for c in self.classes]
        return tomli_w.dumps({"name": self.name, "classes": classes})

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Taxonomy:
        """Build a taxonomy from plain data.

        Raises:
            TaxonomyError: listing every fault.
        """
        if not isinstance(data, Mapping):
            raise TaxonomyError(f"taxonomy: expected a table with name and classes, got {type(data).__name__}")
        name: Any = data.get("name")
        tables = data.get("classes")
        faults = [*_unknown_keys(data, ("name", "classes")), *_name_faults(name)]
        if not isinstance(tables, list) or not all(isinstance(t, Mapping) for t in tables):
            faults.append("expected an array of tables [[classes]]")
        else:
            for position, table in enumerate(tables[:_MAX_CLASSES], start=1):
                faults += [f"class {position}: {fault}" for fault in _unknown_keys(table, _CLASS_KEYS)]
            classes = tuple(map(_class_from_dict, tables))
            faults += _faults(classes)
        if faults:
            raise TaxonomyError(f"taxonomy {name!r}: " + "; ".join(faults))
        return cls(name, classes)

    @classmethod
    def from_toml(cls, text: str) -> Taxonomy:
        """Build a taxonomy from TOML text.

        Raises:
            TaxonomyError: the text is not TOML, or not a taxonomy.
        """
        try:
            data = tomllib.loads(text)
        except (ValueError, RecursionError) as error:  # beyond TOMLDecodeError: huge integers, deep nesting
            raise TaxonomyError(f"taxonomy: not valid TOML: {error}") from error
        return cls.from_dict(data)


def name_key(name: str) -> str:
    """What is left of a class name when case, spaces, hyphens and underscores do not count: `E-waste` gives `ewaste`.

    Only what stands between two words goes: `A-`, `1-5`, `PP+` and the marks of any script tell names apart.
    """
    text = _fold(name).strip(" \t\n\r\f\v_")
    return _fold(_SEPARATORS.sub(_without_separator, text))


def folder_name_fault(name: str) -> str | None:
    """Why not every common operating system takes `name` as the name of a folder or file; None when all do.

    Such a name cannot lead out of the folder that it is put into either.
    """
    if not name or name[-1] in ". " or name[0] == " ":
        return "is empty, or begins or ends with a space or dot"
    if _FORBIDDEN_IN_ID & set(name) or not _is_printable(name):
        return f"has a character that file names cannot have everywhere ({' '.join(sorted(_FORBIDDEN_IN_ID))})"
    if name.partition(".")[0].rstrip().casefold() in _RESERVED_ON_WINDOWS:
        return "is a name that Windows keeps for itself"
    return None


def builtin_taxonomy(name: str = "waste8") -> Taxonomy:
    """The taxonomy `name` that comes with the package.

    Raises:
        TaxonomyError: there is none of that name.
    """
    folder = resources.files("binsight").joinpath("taxonomies")
    names = sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))
    if name not in names:
        raise TaxonomyError(f"no built-in taxonomy {name!r}; there is {', '.join(names)}")
    return Taxonomy.from_toml(folder.joinpath(f"{name}.toml").read_text(encoding="utf-8"))


def _class_from_dict(table: Mapping[str, Any]) -> WasteClass:
    """The class as the table has it; what is missing is None, which `_class_faults` reports."""
    values: dict[str, Any] = {key: table.get(key) for key in _CLASS_KEYS}
    return WasteClass(**{**values, "advice": table.get("advice", "")})


def _unknown_keys(table: Mapping[str, Any], known: tuple[str, ...]) -> list[str]:
    unknown = sorted(str(key) for key in table if key not in known)
    return [f"unknown keys {', '.join(unknown)}; known are {', '.join(known)}"] if unknown else []


def _name_faults(name: object) -> list[str]:
    return [] if _is_text(name) else ["expected a name"]


def _faults(classes: tuple[WasteClass, ...]) -> list[str]:
    if len(classes) > _MAX_CLASSES:
        return [f"expected 2 to {_MAX_CLASSES} classes, got {len(classes)}"]
    faults = [f"class {position}: {fault}" for position, c in enumerate(classes, start=1) for fault in _class_faults(c)]
    if len(classes) < 2:
        faults.append(f"expected 2 to {_MAX_CLASSES} classes, got {len(classes)}")
    folded = Counter(unicodedata.normalize("NFC", c.id).casefold() for c in classes if _is_text(c.id))
    if twice := sorted(i for i, count in folded.items() if count > 1):
        faults.append(f"class ids must differ in more than upper and lower case: {', '.join(twice)}")
    if len({c.biodegradable is None for c in classes}) > 1:
        faults.append("say biodegradable = true or false for every class, or leave it out for all")
    return faults


def _class_faults(c: WasteClass) -> list[str]:
    faults = []
    if missing := [key for key in ("id", "title", "stream") if getattr(c, key) is None]:
        faults.append(f"missing {', '.join(missing)}")
    faults += [
        f"{key} must be one line of text of 1 to {_MAX_TEXT} characters"
        for key in ("title", "stream")
        if key not in missing and not _is_text(getattr(c, key))
    ]
    if "id" not in missing and not _is_folder_name(c.id):
        faults.append(f"id {c.id!r} must be usable as a folder name")
    if c.advice != "" and not _is_text(c.advice):
        faults.append(f"advice must be one line of text of at most {_MAX_TEXT} characters")
    if c.biodegradable is not None and not isinstance(c.biodegradable, bool):
        faults.append("biodegradable must be true, false or left out")
    return faults


def _is_folder_name(value: object) -> bool:
    """Whether every common operating system takes it, with room for a suffix."""
    return (
        isinstance(value, str)
        and _is_text(value)
        and len(value.encode()) <= _MAX_ID_BYTES
        and value[0] != "."
        and folder_name_fault(value) is None
    )


def _is_text(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= _MAX_TEXT and _is_printable(value) and value.strip() != ""


def _is_printable(text: str) -> bool:
    # Words of Indic scripts and Persian are not spelled without joiners.
    return text.replace("\u200c", "").replace("\u200d", "").isprintable()


def _fold(text: str) -> str:
    """Without case and without other ways to write the same characters.

    References:
        Unicode Standard, section 3.13, definition D146 (compatibility caseless match).
    """
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFD", text).casefold())
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKD", folded.casefold()).casefold())


def _without_separator(match: re.Match[str]) -> str:
    before, after = match.string[: match.start()][-1:], match.string[match.end() :][:1]
    hyphen = "-" if any(not c.isspace() and c != "_" for c in match[0]) else ""
    if before.isdecimal() and after.isdecimal():
        return hyphen or " "
    between_words = all(side and unicodedata.category(side)[0] in "LMN" for side in (before, after))
    return "" if between_words else hyphen
