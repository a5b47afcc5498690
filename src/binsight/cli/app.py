"""The root command: finds the others when they are asked for, and turns errors into one line and an exit code."""

from __future__ import annotations

import importlib
import os
import sys
import warnings
from pathlib import Path
from typing import Any, TextIO

import click

from binsight import __version__
from binsight.cli.text import plain
from binsight.errors import BinsightError

__all__ = ["LazyGroup", "main", "root"]

EXIT_FAULTS = 1  # a check found problems
EXIT_USAGE = 2  # wrong use or bad input

_COMMANDS = {
    "predict": ("binsight.cli.predict:predict", "Say what the waste on photos is."),
    "data": ("binsight.cli.data:data", "Look at photos before training: scan, audit, split, clean, explore, fetch."),
    "train": ("binsight.cli.train:train", "Train a model on your photos, and write its bundle."),
    "tune": ("binsight.cli.tune:tune", "Search the settings of a model's heads, and plot what matters."),
    "evaluate": ("binsight.cli.evaluate:evaluate", "Measure a model on labelled photos."),
    "compare": ("binsight.cli.compare:compare", "Compare models, or backbones, on the same photos."),
    "explain-errors": ("binsight.cli.explain_errors:explain_errors", "Show what a model gets wrong, and why it may."),
    "serve": ("binsight.cli.serve:serve", "Serve the HTTP API and the web page."),
    "feedback": ("binsight.cli.feedback:feedback", "List and export the corrections sent from the web page."),
    "export": ("binsight.cli.export:export", "Export a model to ONNX or LiteRT, and check that it says the same."),
    "benchmark": ("binsight.cli.benchmark:benchmark", "Measure how fast, large and hungry models are on this machine."),
    "model": ("binsight.cli.model:model", "Show, verify, compare, draw and pack model bundles."),
    "completion": ("binsight.cli.completion:completion", "Print the completion script for your shell."),
}


class LazyGroup(click.Group):
    """A group that imports a command's module when the command is run, so that none pays for the others.

    Args:
        commands: name → (`module:attribute`, one-line help).
    """

    def __init__(self, *args: Any, lazy: dict[str, tuple[str, str]] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._lazy = lazy or {}
        for name, (_, text) in self._lazy.items():
            # Stands in until the command is asked for; click looks here for names to suggest.
            self.add_command(click.Command(name, short_help=text))

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """All names, in the order they were given."""
        return list(self.commands)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, imported now."""
        if cmd_name not in self._lazy:
            return super().get_command(ctx, cmd_name)
        module, attribute = self._lazy[cmd_name][0].split(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        """The list of commands in the help, without importing any of them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, command.get_short_help_str(80)) for name, command in self.commands.items()])


@click.group(
    cls=LazyGroup,
    lazy=_COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
    epilog="Exit codes: 0 done, 1 a check found problems, 2 wrong use or bad input.",
)
@click.version_option(__version__, "-V", "--version", message="binsight %(version)s")
def root() -> None:
    """Sort waste by camera: which category, biodegradable or not, how sure, which stream.

    \b
    Examples:
      binsight predict can.jpg             classify a photo with the model in the package
      binsight predict photos/ --json      classify a folder, one JSON object per line
      binsight model show                  what the model knows and how good it is
      binsight COMMAND --help              all about one command
    """


def main() -> None:
    """Run the command line; a refused input becomes one line on standard error and exit code 2."""
    # Pillow warns about oddities of files that it reads all the same; what it cannot read is reported as an error.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    _prepare_streams()
    try:
        root.main(prog_name="binsight")
    except BinsightError as error:
        click.echo(f"binsight: {plain(str(error))}", err=True)
        sys.exit(EXIT_USAGE)
    except OSError as error:
        if error.filename is not None:
            raise  # a file that its command should have spoken of: a bug
        # Without a name it is one of the standard streams: a full disk, say.
        click.echo(f"binsight: cannot write the output: {error.strerror or error}", err=True)
        _discard_output()
        sys.exit(EXIT_USAGE)


def _prepare_streams() -> None:
    # A parent process may have closed them; Python then leaves None in their place.
    sys.stdout = sys.stdout or _nowhere()
    sys.stderr = sys.stderr or _nowhere()
    for stream in (sys.stdout, sys.stderr):
        # A file name may hold any bytes, a terminal may know few characters; neither should end the program.
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # both are text streams here


def _discard_output() -> None:
    # Python would write what is left in the buffer once more at exit, and complain once more.
    with _nowhere() as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())


def _nowhere() -> TextIO:
    return Path(os.devnull).open("w", encoding="utf-8")
