"""Sorting equipment behind one port (`ports.Sorter`): MQTT, Modbus, OPC UA, webhook, file, none."""
