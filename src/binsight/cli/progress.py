"""What is being done and how far it is, on standard error: a bar where a person looks on, else lines or nothing."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import click

from binsight.cli.text import markup, open_console, plain

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

__all__ = ["Reporter", "progress_bar", "reporter", "stages"]

Update = Callable[[int, int], None]


class Reporter:
    """Tells what is being done, one stage after another.

    Args:
        bar: the display; None for lines.
        lines: without a display, write a line for each stage.
    """

    def __init__(self, bar: Progress | None, *, lines: bool) -> None:
        self._bar, self._lines = bar, lines
        self._began = time.monotonic()
        self._task: TaskID | None = None

    def stage(self, name: str) -> Update:
        """A new bar in the place of the last, or a line; call the result with what is done and what there is to do."""
        if self._bar is None:
            if self._lines:
                click.echo(f"[{time.monotonic() - self._began:5.0f} s] {plain(name)}", err=True)
            return lambda _done, _total: None
        if self._task is not None:
            self._bar.remove_task(self._task)
        self._task = self._bar.add_task(markup(name), total=None, amount="")
        return partial(self._update, self._task, name.startswith("Downloading"))

    def say(self, text: str) -> None:
        """A line of its own, above the bar."""
        if self._bar is None:
            click.echo(plain(text), err=True)
        else:
            self._bar.console.print(markup(text), soft_wrap=True)

    def _update(self, task: TaskID, is_bytes: bool, done: int, total: int) -> None:
        if self._bar is not None and task == self._task:
            amount = f"{done / 1e6:,.1f}/{total / 1e6:,.1f} MB" if is_bytes else f"{done}/{total}"
            self._bar.update(task, completed=done, total=total, amount=amount)


@contextmanager
def reporter(*, quiet: bool, lines: bool = False) -> Iterator[Reporter]:
    """A reporter whose bar is taken away at the end of the block.

    Args:
        quiet: show neither bar nor lines; what is said is shown all the same.
        lines: where nobody looks on, write a line for each stage.
    """
    if quiet or not sys.stderr.isatty():
        yield Reporter(None, lines=lines and not quiet)
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[amount]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    # Results that are written meanwhile go to standard output, not where the bar is.
    with Progress(*columns, console=open_console(stderr=True), transient=True, redirect_stdout=False) as bar:
        yield Reporter(bar, lines=False)


@contextmanager
def stages(*, quiet: bool) -> Iterator[Callable[[str], Update]]:
    """Bars one after another: each begins when the next thing does."""
    with reporter(quiet=quiet) as shown:
        yield shown.stage


@contextmanager
def progress_bar(title: str, *, quiet: bool = False) -> Iterator[Update]:
    """One bar; call the result with what is done and what there is to do."""
    with reporter(quiet=quiet) as shown:
        yield shown.stage(title)
