"""A whole simulated shift: belt, line and sorter are put together, run, and the result is drawn up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from binsight.line.config import LineConfig, parse_line_config
from binsight.line.engine import Picture
from binsight.line.ledger.database import open_database
from binsight.line.ledger.reading import every_piece
from binsight.line.records import Piece
from binsight.line.simulate.photos import PiecePhoto
from binsight.line.simulate.plan import Fault, plan_pieces
from binsight.line.simulate.result import SimulationResult, Truth, compare
from binsight.line.simulate.scene import Scene
from binsight.line.simulate.world import SimulatedLine
from binsight.predictor import Predictor
from binsight.taxonomy import Taxonomy

__all__ = ["Shift", "read_rows", "simulate", "simulated_config"]

_SPACING_MM, _PIECE_MM = 170.0, 110.0
_RUN_IN_MM = 5000.0  # of empty belt before the first piece, so that it is learnt
_FIRST_LANE_MM, _LANE_STEP_MM = 1200.0, 600.0
_RESIDUE = "landfill"  # what stays on the belt


@dataclass(frozen=True, slots=True)
class Shift:
    """What is simulated.

    Attributes:
        pieces: how many lie on the belt.
        rate: pieces a second, on average; the belt is as fast as this asks for.
        seed: draws photos, places, noise and what the equipment does.
        faults: what fails when, in seconds after the first piece comes into view.
        jitter: of the distances between pieces, as a share of them.
        overlap: share of pieces that lie on the one before.
        frames_per_second: of the camera.
        frame: its `(height, width)`.
        pace_s: between two of the line's ticks and two readings of the encoder: longer for days on a slow belt.
    """

    pieces: int
    rate: float
    seed: int = 0
    faults: Sequence[Fault] = ()
    jitter: float = 0.2
    overlap: float = 0.0
    frames_per_second: float = 20.0
    frame: tuple[int, int] = (480, 640)
    pace_s: float = 0.02


def simulated_config(shift: Shift, taxonomy: Taxonomy) -> LineConfig:
    """A line with one lane for each stream of the model; what goes to landfill stays on the belt."""
    streams = list(dict.fromkeys(entry.stream for entry in taxonomy.classes))
    ejected = [stream for stream in streams if stream != _RESIDUE] or streams
    lanes = [
        {"number": n, "name": stream, "streams": [stream], "distance_mm": _FIRST_LANE_MM + (n - 1) * _LANE_STEP_MM}
        for n, stream in enumerate(ejected, start=1)
    ]
    return parse_line_config(
        {
            "line": {"name": "simulated", "strange": "warn"},  # what is rendered is to be sorted all the same
            "camera": {
                "source": "simulated",
                "frames_per_second": shift.frames_per_second,
                "margin": 0.0,  # a photo has surroundings of its own
                "stalled_after_ms": max(1000, 3000 / shift.frames_per_second),
            },
            "belt": {"speed_mm_s": shift.rate * _SPACING_MM, "encoder": "mqtt", "counts_per_mm": 10},
            "lanes": lanes,
            "sorter": {"kind": "mqtt", "url": "mqtt://simulated"},
        }
    )


def simulate(
    shift: Shift,
    *,
    predictor: Predictor,
    photos: Sequence[PiecePhoto],
    ledger_url: str,
    speed: Callable[[float], float] = lambda _: 1.0,
    on_progress: Callable[[int], None] = lambda _: None,
    on_picture: Callable[[Picture], None] = lambda _: None,
) -> SimulationResult:
    """Run a shift in virtual time; the same arguments give the same result.

    Args:
        shift: what is simulated.
        predictor: the true model.
        photos: what the pieces look like.
        ledger_url: an empty ledger, of SQLite or PostgreSQL.
        speed: of the belt, as a share of its full speed, by the second.
        on_progress: told how many pieces have come.
        on_picture: shown every frame that the engine looked at.
    """
    config = simulated_config(shift, predictor.taxonomy)
    rng = np.random.default_rng(shift.seed)
    trigger_mm = config.camera.trigger_at * config.camera.field_mm
    pieces = plan_pieces(
        pieces=shift.pieces,
        photos=len(photos),
        spacing_mm=_SPACING_MM,
        start_mm=_RUN_IN_MM,
        rng=rng,
        jitter=shift.jitter,
        overlap=shift.overlap,
    )
    images: list[NDArray[np.uint8]] = [photo.image for photo in photos]
    run_in_s = (_RUN_IN_MM - trigger_mm) / config.belt.speed_mm_s
    line = SimulatedLine(
        config,
        predictor=predictor,
        scene=Scene(images, pieces, size=shift.frame, rng=rng, trigger_mm=trigger_mm, piece_mm=_PIECE_MM),
        pieces=pieces,
        faults=[Fault(run_in_s + fault.at_s, fault.kind, fault.for_s, fault.value) for fault in shift.faults],
        ledger_url=ledger_url,
        speed=speed,
        rng=rng,
        pace_s=shift.pace_s,
        on_progress=on_progress,
        on_picture=on_picture,
    )
    line.run()
    classes = predictor.taxonomy.classes
    lanes = [
        (lane, frozenset(c.id for c in classes if config.lane_of(c.id, c.stream) is lane)) for lane in config.lanes
    ]
    return compare(
        read_rows(ledger_url), line.sorter.books, _truth(line, shift, photos), lanes=lanes, virtual_s=line.now()
    )


def _truth(line: SimulatedLine, shift: Shift, photos: Sequence[PiecePhoto]) -> Truth:
    field_mm = line.config.camera.field_mm
    trigger_mm = line.config.camera.trigger_at * field_mm
    return Truth(
        categories=[photos[piece.photo].category for piece in line.pieces],
        centres_mm=[piece.centre_mm for piece in line.pieces],
        crossings=line.crossings,
        blind_mm=line.blind_mm,
        # Fed double, what lies on the belt reaches half a piece further.
        piece_mm=_PIECE_MM * (1.5 if any(fault.kind == "double_feed" for fault in shift.faults) else 1.0),
        approach_mm=(trigger_mm, field_mm - trigger_mm),
    )


def read_rows(ledger_url: str) -> list[Piece]:
    """Every piece of a ledger, in the order of their sequence numbers."""
    database = open_database(ledger_url, upgrade=False)
    try:
        return every_piece(database)
    finally:
        database.dispose()
