"""The command line: one module per command, and the only place that reads flags, environment and files of the user."""

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line; Ctrl-C is heeded while it is still being loaded, too."""
    try:
        from binsight.cli.app import main as run
    except KeyboardInterrupt:
        sys.exit(130)
    run()
