"""A server's settings as flags, and their values from what was given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from binsight.cli.options import Option, setting_flag
from binsight.errors import InputError
from binsight.serving.security import ApiKey
from binsight.settings import Option as Setting
from binsight.text_files import read_text

__all__ = ["server_flag", "server_value"]


def server_flag(setting: Setting) -> Option:
    """The flag, and the variable `BINSIGHT_…`, for one of a server's settings."""
    is_file = setting.kind is ApiKey
    more = {"default": setting.default or None} if setting.is_tuple else {}
    return setting_flag(
        setting,
        multiple=setting.is_tuple and not is_file,
        show_default=setting.default not in {None, ()},
        envvar="BINSIGHT_" + setting.flag.upper().replace("-", "_"),
        show_envvar=True,
        **more,
    )


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
