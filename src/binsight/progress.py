"""How long work tells how far it is."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["Progress", "Stage", "unheard", "unheard_stage"]

Progress = Callable[[int, int], None]
"""Called with how much is done, such as photos, and how much there is."""

Stage = Callable[[str], Progress]
"""Called with the name of what begins; gives what is told how far that is."""


def unheard(_done: int, _total: int) -> None:
    """Progress that nobody hears of."""


def unheard_stage(_name: str) -> Progress:
    """Stages that nobody hears of."""
    return unheard
