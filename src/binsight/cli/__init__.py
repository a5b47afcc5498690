"""The command line: one module per command, and the only place that reads flags, environment and files of the user."""

from binsight.cli.app import main

__all__ = ["main"]
