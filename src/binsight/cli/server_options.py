"""A server's settings as flags, and their values from what was given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from binsight.cli.options import BUNDLE, FILE, FOLDER, Option
from binsight.errors import InputError
from binsight.serving.security import ApiKey
from binsight.settings import Option as Setting
from binsight.text_files import read_text

__all__ = ["server_flag", "server_value"]


def server_flag(setting: Setting) -> Option:
    """The flag, and the variable `BINSIGHT_…`, for one of a server's settings."""
    names = f"--{setting.flag}/--no-{setting.flag}" if setting.kind is bool else f"--{setting.flag}"
    default = setting.default // setting.unit if setting.unit > 1 else setting.default
    is_file = setting.kind is ApiKey
    return Option(
        [names, setting.name],
        type=_type(setting),
        multiple=setting.is_tuple and not is_file,
        default=default or None if setting.is_tuple else default,
        show_default=setting.default not in {None, ()},
        envvar=_variable(setting.flag),
        show_envvar=True,
        metavar=setting.metavar,
        section=setting.group,
        help=setting.text,
    )


def _type(setting: Setting) -> Any:
    if setting.choices:
        return click.Choice(setting.choices)
    if setting.unit > 1:
        return float
    by_metavar = {"FILE": FILE, "DIR": FOLDER, "[NAME=]BUNDLE": BUNDLE}
    return by_metavar.get(setting.metavar or "", setting.kind)


def _variable(flag: str) -> str:
    return "BINSIGHT_" + flag.upper().replace("-", "_")


def server_value(setting: Setting, given: Any) -> Any:
    """A setting's value from that of its flag."""
    if setting.kind is ApiKey:
        return _read_keys(given)
    if setting.unit == 1:
        return given
    try:
        return round(given * setting.unit)
    except (ValueError, OverflowError):
        return given  # not a number, or infinity: `Settings` says what is expected


def _read_keys(path: Path | None) -> tuple[ApiKey, ...]:
    if path is None:
        return ()
    keys = []
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        if line.strip() and not line.startswith("#"):
            try:
                keys.append(ApiKey.parse(line))
            except ValueError as error:
                raise InputError(f"{path}, line {number}: {error}") from error
    if not keys:
        raise InputError(f"{path}: expected at least one key; without any, everyone would be let in")
    return tuple(keys)
