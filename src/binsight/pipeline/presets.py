"""The named starting points of a training, and how a file and flags change one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from binsight.errors import SettingsError
from binsight.pipeline.config import AUTO, SECTIONS, AugmentConfig, TrainConfig, all_options
from binsight.settings import Option, parse_text, read_toml, suggest

__all__ = ["PRESETS", "read_config_file", "resolve_config"]

Values = Mapping[str, Mapping[str, Any]]
"""Section → setting → value; the section of what stands at the top is empty."""

PRESETS: Final[Mapping[str, Values]] = {
    # As in recipes/waste8/waste8.toml, but for what takes longer.
    "best": {
        "backbone": {"name": AUTO},
        "fine_tune": {
            "frozen_share": 0.7,
            "views": 8,
            "dropout": 0.2,
            "batch_size": 64,
            "learning_rate": 5e-4,
            "warmup_epochs": 0.5,
            "class_balance": 0.5,
            "ema_decay": 0.99,
            "mixed_precision": True,
            "average": (0.0, 0.5, 0.75, 1.0),
        },
    },
    "fast": {"fine_tune": {"enabled": False}},
    "original": {"backbone": {"name": "xception"}, "heads": {"kind": "original"}, "fine_tune": {"enabled": False}},
}
"""What each preset changes of the defaults."""


def read_config_file(path: Path) -> Values:
    """The settings in a TOML file; whether they exist and what they may be is checked by `resolve_config`.

    Raises:
        InputError: the file cannot be read.
        SettingsError: it is not TOML.
    """
    data = read_toml(path)
    top = {key: value for key, value in data.items() if not isinstance(value, dict)}
    return {"": top} | {key: value for key, value in data.items() if isinstance(value, dict)}


def resolve_config(*, file: Values | None = None, flags: Mapping[str, str] | None = None) -> TrainConfig:
    """The configuration of a preset with the changes of a file, and over these the changes of flags.

    Args:
        file: from `read_config_file`.
        flags: flag without dashes → its text.

    Raises:
        SettingsError: listing every fault of file and flags.
    """
    options = all_options()
    from_file, faults = _check_file(options, file or {})
    from_flags, more = _check_flags(options, flags or {})
    preset = {**from_file, **from_flags}.get(("", "preset"), "best")
    if faults := faults + more:
        raise SettingsError("; ".join(faults))
    base = {(section, name): value for section, values in PRESETS[preset].items() for name, value in values.items()}
    chosen = base | from_file | from_flags
    sections: dict[str, dict[str, Any]] = {}
    for (section, name), value in chosen.items():
        sections.setdefault(section, {})[name] = value
    top = sections.pop("", {})
    made: dict[str, Any] = {name: AugmentConfig.of if name == "augment" else SECTIONS[name] for name in sections}
    top |= {name: made[name](**values) for name, values in sections.items()}
    return TrainConfig(**top)


Key = tuple[str, str]


def _check_file(options: tuple[Option, ...], file: Values) -> tuple[dict[Key, Any], list[str]]:
    known = {(option.section, option.name): option for option in options}
    sections = list(dict.fromkeys(option.section for option in options))
    chosen: dict[Key, Any] = {}
    faults = []
    for section, values in file.items():
        if section not in sections:
            faults.append(f"no section [{section}]; {suggest(section, filter(None, sections))}")
            continue
        names = [name for where, name in known if where == section]
        for name, raw in values.items():
            where = f"{section}.{name}" if section else name
            if name not in names:
                faults.append(f"no setting {where}; {suggest(name, names)}")
                continue
            option = known[section, name]
            chosen[section, name] = option.normalise(raw)
            if fault := option.check(chosen[section, name]):
                faults.append(fault)
    return chosen, faults


def _check_flags(options: tuple[Option, ...], flags: Mapping[str, str]) -> tuple[dict[Key, Any], list[str]]:
    known = {option.flag: option for option in options}
    chosen: dict[Key, Any] = {}
    faults = []
    for flag, text in flags.items():
        option = known[flag]
        try:
            value = parse_text(option, text)
        except SettingsError as error:
            faults.append(str(error))
            continue
        chosen[option.section, option.name] = value
        if fault := option.check(value):
            faults.append(f"--{flag}: {fault.partition(': ')[2]}")
    return chosen, faults
