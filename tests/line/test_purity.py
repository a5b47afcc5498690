"""How pure a stream is, from the pieces that a person looked at."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from binsight.line.purity import Stratum, estimate_purity, estimate_purity_by_weight, merge_strata


def test_one_stratum_is_jeffreys_interval() -> None:
    """Of 20 audited, 16 right, of very many: 2.5 and 98.5 % of Beta(16.5, 4.5) are 0.5918 and 0.9379."""
    found = estimate_purity([Stratum(10_000_000, {"can": 16, "film": 4})], {"can"})
    assert found.purity == pytest.approx(0.8)
    assert (found.low, found.high) == (pytest.approx(0.5918, abs=0.007), pytest.approx(0.9379, abs=0.005))
    assert (found.audited, found.pieces, found.wrong, found.method) == (20, 10_000_000, 4, "stratified_jeffreys")


def test_strata_count_by_their_pieces_not_by_their_audits() -> None:
    """900 pieces of which 9 of 10 were right, 100 of which 20 of 40: 0.9 · 0.9 + 0.1 · 0.5 = 0.86, not 29 / 50."""
    strata = [Stratum(900, {"can": 9, "film": 1}), Stratum(100, {"can": 20, "film": 20})]
    assert estimate_purity(strata, {"can"}).purity == pytest.approx(0.86)


def test_what_was_seen_is_certain_and_only_the_rest_is_predicted() -> None:
    """Of 100 pieces 99 were seen, 90 of them right: the truth is 90 or 91 of 100."""
    found = estimate_purity([Stratum(100, {"can": 90, "film": 9})], {"can"})
    assert (found.low, found.high) == (pytest.approx(0.90), pytest.approx(0.91))
    assert found.purity == pytest.approx(90 / 99)


def test_all_audited_is_exact() -> None:
    """Nothing is left to be uncertain about, also where strata hold one piece."""
    strata = [Stratum(1, {"film": 1}), Stratum(3, {"can": 3})]
    found = estimate_purity(strata, {"can"})
    assert (found.purity, found.low, found.high) == (0.75, 0.75, 0.75)


def test_no_defect_found_means_below_about_3_in_n() -> None:
    """300 audits without a wrong piece: up to 1, and down to about 1 - 3/n, in one stratum or in twelve."""
    for hours in (1, 12):
        found = estimate_purity([Stratum(1_000_000, {"can": 300 // hours})] * hours, {"can"})
        assert (found.purity, found.high, found.wrong) == (1.0, 1.0, 0)
        assert 2 / 300 < 1 - found.low < 3 / 300
    none = estimate_purity([Stratum(1000, {"film": 30})], {"can"})
    assert (none.purity, none.low) == (0.0, 0.0)


def test_nothing_audited_says_nothing() -> None:
    """No estimate, and every purity is possible."""
    found = estimate_purity([Stratum(1000, {})], {"can"})
    assert (found.purity, found.low, found.high, found.audited, found.pieces) == (None, 0.0, 1.0, 0, 1000)
    assert estimate_purity([], {"can"}).purity is None


def test_strata_with_too_few_audits_are_merged_with_their_neighbours() -> None:
    """The following one is taken in, a rest joins the last before, a kind with too few as a whole the next kind."""
    accepted = [Stratum(10 * h, {"can": n} if n else {}, "accept") for h, n in ((1, 3), (2, 1), (3, 0), (4, 2), (5, 1))]
    merged = merge_strata(accepted)
    assert [(s.pieces, s.audited) for s in merged] == [(10, 3), (20 + 30 + 40 + 50, 4)]
    reviewed = [Stratum(7, {"film": 1}, "review")]
    assert [(s.pieces, s.audited) for s in merge_strata(accepted + reviewed)] == [(17, 4), (140, 4)]
    complete = [Stratum(1, {"can": 1}), Stratum(50, {})]
    assert [(s.pieces, s.audited) for s in merge_strata(complete)] == [(51, 1)]
    assert estimate_purity(complete, {"can"}).high == 1.0


def test_by_weight_each_piece_counts_with_what_its_true_category_weighs() -> None:
    """8 cans of 15 g and 2 films of 5 g: 120 of 130 g. With equal weights it is the share of pieces."""
    strata = [Stratum(1000, {"can": 8, "film": 2})]
    found = estimate_purity_by_weight(strata, {"can"}, {"can": 15, "film": 5})
    assert found.purity == pytest.approx(120 / 130)
    assert found.low < 120 / 130 < found.high
    equal = estimate_purity_by_weight(strata, {"can"}, {"can": 7, "film": 7})
    pieces = estimate_purity(strata, {"can"})
    assert (equal.low, equal.high) == (pytest.approx(pieces.low, abs=0.02), pytest.approx(pieces.high, abs=0.02))


def test_by_weight_what_was_not_found_may_be_any_of_the_wrong_ones() -> None:
    """Ten cans and nothing else: the unseen defect may be a heavy battery, so the interval reaches lower."""
    strata = [Stratum(1000, {"can": 10})]
    light = estimate_purity_by_weight(strata, {"can"}, {"can": 15, "film": 5})
    heavy = estimate_purity_by_weight(strata, {"can"}, {"can": 15, "battery": 300})
    assert (light.purity, light.high) == (heavy.purity, heavy.high) == (1.0, 1.0)
    assert heavy.low < light.low


def test_a_category_without_a_weight_is_named() -> None:
    """It cannot be left out silently."""
    with pytest.raises(KeyError, match="film"):
        estimate_purity_by_weight([Stratum(10, {"film": 1})], {"can"}, {"can": 15})


def test_the_same_seed_gives_the_same_interval() -> None:
    """The same command prints the same numbers; another seed nearly the same."""
    strata = [Stratum(1000, {"can": 40, "film": 3})] * 3
    one, again, other = (estimate_purity(strata, {"can"}, seed=seed) for seed in (0, 0, 1))
    assert one == again
    assert other.low == pytest.approx(one.low, abs=0.005)


counts = st.tuples(st.integers(0, 50), st.integers(0, 20), st.integers(0, 3000), st.sampled_from(["accept", "review"]))


@settings(max_examples=50, deadline=None)
@given(st.lists(counts, min_size=1, max_size=6))
def test_an_estimate_lies_in_its_interval_whatever_was_found(rows: list[tuple[int, int, int, str]]) -> None:
    """And merging loses neither a piece nor an audit."""
    strata = [Stratum(a + b + rest, {"can": a, "film": b}, kind) for a, b, rest, kind in rows if a + b + rest]
    merged = merge_strata(strata)
    assert sum(s.pieces for s in merged) == sum(s.pieces for s in strata)
    assert sum(s.audited for s in merged) == sum(s.audited for s in strata)
    for found in (
        estimate_purity(strata, {"can"}),
        estimate_purity_by_weight(strata, {"can"}, {"can": 15.0, "film": 4.0, "battery": 90.0}),
    ):
        assert 0 <= found.low <= found.high <= 1
        assert found.purity is None or found.low <= found.purity <= found.high
        assert not np.isnan(found.low + found.high)
