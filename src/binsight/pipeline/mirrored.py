"""Sections of the configuration that are made from settings of other layers, so that nothing is said twice."""

from __future__ import annotations

import dataclasses
import re
import typing
from collections.abc import Collection, Mapping
from typing import Any, Final

from binsight.settings import setting

__all__ = ["mirror_fields"]

# `    name: text`, in the part of a docstring about attributes; further lines of a text are indented more.
_ATTRIBUTE: Final = re.compile(r"^ {8}(\w+): (.*(?:\n {12}.*)*)", re.MULTILINE)


def mirror_fields(
    settings: type,
    *,
    optional: bool = False,
    flags: Mapping[str, str] | None = None,
    leave_out: Collection[str] = (),
) -> list[tuple[str, Any, Any]]:
    """Fields for `dataclasses.make_dataclass`, one for each field of another dataclass, described by its docstring.

    Args:
        settings: a dataclass of numbers, truth values and tuples of numbers; what it accepts is left to it.
        optional: leave every field open instead of giving it its default.
        flags: names on the command line, where they are not section and field.
        leave_out: fields that are not mirrored.
    """
    texts = {name: " ".join(text.split()) for name, text in _ATTRIBUTE.findall(settings.__doc__ or "")}
    hints = typing.get_type_hints(settings)
    made = []
    for field in dataclasses.fields(settings):
        if field.name in leave_out:
            continue
        hint = hints[field.name]
        if typing.get_origin(hint) is tuple:
            hint = tuple[typing.get_args(hint)[0], ...]  # type: ignore[misc]  # built at run time
        text = texts.get(field.name, field.name)
        flag = (flags or {}).get(field.name)
        default = None if optional else field.default
        made.append((field.name, hint | None if optional else hint, setting(default, _sentence(text), flag=flag)))
    return made


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
