"""`binsight batch`: its commands, each imported when it is run; without one, all of them in a row."""

from __future__ import annotations

import difflib
import importlib
import os

import click

from binsight.cli.app import LazyGroup

__all__ = ["batch"]

_COMMANDS = {
    "Work": {
        "plan": ("binsight.cli.batch_plan:plan", "List the photos and divide them into shards."),
        "run": ("binsight.cli.batch_run:run", "Classify what is not done yet, on one machine or many."),
    },
    "Look": {
        "status": ("binsight.cli.batch_look:status", "Say how far a job is, and when it will be done."),
        "report": ("binsight.cli.batch_look:report", "Write a page on what came of the photos."),
        "verify": ("binsight.cli.batch_look:verify", "Compare every row with the plan, then write _SUCCESS."),
    },
}
_ALL = "SOURCE"


class _BatchGroup(LazyGroup):
    """A first word that is no command is the source of the photos."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put a name before a source."""
        if args and args[0] not in self.commands and args[0] not in {"-h", "--help"}:
            near = difflib.get_close_matches(args[0], self.commands, n=1)
            if near and not os.path.lexists(args[0]):
                raise click.UsageError(f"No such command or folder {args[0]!r}. Did you mean {near[0]!r}?", ctx)
            args = [_ALL, *args]
        return super().parse_args(ctx, args)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, imported now."""
        if cmd_name == _ALL:
            command: click.Command = importlib.import_module("binsight.cli.batch_run").everything
            return command
        return super().get_command(ctx, cmd_name)


@click.group(
    cls=_BatchGroup,
    lazy=_COMMANDS,
    subcommand_metavar="COMMAND|SOURCE --out URI [OPTIONS]",
    epilog="Exit codes: 0 complete, 2 complete with error rows, 1 incomplete; 2 wrong use as well.",
)
def batch() -> None:
    """Classify millions of photos: from a folder, a list or an object store into Parquet, one row per photo.

    Whatever is interrupted goes on when the same command is typed again. docs/scale.md teaches it: several machines,
    object stores, columns, costs.

    \b
    Examples:
      binsight batch photos/ --out job1                          plan, run, verify, report
      binsight batch plan s3://in/2026/ --out s3://out/job1      list and divide, once
      binsight batch run s3://out/job1                           on this machine
      binsight batch run s3://out/job1 --engine ray --address ray://head:10001
      binsight batch run s3://out/job1 --engine index            in each task of a job array
      binsight batch status s3://out/job1
    """
