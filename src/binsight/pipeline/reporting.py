"""How a training tells what it is doing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from binsight.progress import Progress, unheard

__all__ = ["Reporter", "SilentReporter"]


class Reporter(Protocol):
    """Where progress and remarks go; the command line shows them, a test collects them."""

    def stage(self, name: str) -> Progress:
        """A piece of work begins; what is returned is called with how much is done and how much there is."""

    def say(self, text: str) -> None:
        """One line that a person should read."""


@dataclass(frozen=True)
class SilentReporter:
    """Tells nobody."""

    def stage(self, name: str) -> Progress:  # noqa: ARG002 - the protocol's
        """Shows nothing."""
        return unheard

    def say(self, text: str) -> None:
        """Says nothing."""
