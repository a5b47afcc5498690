"""Text of strangers on a terminal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from binsight.cli.text import markup, plain


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("photos/can 1.jpg", "photos/can 1.jpg"),
        ("Käfer, 缶, 🥫", "Käfer, 缶, 🥫"),
        ("95\u00a0%", "95\u00a0%"),
        ("\x1b[31mred", r"\x1b[31mred"),
        ("two\nlines\r", r"two\nlines\r"),
        ("\x9b31m", r"\x9b31m"),
        ("gpj.\u202efdp", r"gpj.\u202efdp"),
        ("caf\udce9", r"caf\udce9"),
        ("", ""),
    ],
)
def test_plain(text: str, expected: str) -> None:
    """Letters, signs and spaces stay; what steers a terminal, or is no text, is written as an escape."""
    assert plain(text) == expected


def test_kept_characters_stay() -> None:
    """Characters that the caller wants to keep are kept."""
    assert plain("a\tb\nc", keep="\t") == "a\tb\\nc"


@given(st.text())
def test_plain_is_one_printable_line(text: str) -> None:
    """Whatever comes in, what goes out is one line, and can be written as UTF-8."""
    shown = plain(text)
    assert len(shown.splitlines()) <= 1
    assert "\x1b" not in shown
    shown.encode()


def test_markup_is_no_style() -> None:
    """Square brackets are shown by rich rather than read."""
    assert markup("[bold]x[/]\x1b") == r"\[bold]x\[/]\x1b"
