"""What the line says to others, as JSON-ready dictionaries: the same over MQTT, webhook and event stream."""

from __future__ import annotations

import datetime as dt
from typing import Any

from binsight.line.alarms import Alarm
from binsight.line.purity import Purity
from binsight.line.records import Command, Piece

__all__ = ["command_message", "fault_message", "piece_message", "purity_message", "utc_text"]


def utc_text(at: dt.datetime) -> str:
    """`2026-01-02T03:04:05.678Z`."""
    return at.astimezone(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def piece_message(piece: Piece) -> dict[str, Any]:
    """The `piece` message."""
    return {
        "id": piece.id,
        "seq": piece.seq,
        "t": utc_text(piece.seen_at),
        "encoder": piece.encoder,
        "category": piece.category,
        "confidence": None if piece.confidence is None else round(piece.confidence, 4),
        "decision": piece.decision,
        "reason": piece.reason,
        "frames": piece.frames,
        "lane": piece.lane,
        "status": piece.status,
    }


def command_message(command: Command, now: float) -> dict[str, Any]:
    """The `cmd/sort` message, sent at `now`."""
    return {
        "id": command.id,
        "seq": command.seq,
        "lane": command.lane,
        "target": command.target,
        "fire_in_ms": max(0, round(1000 * (command.fire_at_s - now))),
        "dwell_ms": command.dwell_ms,
    }


def fault_message(alarm: Alarm) -> dict[str, Any]:
    """The `fault` message."""
    return {"code": alarm.code, "active": alarm.active}


def purity_message(found: Purity) -> dict[str, Any]:
    """The `purity/{lane}` message; the estimate is null while nothing was audited."""
    return {
        "purity": None if found.purity is None else round(found.purity, 4),
        "low": round(found.low, 4),
        "high": round(found.high, 4),
        "audited": found.audited,
        "pieces": found.pieces,
        "method": found.method,
    }
