"""Settings that can be written in a file or given as flags: what each is called, its type, its range, what it means.

A section is a frozen dataclass whose fields are made by `setting`. Its values may be of these types: bool, int, float,
str, Path, one of several words (Literal), a tuple of one of these, or one of all these or None, which a file expresses
by leaving the key out.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import tomllib
import types
import typing
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from binsight.errors import SettingsError
from binsight.text_files import read_text

__all__ = [
    "Option",
    "check_section",
    "parse_text",
    "read_toml",
    "section_faults",
    "section_options",
    "setting",
    "suggest",
]

_META: Final = "setting"
_LONGEST: Final = 80  # of a value in a message
_KINDS: Final = {bool: "yes or no", int: "a whole number", float: "a number", str: "text", Path: "a path"}
_WORDS: Final = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


@dataclass(frozen=True, slots=True)
class Option:
    """One setting of a section.

    Attributes:
        section: the section's name, which is that of its table in a file; empty for what stands at the top.
        name: of the setting in the section.
        flag: on the command line, without dashes.
        kind: the type of its value, or of the elements of a tuple.
        is_tuple: whether it holds several values.
        is_optional: whether it may be left open.
        default: the value without file, flag and preset.
        text: what it means.
        low: the least allowed value; None where there is none.
        high: the largest.
        choices: the words that are allowed; empty for any.
        unit: the setting's value is so many times that of the flag.
        group: its place in the help.
        metavar: stands for its value there.
        is_pair: whether the several values are two, the first not above the second.
    """

    section: str
    name: str
    flag: str
    kind: type
    is_tuple: bool
    is_optional: bool
    default: Any
    text: str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    unit: int = 1
    group: str = ""
    metavar: str | None = None
    is_pair: bool = False

    @property
    def key(self) -> str:
        """How it is called in messages: `section.name`."""
        return f"{self.section}.{self.name}" if self.section else self.name

    def check(self, value: object) -> str | None:
        """What is wrong with `value`; None where nothing is."""
        if value is None:
            return None if self.is_optional else f"{self.key}: expected {self._wanted()}, got nothing"
        if self.is_tuple:
            values = value if isinstance(value, tuple) else ()
            good = (bool(values) or value == self.default) and all(self._fits(v) for v in values)
            if self.is_pair:
                good = good and len(values) == 2 and values[0] <= values[1]
        else:
            good = self._fits(value)
        return None if good else f"{self.key}: expected {self._wanted()}, got {repr(value)[:_LONGEST]}"

    def normalise(self, value: Any) -> Any:
        """A value as it comes from a file, in the type of the setting; unchanged where it has another."""
        if self.is_tuple and isinstance(value, list | tuple):
            return tuple(self._convert(v) for v in value)
        return self._convert(value)

    def _convert(self, value: Any) -> Any:
        return float(value) if self.kind is float and type(value) is int else value

    def _fits(self, value: object) -> bool:
        if isinstance(value, bool) and self.kind is not bool:
            return False  # to Python it is a whole number
        if not isinstance(value, (int, float) if self.kind is float else self.kind):
            return False
        if self.choices:
            return value in self.choices
        if isinstance(value, int | float) and not isinstance(value, bool):
            above = self.low is None or value >= self.low
            return math.isfinite(value) and above and (self.high is None or value <= self.high)
        return value != ""

    def _wanted(self) -> str:
        what = f"one of {', '.join(self.choices)}" if self.choices else _KINDS.get(self.kind, self.kind.__name__)
        bounds = [f"from {_number(self.low)}"] if self.low is not None else []
        bounds += [f"to {_number(self.high)}"] if self.high is not None else []
        if self.is_pair:
            what = "two rising numbers"
        return " ".join(["one or more of:" if self.is_tuple and not self.is_pair else "", what, *bounds]).strip()


def setting(
    default: Any,
    text: str,
    *,
    flag: str | None = None,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
    unit: int = 1,
    group: str = "",
    metavar: str | None = None,
    pair: bool = False,
) -> Any:
    """A field of a section.

    Args:
        default: its value where nothing else is said.
        text: what it means, for the help and for documentation.
        flag: its name on the command line; by default section and name.
        low: the least allowed value.
        high: the largest.
        choices: the words that are allowed.
        unit: what the flag's value is to be multiplied with, as 1,000,000 for a flag in megabytes.
        group: its place in the help.
        metavar: stands for its value there.
        pair: it is two values, the first not above the second.
    """
    meta = {"text": text, "low": low, "high": high, "choices": choices, "unit": unit, "group": group}
    more = {"flag": flag, "metavar": metavar, "is_pair": pair}
    return dataclasses.field(default=default, metadata={_META: meta | more})


def section_options(section: type, name: str) -> tuple[Option, ...]:
    """The settings of a section class, in order; fields that `setting` did not make are left out."""
    hints = typing.get_type_hints(section)
    made = [field for field in dataclasses.fields(section) if _META in field.metadata]
    return tuple(_option(field, hints[field.name], name) for field in made)


def section_faults(section: Any, name: str) -> list[str]:
    """Everything that is wrong with the values of a section."""
    found = (option.check(getattr(section, option.name)) for option in section_options(type(section), name))
    return [fault for fault in found if fault]


def check_section(section: Any, name: str) -> None:
    """Refuse values that a section's settings do not allow.

    Raises:
        SettingsError: listing every fault.
    """
    if faults := section_faults(section, name):
        raise SettingsError("; ".join(faults))


def read_toml(path: Path) -> dict[str, Any]:
    """What is in a TOML file.

    Raises:
        InputError: the file cannot be read.
        SettingsError: it is not TOML.
    """
    try:
        return tomllib.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise SettingsError(f"{path}: not valid TOML: {error}") from error


def parse_text(option: Option, text: str) -> Any:
    """A setting's value as it is written on the command line; several are separated by commas.

    Raises:
        SettingsError: it is no value of the setting's type.
    """
    parts = [part.strip() for part in text.split(",")] if option.is_tuple else [text.strip()]
    try:
        values = tuple(_parse_one(option.kind, part) for part in parts if part or not option.is_tuple)
    except (ValueError, KeyError):
        values = ()
    if not values:  # none: an empty variable in a script, which must not mean "all"
        wanted = _KINDS[option.kind] + (" or several, separated by commas" if option.is_tuple else "")
        raise SettingsError(f"--{option.flag}: expected {wanted}, got {text!r}")
    return values if option.is_tuple else values[0]


def suggest(word: str, known: Iterable[str]) -> str:
    """`did you mean …?`, or what there is."""
    known = list(known)
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"did you mean {close[0]}?" if close else f"there are {', '.join(known)}"


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


def _parse_one(kind: type, text: str) -> Any:
    return _WORDS[text.casefold()] if kind is bool else kind(text)


def _option(field: dataclasses.Field[Any], hint: Any, section: str) -> Option:
    meta = dict(field.metadata[_META])
    parts = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    is_optional = type(None) in parts
    (inner,) = (part for part in parts if part is not type(None))
    if typing.get_origin(inner) is typing.Literal:
        meta["choices"], inner = typing.get_args(inner), str
    is_tuple = typing.get_origin(inner) is tuple
    kind = typing.get_args(inner)[0] if is_tuple else inner
    meta["flag"] = meta["flag"] or "-".join(filter(None, (section, field.name))).replace("_", "-")
    return Option(
        section, field.name, kind=kind, is_tuple=is_tuple, is_optional=is_optional, default=field.default, **meta
    )
