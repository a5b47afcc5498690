"""Evidence that grows photo by photo, and may be looked at after each of them.

Of a photo that old and new model have both seen, D is 1 if only the new one is right, -1 if only the old one is, else
0: only where they disagree does a photo need a label. A gambler who may bet on each photo at odds that are fair at
worst can become rich only if what he bets against is false: if it is true, his wealth ever reaches w with probability
at most 1 / w (Ville), however often one looks.

References:
    Ville 1939; Waudby-Smith and Ramdas 2024, Estimating Means of Bounded Random Variables by Betting, JRSS B 86(1).
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["PROVEN", "ROLL_BACK", "photos_to_proof", "proof_of_harm", "proof_of_no_harm"]

PROVEN: Final = 20.0
"""The evidence that suffices: a false promotion in at most 5 % of all cases."""

ROLL_BACK: Final = 100.0
"""The evidence at which a new champion goes back: by mistake in at most 1 % of all cases."""

_STAKES: Final = np.array([0.02, 0.05, 0.1, 0.2, 0.4, 0.8])
_HARM_STAKES: Final = np.array([0.1, 0.2, 0.4, 0.8])


def proof_of_no_harm(b: ArrayLike, c: ArrayLike, n: ArrayLike, margin: float) -> NDArray[np.float64]:
    """Evidence that the new model is worse by less than `margin`: mean over stakes s of `prod(1 + s (D + margin))`.

    Args:
        b: photos so far that only the old model has right; any shape.
        c: that only the new one has right.
        n: all photos so far, agreements too.
        margin: as a share of photos, in [0, 1].

    Returns:
        The shape of `b`; may be looked at after every photo, `PROVEN` or more proves it.
    """
    return _wealth(b, c, n, _STAKES, margin)


def proof_of_harm(b: ArrayLike, c: ArrayLike, n: ArrayLike) -> NDArray[np.float64]:
    """Evidence that the new model is worse: mean over stakes s of `prod(1 - s D)`; at `ROLL_BACK` it goes back."""
    return _wealth(c, b, n, _HARM_STAKES, 0.0)


def photos_to_proof(psi: float, margin: float, evidence: float = 1.0) -> int:
    """About how many photos more prove that a model as good as the old one is no worse: half of the time fewer do.

    Args:
        psi: share of photos on which exactly one of the two is right, in [0, 1).
        margin: as in `proof_of_no_harm`.
        evidence: what there is already.
    """
    growth = 0.5 * psi * (np.log1p(_STAKES * (margin + 1)) + np.log1p(_STAKES * (margin - 1)))
    growth = growth + (1 - psi) * np.log1p(_STAKES * margin)
    # About half of the stakes gain alike, so the best must gain twice as much: within 10 % of simulated medians.
    wanted = np.log(2 * PROVEN / max(evidence, 1e-9))
    best = float(growth.max())
    return int(np.ceil(wanted / best)) if best > 0 and wanted > 0 else 0


def _wealth(
    losses: ArrayLike, wins: ArrayLike, n: ArrayLike, stakes: NDArray[np.float64], margin: float
) -> NDArray[np.float64]:
    # The order of the photos does not matter to the product, so counts suffice; a loss of stake 1 is not possible.
    lost, won, total = (np.asarray(x, np.float64)[..., None] for x in (losses, wins, n))
    logs = lost * np.log1p(stakes * (margin - 1)) + won * np.log1p(stakes * (margin + 1))
    logs = logs + (total - lost - won) * np.log1p(stakes * margin)
    found: NDArray[np.float64] = np.exp(np.minimum(logs, 700.0)).mean(axis=-1)
    return found
