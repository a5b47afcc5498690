"""What happens in a simulated shift: which pieces come when, how the belt runs, what fails."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from binsight.errors import SettingsError
from binsight.settings import read_toml

__all__ = ["Fault", "FaultKind", "PlannedPiece", "plan_pieces", "read_faults"]

FaultKind = Literal[
    "camera_stall",  # no frame comes
    "camera_freeze",  # the same frame comes again and again
    "camera_dark",  # the light is off
    "light_jump",  # the light is `value` times as strong
    "belt_stop",
    "belt_slip",  # the encoder counts `value` times what the belt runs
    "double_feed",  # every piece comes as two that lie on each other
    "broker_loss",  # no link to the sorter
    "sorter_restart",  # the sorter forgets what it was told, and has no link meanwhile
    "nack",  # it refuses, with the share `value`
    "late_ack",  # its answers take `value` seconds
    "no_ack",  # it obeys and says nothing
    "clock_jump",  # the clock on the wall jumps by `value` seconds
    "disk_full",  # the ledger cannot be written
    "kill",  # the line's process dies at once, and is started again at the end
]
_DEFAULTS = {"light_jump": 1.6, "belt_slip": 0.9, "nack": 1.0, "late_ack": 0.5, "clock_jump": 3600.0}


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that fails from `at_s` on, for `for_s` seconds of the shift."""

    at_s: float
    kind: FaultKind
    for_s: float = 2.0
    value: float = 0.0


@dataclass(frozen=True, slots=True)
class PlannedPiece:
    """One piece that really lies on the belt.

    Attributes:
        number: 0, 1, ….
        photo: which photo it looks like.
        centre_mm: where on the endless belt its middle lies; it is at the trigger line when the belt has come so far.
        across: where across the belt its middle lies, in (0, 1).
        turn: quarter turns.
        mirrored: whether it lies on its other side.
    """

    number: int
    photo: int
    centre_mm: float
    across: float
    turn: int
    mirrored: bool


def plan_pieces(
    *,
    pieces: int,
    photos: int,
    spacing_mm: float,
    start_mm: float,
    rng: np.random.Generator,
    jitter: float = 0.2,
    overlap: float = 0.0,
) -> list[PlannedPiece]:
    """Lay pieces on the belt, one after the other.

    Args:
        pieces: how many, at least 1.
        photos: how many photos there are to choose from.
        spacing_mm: from middle to middle, on average.
        start_mm: where the first lies.
        rng: draws photos, places and turns.
        jitter: of the spacing, as a share of it.
        overlap: share of pieces that lie on the one before them.
    """
    gaps = spacing_mm * (1 + jitter * rng.uniform(-1, 1, pieces))
    gaps[rng.random(pieces) < overlap] *= 0.15
    centres = start_mm + np.cumsum(gaps)
    # Every photo comes before one comes again.
    rounds = -(-pieces // photos)
    order = np.concatenate([rng.permutation(photos) for _ in range(rounds)])[:pieces]
    return [
        PlannedPiece(
            number=i,
            photo=int(order[i]),
            centre_mm=float(centres[i]),
            across=float(rng.uniform(0.35, 0.65)),
            turn=int(rng.integers(4)),
            mirrored=bool(rng.integers(2)),
        )
        for i in range(pieces)
    ]


def read_faults(path: Path) -> list[Fault]:
    """Read a script of faults.

    A TOML file with `[[faults]]` tables: `at_s`, `kind`, and where they matter `for_s` and `value`.

    Raises:
        InputError: it cannot be read.
        SettingsError: it is no such script; all faults of it are in the message.
    """
    values = read_toml(path)
    tables = values.get("faults")
    if (
        not isinstance(tables, list)
        or not all(isinstance(table, dict) for table in tables)
        or set(values) != {"faults"}
    ):
        raise SettingsError(f"{path}: expected [[faults]] tables with at_s and kind, and nothing else")
    wrong = [f"faults[{i}]: {text}" for i, table in enumerate(tables) for text in _faults_of(table)]
    if wrong:
        raise SettingsError(f"{path}: " + "; ".join(wrong))
    return sorted((_fault(table) for table in tables), key=lambda fault: fault.at_s)


def _faults_of(table: dict[str, Any]) -> Sequence[str]:
    known: tuple[str, ...] = get_args(FaultKind)
    found = [f"there is no {key!r}" for key in table if key not in {"at_s", "kind", "for_s", "value"}]
    if table.get("kind") not in known:
        found.append(f"kind: expected one of {', '.join(known)}, got {table.get('kind')!r}")
    for key in ("at_s", "for_s", "value"):
        number = table.get(key, 0 if key != "at_s" else None)
        if isinstance(number, bool) or not isinstance(number, int | float) or not 0 <= number < 1e9:
            found.append(f"{key}: expected a number of at least 0, got {number!r}")
    return found


def _fault(table: dict[str, Any]) -> Fault:
    value = float(table.get("value", _DEFAULTS.get(table["kind"], 0.0)))
    return Fault(float(table["at_s"]), table["kind"], float(table.get("for_s", 2.0)), value)
