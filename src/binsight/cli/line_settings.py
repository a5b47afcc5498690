"""A line's settings from its file, and from options that stand in for it or change it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from binsight.errors import SettingsError

if TYPE_CHECKING:
    from binsight.line.budget import LaneBudget
    from binsight.line.config import LineConfig
    from binsight.predictor import Predictor

__all__ = ["account", "bundle_of", "ledger_url", "read_config"]


def read_config(path: Path | None, **changes: dict[str, Any]) -> LineConfig:
    """The settings of `path`, or the defaults, with `changes` by table; None among their values changes nothing.

    Raises:
        InputError, SettingsError: the file cannot be read, or something in it or in the changes cannot be.
    """
    from binsight.line.config import load_line_config, parse_line_config

    config = None if path is None else load_line_config(path)
    values = {} if config is None else config.model_dump(exclude_unset=True)
    for table, settings in changes.items():
        values[table] = {**values.get(table, {}), **{k: v for k, v in settings.items() if v is not None}}
    return parse_line_config(values, where="options" if path is None else str(path))


def bundle_of(config: LineConfig, path: Path | None) -> str:
    """The model's bundle: by name, by path, or by a path beside the settings' file."""
    beside = (Path() if path is None else path.parent) / config.line.model
    return str(beside) if beside.exists() else config.line.model


def ledger_url(config: LineConfig, path: Path | None) -> str:
    """Where the ledger is: as set, else a file beside `path`, named after the line."""
    if config.ledger.url is not None:
        return config.ledger.url
    folder = Path() if path is None else path.parent
    return f"sqlite:///{folder / config.line.name}.sqlite"


def account(config: LineConfig, predictor: Predictor) -> list[LaneBudget]:
    """The time budget of each lane, with the model's decide time measured here and now.

    Raises:
        SettingsError: the taxonomy lacks what lanes ask for.
    """
    from binsight.line.budget import lane_budgets
    from binsight.line.decide_time import measure_decide_ms

    unknown = config.check_taxonomy(predictor.taxonomy)
    if unknown:
        raise SettingsError("; ".join(unknown))
    return lane_budgets(config, decide_ms=measure_decide_ms(predictor))
