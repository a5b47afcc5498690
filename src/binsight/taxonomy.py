"""What the classes of a model mean: title, biodegradability, stream, advice.

A taxonomy is a TOML file with one table per class, in the order of the network's outputs (`docs/taxonomy.md`).
Nothing in binsight hard-codes the eight classes of the built-in one.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib import resources
from typing import Any

from binsight.errors import TaxonomyError

__all__ = ["Taxonomy", "WasteClass", "builtin_taxonomy"]

_CLASS_KEYS = ("id", "title", "biodegradable", "stream", "advice")
_MAX_CLASSES = 1000
_MAX_TEXT = 1000
_FORBIDDEN_IN_ID = set('/\\:*?"<>|')


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
        name, tables, faults = data.get("name"), data.get("classes"), []
        if unknown := sorted(set(data) - {"name", "classes"}):
            faults.append(f"unknown keys {', '.join(unknown)}")
        if not isinstance(tables, list) or not all(isinstance(t, Mapping) for t in tables):
            faults.append("expected an array of tables [[classes]]")
            tables = []
        classes = [_class_from_dict(i, table, faults) for i, table in enumerate(tables)]
        if faults:
            raise TaxonomyError(f"taxonomy {name!r}: " + "; ".join(faults))
        return cls(name, tuple(classes))  # type: ignore[arg-type]  # __post_init__ checks the name's type

    @classmethod
    def from_toml(cls, text: str) -> Taxonomy:
        """Build a taxonomy from TOML text.

        Raises:
            TaxonomyError: the text is not TOML, or not a taxonomy.
        """
        try:
            data = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise TaxonomyError(f"taxonomy: not valid TOML: {error}") from error
        return cls.from_dict(data)


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


def _class_from_dict(position: int, table: Mapping[str, Any], faults: list[str]) -> WasteClass:
    where = f"class {position + 1}"
    if unknown := sorted(set(table) - set(_CLASS_KEYS)):
        faults.append(f"{where}: unknown keys {', '.join(unknown)}; known are {', '.join(_CLASS_KEYS)}")
    missing = [key for key in ("id", "title", "stream") if key not in table]
    if missing:
        faults.append(f"{where}: missing {', '.join(missing)}")
    return WasteClass(
        id=table.get("id", ""),
        title=table.get("title", ""),
        biodegradable=table.get("biodegradable"),
        stream=table.get("stream", ""),
        advice=table.get("advice", ""),
    )


def _name_faults(name: object) -> list[str]:
    return [] if _is_text(name) else ["expected a name"]


def _faults(classes: tuple[WasteClass, ...]) -> list[str]:
    faults = [fault for position, c in enumerate(classes) for fault in _class_faults(position, c)]
    if not 2 <= len(classes) <= _MAX_CLASSES:
        faults.append(f"expected 2 to {_MAX_CLASSES} classes, got {len(classes)}")
    folded = [c.id.casefold() for c in classes if isinstance(c.id, str)]
    if twice := sorted({i for i in folded if folded.count(i) > 1}):
        faults.append(f"class ids must differ in more than upper and lower case: {', '.join(twice)}")
    is_open = {c.biodegradable is None for c in classes}
    if len(is_open) > 1:
        faults.append("say biodegradable = true or false for every class, or leave it out for all")
    return faults


def _class_faults(position: int, c: WasteClass) -> list[str]:
    where = f"class {position + 1}"
    faults = [
        f"{where}: {key} must be a non-empty text" for key in ("title", "stream") if not _is_text(getattr(c, key))
    ]
    if not _is_text(c.id) or c.id[0] in ". " or c.id[-1] in ". " or _FORBIDDEN_IN_ID & set(c.id):
        faults.append(f"{where}: id {c.id!r} must be usable as a folder name")
    if c.advice != "" and not _is_text(c.advice):
        faults.append(f"{where}: advice must be a text")
    if c.biodegradable is not None and not isinstance(c.biodegradable, bool):
        faults.append(f"{where}: biodegradable must be true, false or left out")
    return faults


def _is_text(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= _MAX_TEXT and value.isprintable() and value.strip() != ""
