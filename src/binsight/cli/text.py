"""Text from photos' names and other people's bundles, made fit for a terminal, a pipe or a file.

On a terminal, a sign that its encoding lacks is written as a plainer one (`#` for a full block), a letter as an escape.
What is piped or redirected is UTF-8 whatever the locale, never folded or cut, so that names come out as they are.
"""

from __future__ import annotations

import codecs
import json
import os
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, cast

import click

from binsight.errors import OutputError

if TYPE_CHECKING:
    from io import TextIOWrapper

    from rich.console import Console
    from rich.table import Column, Table

__all__ = [
    "StreamError",
    "Terminal",
    "markup",
    "new_table",
    "open_console",
    "open_streams",
    "plain",
    "print_first",
    "print_json",
    "sign",
]

_LEAST_WIDTH = 60  # columns; on a narrower terminal, which breaks lines itself, tables would lose columns
_NO_WIDTH = 1_000_000
_PLAINER = {"█": "#", "░": ".", "→": ">", "…": "...", "×": "x", "·": "-", "−": "-", "–": "-", "°": " deg"}  # noqa: RUF001
_ERRORS = "binsight.plainer"


@dataclass(frozen=True, slots=True)
class Terminal:
    """What the output can show.

    Attributes:
        is_plain: only letters and signs of an old encoding, as it was when the program began.
    """

    is_plain: bool = False


class StreamError(OutputError):
    """Standard output cannot be written: a full disk, say."""


class _Output:
    """Standard output, whose errors can be told from those of files."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write, or say that the output cannot be written."""
        with _told():
            return self._stream.write(text)

    def flush(self) -> None:
        """Write what is left, or say that the output cannot be written."""
        with _told():
            self._stream.flush()


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise  # the reader has seen enough
    except OSError as error:
        raise StreamError(f"cannot write the output: {error.strerror or error}") from error


def open_streams() -> Terminal:
    """Set up standard output and error, so that no name of a file can end the program or be changed."""
    # A parent process may have closed them; Python then leaves None in their place.
    sys.stdout, sys.stderr = cast("TextIO", _Output(sys.stdout or _nowhere())), sys.stderr or _nowhere()
    terminal = Terminal(not _can_show(sys.stdout, "█"))
    codecs.register_error(_ERRORS, _write_plainer)
    for stream, raw in ((sys.stdout, "surrogateescape"), (sys.stderr, _ERRORS)):
        is_terminal = stream.isatty()
        cast("TextIOWrapper", stream).reconfigure(
            encoding=None if is_terminal else "utf-8", errors=_ERRORS if is_terminal else raw
        )
    return terminal


def _nowhere() -> TextIO:
    return Path(os.devnull).open("w", encoding="utf-8")


def _can_show(stream: TextIO, text: str) -> bool:
    try:
        text.encode(stream.encoding)
    except UnicodeEncodeError:
        return False
    return True


def _write_plainer(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    return "".join(_PLAINER.get(c) or c.encode("ascii", "backslashreplace").decode() for c in text), error.end


def _is_plain() -> bool:
    context = click.get_current_context(silent=True)
    terminal = context.find_object(Terminal) if context else None
    return terminal is not None and terminal.is_plain


def sign(character: str) -> str:
    """A sign of our own, or the plainer one that stands for it where the output cannot show it."""
    return _PLAINER[character] if _is_plain() else character


def plain(text: str, *, keep: str = "") -> str:
    """`text` on one line, with what a terminal would take for a command written as an escape, as in `\\x1b`.

    Args:
        text: anything.
        keep: characters that are left alone all the same.
    """
    return "".join(c if c in keep or _is_harmless(c) else repr(c)[1:-1] for c in text)


def _is_harmless(character: str) -> bool:
    return character.isprintable() or unicodedata.category(character) == "Zs"  # spaces that do not break


def print_json(value: Any, *, indent: int | None = 2) -> None:
    """A value as JSON on standard output; without an indent on one line."""
    click.echo(json.dumps(value, indent=indent))


def print_first(lines: Sequence[str], most: int, *, lead: str = "", rest: str = "more", err: bool = False) -> None:
    """The first of many lines, each after `lead`, and how many more there are.

    Args:
        lines: already `plain`.
        most: how many are printed.
        lead: what each begins with.
        rest: what the others are, and where they can be had.
        err: on standard error.
    """
    for line in lines[:most]:
        click.echo(f"{lead}{line}", err=err)
    if len(lines) > most:
        click.echo(f"{lead}and {len(lines) - most:,} {rest}", err=err)


def markup(text: str) -> str:
    """`plain(text)` for `rich`, which would otherwise read `[…]` as a style."""
    from rich.markup import escape

    return escape(plain(text))


def open_console(*, stderr: bool = False) -> Console:
    """Standard output, or error, for `rich`: as wide as the terminal, or as what is written; text stays as it is."""
    from rich.console import Console

    is_terminal = (sys.stderr if stderr else sys.stdout).isatty()
    console = Console(stderr=stderr, width=None if is_terminal else _NO_WIDTH, highlight=False, emoji=False)
    console.width = max(console.width, _LEAST_WIDTH)
    return console


def new_table(*titles: str | Column, **options: Any) -> Table:
    """An empty table in which nothing is cut: what is too long for a terminal goes on in the next line of its cell.

    Args:
        titles: of the columns; a `Column` where one is aligned or styled.
        options: of `rich.table.Table`, such as `show_footer`.
    """
    from rich import box
    from rich.table import Table

    simple = box.Box("    \n    \n -- \n    \n    \n    \n    \n    \n", ascii=True) if _is_plain() else box.SIMPLE_HEAD
    table = Table(*titles, **{"box": simple, "pad_edge": False, **options})
    for column in table.columns:
        column.overflow = "fold"
    return table
