"""Evidence from live photos: by hand, and how often it is wrong when it is looked at after every photo."""

from __future__ import annotations

import numpy as np
import pytest

from binsight.loop.evidence import PROVEN, ROLL_BACK, photos_to_proof, proof_of_harm, proof_of_no_harm

DELTA = 0.005


def walks(worse, psi, *, runs, photos, seed):
    """Return counts b, c and n after each photo, `(runs, photos)`, of a new model that is worse by `worse`."""
    p = [(psi + worse) / 2, (psi - worse) / 2]
    u = np.random.default_rng(seed).random((runs, photos), dtype=np.float32)
    b = np.cumsum(u < p[0], axis=1, dtype=np.int32)
    c = np.cumsum((u >= p[0]) & (u < psi), axis=1, dtype=np.int32)
    return b, c, np.arange(1, photos + 1, dtype=np.int32)[None]


def test_by_hand():
    """One photo that only the new model has right, one that both have."""
    stakes = np.array([0.02, 0.05, 0.1, 0.2, 0.4, 0.8])
    expected = ((1 + stakes * (1 + DELTA)) * (1 + stakes * DELTA)).mean()
    assert proof_of_no_harm(0, 1, 2, DELTA) == pytest.approx(expected)
    assert proof_of_harm(1, 0, 9) == pytest.approx(1 + np.mean([0.1, 0.2, 0.4, 0.8]))
    assert proof_of_no_harm(0, 0, 0, DELTA) == proof_of_harm(0, 0, 0) == 1


@pytest.mark.parametrize("psi", [0.0075, 0.02, 0.06])
def test_false_promotions(psi):
    """A model that is worse by exactly the margin is promoted in at most 5 % of all cases, however often one looks."""
    b, c, n = walks(DELTA, psi, runs=600, photos=8000, seed=3)
    proven = (proof_of_no_harm(b[:, ::4], c[:, ::4], n[:, ::4], DELTA) >= PROVEN).any(axis=1)
    assert proven.mean() <= 0.05


@pytest.mark.parametrize(("psi", "photos", "labels"), [(0.01, 3161, 32), (0.02, 5588, 112)])
def test_how_long_a_proof_takes(psi, photos, labels):
    """The median for equal models is that of the table, and `photos_to_proof` tells it."""
    b, c, n = walks(0, psi, runs=400, photos=4 * photos, seed=4)
    proven = proof_of_no_harm(b[:, ::10], c[:, ::10], n[:, ::10], DELTA) >= PROVEN
    first = np.where(proven.any(axis=1), 10 * proven.argmax(axis=1), 4 * photos)
    assert np.median(first) == pytest.approx(photos, rel=0.1)
    assert np.median(first) * psi == pytest.approx(labels, rel=0.1)
    assert photos_to_proof(psi, DELTA) == pytest.approx(photos, rel=0.15)
    assert photos_to_proof(psi, DELTA, evidence=10) < photos_to_proof(psi, DELTA)


def test_a_model_that_is_two_points_worse_goes_back():
    """Within 1,500 photos in at least 90 % of all runs."""
    b, c, n = walks(0.02, 0.03, runs=1000, photos=1500, seed=5)
    assert (proof_of_harm(b, c, n) >= ROLL_BACK).any(axis=1).mean() >= 0.90


@pytest.mark.parametrize("psi", [0.01, 0.03, 0.1])
def test_an_equal_model_stays(psi):
    """It goes back by mistake in at most 1 % of all runs."""
    b, c, n = walks(0, psi, runs=1000, photos=3000, seed=6)
    assert (proof_of_harm(b[:, ::2], c[:, ::2], n[:, ::2]) >= ROLL_BACK).any(axis=1).mean() <= 0.01


def test_endless_evidence_does_not_overflow():
    """Nor does a million photos without a difference."""
    assert proof_of_no_harm(0, 10**6, 10**6, DELTA) > PROVEN
    assert proof_of_harm(10**6, 0, 10**6) > ROLL_BACK
    assert np.isfinite(proof_of_no_harm(0, 0, 10**7, 0.5))
