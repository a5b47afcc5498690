"""`binsight line`: its commands, each imported when it is run."""

from __future__ import annotations

import click

from binsight.cli.app import LazyGroup

__all__ = ["line"]

_COMMANDS = {
    "Run": {
        "run": ("binsight.cli.line_run:run", "Watch a belt, or look at one's own video."),
        "check": ("binsight.cli.line_check:check", "Check line.toml: geometry, categories, time budget."),
        "simulate": ("binsight.cli.line_simulate:simulate", "Run a line without hardware, faults and all."),
    },
    "Account": {
        "report": ("binsight.cli.line_report:report", "Purity per lane, ends and reasons, classes, latency."),
        "audit": ("binsight.cli.line_audit:audit", "Label the pieces drawn at random, blind."),
        "export": ("binsight.cli.line_export:export", "Finished hours as Parquet, to a folder or an object store."),
        "divide": ("binsight.cli.line_divide:divide", "Keep an older PostgreSQL ledger by days."),
    },
}


@click.group(cls=LazyGroup, lazy=_COMMANDS)
def line() -> None:
    """Run a sorting line: from a camera over a belt to the sorter, with an account of every piece.

    docs/line.md teaches it: the file line.toml, wiring, topics, what happens to a piece.

    \b
    Examples:
      binsight line simulate                          see it work, without hardware
      binsight line run --source video.mp4            look at one's own video
      binsight line check line.toml                   will it be in time?
      binsight line run line.toml                     run the line
      binsight line audit line1.sqlite --label        say what the pieces drawn at random are
      binsight line report line1.sqlite               how pure each lane is, and where every piece went
    """
