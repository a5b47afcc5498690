"""Text from photos' names and other people's bundles, made fit for a terminal."""

from __future__ import annotations

import sys
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["markup", "open_console", "plain"]

_WIDTH_WITHOUT_TERMINAL = 160


def plain(text: str, *, keep: str = "") -> str:
    """`text` on one line, with what a terminal would take for a command written as an escape, as in `\\x1b`.

    Args:
        text: anything.
        keep: characters that are left alone all the same.
    """
    return "".join(c if c in keep or _is_harmless(c) else repr(c)[1:-1] for c in text)


def _is_harmless(character: str) -> bool:
    return character.isprintable() or unicodedata.category(character) == "Zs"  # spaces that do not break


def markup(text: str) -> str:
    """`plain(text)` for `rich`, which would otherwise read `[…]` as a style."""
    from rich.markup import escape

    return escape(plain(text))


def open_console() -> Console:
    """Standard output for `rich`: as wide as the terminal, or wide enough for our tables; text stays as it is."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else _WIDTH_WITHOUT_TERMINAL, highlight=False, emoji=False)
