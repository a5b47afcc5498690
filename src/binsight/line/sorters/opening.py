"""From what `[sorter] kind` says to a sorter; each kind's module is imported only when it is asked for."""

from __future__ import annotations

import importlib

from binsight.errors import MissingExtraError
from binsight.line.config import LineConfig, SorterKind
from binsight.line.ports import Clock, Sorter

__all__ = ["open_sorter"]

# Kind → module, class, and the extra that brings its library. Each class is made with (config, clock=clock).
_SORTERS: dict[SorterKind, tuple[str, str, str]] = {
    "mqtt": ("binsight.line.sorters.mqtt", "MqttSorter", "line"),
    "none": ("binsight.line.sorters.none", "NoSorter", "line"),
}


def open_sorter(config: LineConfig, clock: Clock) -> Sorter:
    """The sorter of a line, not started yet.

    Raises:
        InputError: something of its settings cannot be used.
        MissingExtraError: its library is not installed.
    """
    module, name, extra = _SORTERS[config.sorter.kind]
    try:
        made: Sorter = getattr(importlib.import_module(module), name)(config, clock=clock)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "binsight":
            raise
        raise MissingExtraError(f"a sorter of kind {config.sorter.kind!r}", extra) from error
    return made
