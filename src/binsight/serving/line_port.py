"""A line as the server sees it. Serving knows no camera and no ledger; who starts the server passes lines in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

__all__ = ["Account", "Line"]


class Account(Protocol):
    """What the line's ledger tells, as JSON-ready dictionaries; `line_schemas` has their types."""

    def pieces(
        self, *, limit: int, before: str | None = None, lane: int | None = None, statuses: Sequence[str] = ()
    ) -> dict[str, Any]:
        """`PieceList`."""

    def piece(self, piece_id: str) -> dict[str, Any] | None:
        """`PieceDetail`; None where there is none of that id."""

    def picture(self, piece_id: str, view: int | None = None) -> bytes | None:
        """A JPEG of it, or of one of its views, from 1; None where none is kept."""

    def events(self, limit: int) -> dict[str, Any]:
        """`AlarmList`."""

    def next_to_audit(self, auditor: str, skip: Sequence[str] = ()) -> dict[str, Any]:
        """`AuditItem`."""


class Line(Protocol):
    """One line, wherever it runs. Errors are `BinsightError`s whose codes are problems', or refusals of input."""

    @property
    def name(self) -> str:
        """In addresses."""

    @property
    def account(self) -> Account:
        """Its ledger."""

    def about(self) -> dict[str, Any]:
        """`LineAbout`."""

    def overview(self) -> dict[str, Any]:
        """`LineOverview`."""

    def shifts(self, count: int) -> dict[str, Any]:
        """`ShiftList`."""

    def anew(self) -> dict[str, Any]:
        """`LineAnew`: all that counts."""

    def news(self) -> list[tuple[str, Any, bool]]:
        """Events since the last call: name, data, and whether the next of that name replaces it."""

    def jpeg(self) -> bytes | None:
        """The newest frame."""

    def figures(self) -> dict[str, Any]:
        """What the metrics show."""

    def push(self, data: bytes, *, device: str, sequence: int | None, age_s: float, encoder: int | None = None) -> bool:
        """Take a frame; whether it is the newest."""

    def trigger(self, encoder: int | None) -> None:
        """A piece is at the trigger line now."""

    def label(self, piece_id: str, category: str, auditor: str) -> dict[str, int]:
        """Take what an auditor said; how many are `open` and `labelled` with it."""
