"""JSON objects without its loose ends: no key twice, no NaN, and whatever can be read can be written again."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping
from typing import Any

from binsight.errors import BundleError

__all__ = ["encode_object", "expect_object", "parse_object"]

_MAX_DEPTH = 50


def parse_object(data: bytes, *, file: str) -> dict[str, Any]:
    """Read a JSON object.

    Args:
        data: UTF-8 text.
        file: what errors say is at fault.

    Raises:
        BundleError: not JSON, not an object, or with a key twice, a number that is not finite, text that is not
            Unicode, or nesting without end.
    """
    try:
        value = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_unique_keys,
            parse_float=_finite_float,
            parse_int=_finite_int,
            parse_constant=_refuse_constant,
        )
        _refuse_depth(value)
        json.dumps(value, ensure_ascii=False).encode("utf-8")  # fails on text that is not Unicode
    except (ValueError, RecursionError) as error:
        raise BundleError(f"not valid JSON: {error}", file=file) from error
    return dict(expect_object(value, "", file=file))


def encode_object(value: Mapping[str, Any], *, file: str) -> bytes:
    """Write a JSON object that `parse_object` reads back.

    Raises:
        BundleError: it holds what JSON cannot.
    """
    try:
        data = (json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode("utf-8")
    except (TypeError, ValueError, RecursionError) as error:
        raise BundleError(f"cannot be written as JSON: {error}", file=file) from error
    parse_object(data, file=file)
    return data


def expect_object(value: object, where: str, keys: Collection[str] | None = None, *, file: str) -> Mapping[str, Any]:
    """`value`, made sure to be an object and, where `keys` are given, to have exactly these.

    Args:
        value: any JSON value.
        where: the key it stands at; empty for the outermost.
        keys: all that it must have, or None for any.
        file: what errors say is at fault.

    Raises:
        BundleError: naming every fault.
    """
    prefix = f"{where}: " if where else ""
    if not isinstance(value, Mapping):
        raise BundleError(f"{prefix}expected an object {{...}}, got {json.dumps(value)[:50]}", file=file)
    faults = [f"missing {key}" for key in keys or () if key not in value]
    faults += [f"unknown key {key}" for key in value if keys is not None and key not in keys]
    if faults:
        raise BundleError(prefix + "; ".join(faults), file=file)
    return value


def _refuse_depth(value: object, depth: int = 0) -> None:
    if depth > _MAX_DEPTH:
        raise ValueError(f"nested deeper than {_MAX_DEPTH}")
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _refuse_depth(inner, depth + 1)


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    if len(set(keys)) < len(keys):
        raise ValueError(f"key {next(k for k in keys if keys.count(k) > 1)!r} appears twice")
    return dict(pairs)


def _finite_float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:20]} is too large a number")
    return value


def _finite_int(text: str) -> int:
    _finite_float(text)
    return int(text)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number")
