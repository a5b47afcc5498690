"""How often a tracker without encoder miscounts a random belt that runs at 0 to twice its speed, and stops.

    python benchmarks/line_track.py [--belts 2000] [--jitter 2] [--drop 0.15]

A belt has up to 15 pieces of 40 to 260 mm on three strips, 25 to 400 mm apart; some strips hold like ones, evenly.
Right is a belt whose every piece was counted once, by a track of its own.
"""

import argparse
import random
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.line.test_track import Made, assert_each_once, run, travels_of

from binsight.line.track import Tracker


def draw(chance: random.Random, low: float, high: float) -> float:
    """A number, with both ends drawn as such now and then."""
    return chance.choice([low, high]) if chance.random() < 0.2 else chance.uniform(low, high)


def draw_belt(chance: random.Random) -> list[Made]:
    """Pieces on three strips."""
    pieces = []
    for strip in range(3):
        head, like = 0.0, chance.random() < 0.2
        gap, length = draw(chance, 25, 400), draw(chance, 40, 260)
        for _ in range(chance.randint(0, 5)):
            if not like:
                gap, length = draw(chance, 25, 400), draw(chance, 40, 260)
            pieces.append(Made(head - gap, length, strip))
            head -= gap + length
    return pieces


def draw_steps(chance: random.Random) -> list[float]:
    """Millimetres from frame to frame."""
    steps: list[float] = []
    for _ in range(chance.randint(1, 6)):
        steps += [draw(chance, 3, 40)] * chance.randint(3, 30) + [0.0] * chance.choice([0, 0, chance.randint(0, 40)])
    return steps


def is_right(seed: int, *, jitter: float, drop: float) -> bool:
    """Track one belt; the tracker is told 20 mm a frame."""
    chance = random.Random(seed)  # noqa: S311 - repeatable, no secret
    pieces = draw_belt(chance)
    travels = travels_of(draw_steps(chance), pieces)
    told = [20.0 * frame for frame in range(len(travels))]
    counted = run(Tracker(slip=1.0), pieces, travels, told=told, seed=seed, jitter=jitter, drop=drop)
    try:
        assert_each_once(counted, pieces)
    except AssertionError:
        return False
    return True


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--belts", type=int, default=2000)
    parser.add_argument("--jitter", type=float, default=2.0, help="mm by which a box is off")
    parser.add_argument("--drop", type=float, default=0.0, help="share of boxes that are not found")
    given = parser.parse_args()
    wrong = [n for n in range(given.belts) if not is_right(n, jitter=given.jitter, drop=given.drop)]
    print(f"{len(wrong)} of {given.belts} belts miscounted")
