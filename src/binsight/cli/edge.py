"""`binsight edge`: its commands, each imported when it is run."""

from __future__ import annotations

import click

from binsight.cli.app import LazyGroup

__all__ = ["edge"]

_COMMANDS = {
    "Run": {
        "run": ("binsight.cli.edge_run:run", "Look through a camera; tell results and health to a server."),
        "check": ("binsight.cli.edge_run:check", "Check the settings, and measure which engine is fastest here."),
    }
}


@click.group(cls=LazyGroup, lazy=_COMMANDS)
def edge() -> None:
    """Run a small computer with a camera, such as a Raspberry Pi, that tells a server what it sees.

    docs/edge.md teaches it.

    \b
    Examples:
      binsight edge check --source /dev/video0 --mqtt mqtt://server    which engine, how fast, how much memory
      binsight edge run edge.toml                                      look, until SIGTERM
    """
