"""Looks at locked photos are counted: whoever looks often enough finds a model that only seems better."""

from __future__ import annotations

from typing import ClassVar, Final

from binsight.errors import BinsightError
from binsight.loop.ledger import Ledger

__all__ = ["MOST_LOOKS", "SpentError", "record_look"]

MOST_LOOKS: Final = 10


class SpentError(BinsightError, ValueError):
    """Locked photos were looked at as often as they may be."""

    code: ClassVar[str] = "spent"


def record_look(ledger: Ledger, *, locked: str, challenger: str, champion: str) -> int:
    """Write down that two models are about to be compared on locked photos; the number of the look.

    Args:
        ledger: where looks are recorded.
        locked: the digest of the photos.
        challenger: what the new model is called.
        champion: what the old one is called.

    Raises:
        SpentError: they were looked at ten times.
        OutputError: the look cannot be recorded; then there is none.
    """
    with ledger.writing():
        before = len([e for e in ledger.read() if e.event == "look" and e.details["locked"] == locked])
        if before >= MOST_LOOKS:
            raise SpentError(
                f"these locked photos were looked at {before} times, after which they prove nothing: let them go to "
                "train, and lock newer ones"
            )
        ledger.append("look", locked=locked, number=before + 1, challenger=challenger, champion=champion)
    return before + 1
