"""How a training tells what it is doing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from binsight.progress import Progress, unheard

__all__ = ["Reporter", "SilentReporter", "ticker"]


class Reporter(Protocol):
    """Where progress and remarks go; the command line shows them, a test collects them."""

    def stage(self, name: str) -> Progress:
        """A piece of work begins; what is returned is called with how much is done and how much there is."""
        ...

    def say(self, text: str) -> None:
        """One line that a person should read."""
        ...


@dataclass(frozen=True)
class SilentReporter:
    """Tells nobody."""

    def stage(self, name: str) -> Progress:  # noqa: ARG002 - the protocol's
        """Shows nothing."""
        return unheard

    def say(self, text: str) -> None:
        """Says nothing."""


def ticker(progress: Progress, total: int) -> Callable[[], None]:
    """A function that reports one more of `total` each time it is called."""
    done = 0

    def tick() -> None:
        nonlocal done
        done += 1
        progress(done, total)

    progress(0, total)
    return tick
