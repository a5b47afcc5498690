"""`binsight line`: its commands, each imported when it is run."""

from __future__ import annotations

import click

from binsight.cli.app import LazyGroup

__all__ = ["line"]

_COMMANDS = {
    "Account": {
        "report": ("binsight.cli.line_report:report", "Purity per lane, ends and reasons, classes, latency."),
        "audit": ("binsight.cli.line_audit:audit", "Label the pieces drawn at random, blind."),
    },
}


@click.group(cls=LazyGroup, lazy=_COMMANDS, short_help="Run a sorting line: camera, belt, sorter, ledger.")
def line() -> None:
    """Run a sorting line: from a camera over a belt to the sorter, with an account of every piece.

    \b
    Examples:
      binsight line audit line1.sqlite --label      say what the pieces drawn at random are
      binsight line report line1.sqlite             how pure each lane is, and where every piece went
    """
