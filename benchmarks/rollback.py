"""How soon a new champion that is worse goes back, and how often an equal one does by mistake; NumPy only.

    python benchmarks/rollback.py [--runs 20000] [--photos 1500]

Two models differ on a share psi of photos, of which the old one has so many more right that the new one is worse by so
many points; people label all of them. What decides is `binsight.loop.evidence.proof_of_harm`, looked at after each
photo on which they differ, as the server does. Also printed: false promotions at the boundary, by `proof_of_no_harm`.
"""

from __future__ import annotations

import argparse

import numpy as np
from numpy.typing import NDArray

from binsight.loop.comparing import MARGIN
from binsight.loop.evidence import PROVEN, ROLL_BACK, proof_of_harm, proof_of_no_harm

CASES = ((0.02, 0.025), (0.02, 0.03), (0.02, 0.05), (0.0, 0.01), (0.0, 0.03), (0.0, 0.1))


def main() -> None:
    """Simulate and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=20_000)
    parser.add_argument("--photos", type=int, default=1500)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    print("worse by  psi    goes back  photos, labels at the median")
    for worse, psi in CASES:
        at, lost, won = walk(rng, worse, psi, options.runs, options.photos)
        gone = proof_of_harm(lost, won, lost + won) >= ROLL_BACK
        back, first = gone.any(axis=1), gone.argmax(axis=1)
        photos = np.median(at[np.arange(len(at)), first][back]) if back.any() else np.nan
        labels = np.median(first[back] + 1) if back.any() else np.nan
        print(f"{worse:8.1%}  {psi:5.1%}  {back.mean():9.2%}  {photos:.0f}, {labels:.0f}")
    print("promoted by mistake, worse by half a point, within 20,000 photos:")
    for psi in (0.0075, 0.02, 0.06):
        at, lost, won = walk(rng, MARGIN, psi, options.runs // 10, 20_000)
        # Between two differences the evidence only grows: it is largest just before the next one.
        ahead = np.concatenate([at[:, 1:] - 1, np.full((len(at), 1), 20_000)], axis=1)
        proven = proof_of_no_harm(lost, won, np.maximum(ahead, at), MARGIN) >= PROVEN
        print(f"psi {psi:.2%}: {proven.any(axis=1).mean():.2%}")


def walk(
    rng: np.random.Generator, worse: float, psi: float, runs: int, photos: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """For each run and each photo on which the two differ: its number, and the losses and wins up to it.

    What lies beyond `photos` changes nothing any more.
    """
    most = int(photos * psi + 8 * np.sqrt(photos * psi) + 8)
    at = np.cumsum(rng.geometric(psi, (runs, most)), axis=1)
    is_inside = at <= photos
    is_lost = rng.random((runs, most)) < (psi + worse) / (2 * psi)
    lost, won = (np.cumsum(is_inside & what, axis=1).astype(np.int64) for what in (is_lost, ~is_lost))
    return np.minimum(at, photos), lost, won


if __name__ == "__main__":
    main()
