"""A micro model as a project for ESP32 boards: portable C, its tests for this computer, and the firmware."""

from binsight.export.esp32.project import write_project

__all__ = ["write_project"]
