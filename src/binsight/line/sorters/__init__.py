"""Sorting equipment behind one port (`ports.Sorter`): MQTT, Modbus, OPC UA, webhook, file, none."""

from binsight.line.sorters.opening import open_sorter

__all__ = ["open_sorter"]
