"""The root command: finds the others when they are asked for, and turns errors into one line and an exit code."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import warnings
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from binsight import __version__
from binsight.cli.options import Group
from binsight.cli.text import StreamError, open_streams, plain
from binsight.errors import BinsightError
from binsight.notes import Note
from binsight.system_errors import describe_os_error

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

__all__ = ["LazyGroup", "main", "root"]

EXIT_FAULTS = 1  # a check found problems
EXIT_USAGE = 2  # wrong use or bad input
EXIT_INTERRUPTED = 130  # as shells have it for Ctrl-C

_GROUPS = {
    "Use": {
        "predict": ("binsight.cli.predict:predict", "Say what the waste on photos is."),
        "batch": ("binsight.cli.batch:batch", "Classify millions of photos, on as many machines as there are."),
        "features": ("binsight.cli.features:features", "Compute features of a batch job's photos."),
        "serve": ("binsight.cli.serve:serve", "Serve the HTTP API and the web page."),
        "feedback": ("binsight.cli.feedback:feedback", "List and export the corrections sent from the web page."),
    },
    "Evaluate": {
        "evaluate": ("binsight.cli.evaluate:evaluate", "Measure a model on labelled photos."),
        "compare": ("binsight.cli.compare:compare", "Compare models, or backbones, on the same photos."),
        "explain-errors": (
            "binsight.cli.explain_errors:explain_errors",
            "Show what a model gets wrong, and why it may.",
        ),
        "benchmark": ("binsight.cli.benchmark:benchmark", "Measure how fast, large and hungry models are here."),
    },
    "Line": {
        "line": ("binsight.cli.line:line", "Run a sorting line: camera, belt, sorter, ledger; or simulate one."),
        "edge": ("binsight.cli.edge:edge", "Run a small computer with a camera beside a bin."),
    },
    "Data": {"data": ("binsight.cli.data:data", "Look at photos before training: scan, audit, split, clean, explore.")},
    "Train": {
        "train": ("binsight.cli.train:train", "Train a model on your photos, and write its bundle."),
        "adapt": ("binsight.cli.adapt:adapt", "Teach a model your camera with a few photos of each class."),
        "tune": ("binsight.cli.tune:tune", "Search the settings of a model's heads, and plot what matters."),
    },
    "Loop": {
        "gate": ("binsight.cli.gate:gate", "Prove that a model may take another's place, or say what is missing."),
        "loop": (
            "binsight.cli.loop:loop",
            "Photos kept for labelling: how many, how good the model is, drift, forget.",
        ),
        "retrain": ("binsight.cli.retrain:retrain", "Teach the champion what was labelled; register a challenger."),
        "registry": ("binsight.cli.registry:registry", "Keep models, promote one, roll back for good."),
    },
    "Ship": {
        "export": ("binsight.cli.export:export", "Export a model to ONNX or LiteRT, and check that it says the same."),
        "model": ("binsight.cli.model:model", "Show, verify, compare, draw and pack model bundles."),
        "completion": ("binsight.cli.completion:completion", "Print the completion script for your shell."),
    },
}


class LazyGroup(Group):
    """A group that imports a command's module when the command is run, so that none pays for the others.

    Args:
        lazy: title of a group in the help → name → (`module:attribute`, one-line help).
    """

    def __init__(self, *args: Any, lazy: dict[str, dict[str, tuple[str, str]]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._groups = lazy
        self._places = {name: place for group in lazy.values() for name, (place, _) in group.items()}
        for group in lazy.values():
            for name, (_, text) in group.items():
                # Stands in until the command is asked for; click looks here for names to suggest.
                self.add_command(click.Command(name, short_help=text))

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """All names, in the order they were given."""
        return list(self.commands)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, imported now."""
        if cmd_name not in self._places:
            return super().get_command(ctx, cmd_name)
        module, attribute = self._places[cmd_name].split(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """What a shell offers, without importing any of the commands."""
        from click.shell_completion import CompletionItem

        names = [name for name in self.commands if name.startswith(incomplete)]
        found = [CompletionItem(name, help=self.commands[name].short_help) for name in names]
        return [*found, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        """The list of commands in the help, by group, without importing any of them."""
        width = max(map(len, self.commands))
        for title, group in self._groups.items():
            with formatter.section(title):
                formatter.write_dl([(f"{name:<{width}}", text) for name, (_, text) in group.items()])


@click.group(
    cls=LazyGroup,
    lazy=_GROUPS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
    epilog="Exit codes: 0 done, 1 a check found problems, 2 wrong use or bad input, 130 interrupted.",
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
    """Run the command line; what cannot be done becomes one line on standard error and an exit code."""
    # Pillow warns about oddities of files that it reads all the same; what it cannot read is reported as an error.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    if not sys.warnoptions:  # or somebody wants to see them all
        warnings.filterwarnings("always", category=Note)
        warnings.showwarning = partial(_show_warning, set())
    terminal = open_streams()
    try:
        sys.exit(root.main(prog_name="binsight", obj=terminal, standalone_mode=False) or 0)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        _fail("interrupted", EXIT_INTERRUPTED)
    except BinsightError as error:
        if isinstance(error, StreamError):
            _discard_output()
        _fail(str(error))
    except BrokenPipeError:
        _discard_output()  # as `head` does when it has seen enough
        sys.exit(EXIT_FAULTS)
    except OSError as error:
        _fail(describe_os_error(error))
    except MemoryError:
        _fail("not enough memory; use fewer --workers, or smaller photos")


def _fail(message: str, code: int = EXIT_USAGE) -> None:
    with contextlib.suppress(OSError):  # standard error may be full or closed too
        click.echo(f"binsight: {plain(message)}", err=True)
    sys.exit(code)


def _discard_output() -> None:
    # Python would write what is left in the buffer once more at exit, and complain once more.
    with Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())


def _show_warning(said: set[str], message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
    """One line on standard error, once; other libraries' warnings are for those who develop with them."""
    if issubclass(category, Note) and str(message) not in said:
        said.add(str(message))
        click.echo(f"note: {plain(str(message))}", err=True)
