"""The sorter that a configuration asks for."""

from __future__ import annotations

import importlib

from binsight.extras import needs_extra
from binsight.line.config import LineConfig
from binsight.line.ports import Clock, Sorter
from binsight.line.settings import SorterKind

__all__ = ["open_sorter"]

# Kind → module here, class in it, and the extra that brings its library. Only the module asked for is imported.
_SORTERS: dict[SorterKind, tuple[str, str, str]] = {
    "mqtt": ("mqtt", "MqttSorter", "line"),
    "modbus-server": ("modbus_server", "ModbusServerSorter", "line"),
    "modbus-client": ("modbus_client", "ModbusClientSorter", "line"),
    "opcua": ("opcua", "OpcuaSorter", "line-opcua"),
    "webhook": ("webhook", "WebhookSorter", "line"),
    "csv": ("csv_file", "CsvSorter", "line"),
    "none": ("none", "NoSorter", "line"),
}


def open_sorter(config: LineConfig, clock: Clock) -> Sorter:
    """The sorter of a line; it does nothing before `Sorter.start`.

    Raises:
        MissingExtraError: its library is not installed.
        InputError: a file that its settings name cannot be read.
    """
    module, name, extra = _SORTERS[config.sorter.kind]
    with needs_extra(f'a sorter of kind "{config.sorter.kind}"', extra):
        found = importlib.import_module(f"binsight.line.sorters.{module}")
    sorter: Sorter = getattr(found, name)(config, clock=clock)
    return sorter
