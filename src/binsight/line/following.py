"""A line that runs in another program, followed by its ledger: what is new there is told as if it happened here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from binsight.line.alarms import Alarm
from binsight.line.ledger.reading import PIECE
from binsight.line.ledger.schema import events, pieces
from binsight.line.records import Piece

__all__ = ["LedgerFollower"]

_LAST = 200  # pieces that are looked at when it begins
_MOST_OPEN = 1000


class LedgerFollower:
    """Reads what has changed since the last time.

    Args:
        has_ended: whether a piece changes no more.
        tell_piece: told of every change of a piece.
        tell_alarm: told of every alarm that came or went.
    """

    def __init__(
        self,
        database: sa.Engine,
        line: str,
        *,
        has_ended: Callable[[Piece], bool],
        tell_piece: Callable[[Piece], None],
        tell_alarm: Callable[[Alarm], None],
    ) -> None:
        self._database, self._line = database, line
        self._has_ended, self._tell_piece, self._tell_alarm = has_ended, tell_piece, tell_alarm
        newest = self._read(sa.select(*PIECE).order_by(pieces.c.seq.desc()).limit(_LAST))
        self._seq = newest[0].seq if newest else 0
        self._open = {piece.seq: piece for piece in newest if not has_ended(piece)}
        self._alarms: dict[str, Alarm] = {}

    def poll(self) -> None:
        """Look once."""
        changed = sa.or_(pieces.c.seq > self._seq, pieces.c.seq.in_(list(self._open)))
        for piece in self._read(sa.select(*PIECE).where(changed).order_by(pieces.c.seq)):
            self._seq = max(self._seq, piece.seq)
            if self._open.get(piece.seq) != piece:
                self._open[piece.seq] = piece
                self._tell_piece(piece)
            if self._has_ended(piece):
                del self._open[piece.seq]
        while len(self._open) > _MOST_OPEN:  # a killed line has left them; it ends them when it starts again
            del self._open[next(iter(self._open))]
        self._look_at_alarms()

    def _read(self, query: sa.Select[Any]) -> list[Piece]:
        with self._database.connect() as connection:
            return [Piece(*row) for row in connection.execute(query.where(pieces.c.line == self._line))]

    def _look_at_alarms(self) -> None:
        """The last word on each code counts."""
        newest = sa.select(sa.func.max(events.c.number)).where(events.c.line == self._line).group_by(events.c.code)
        query = sa.select(events).where(events.c.number.in_(newest)).order_by(events.c.number)
        with self._database.connect() as connection:
            last = [Alarm(row.code, row.active, row.detail, row.at) for row in connection.execute(query)]
        for alarm in last:
            known = self._alarms.get(alarm.code)
            if known != alarm and (alarm.active or known is not None):
                self._tell_alarm(alarm)
        self._alarms = {alarm.code: alarm for alarm in last if alarm.active}
