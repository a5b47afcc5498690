"""What equipment reads when it likes."""

from __future__ import annotations

import pytest

from binsight.line.sorters.published import Published


def piece(status: str, lane: int = 3, reason: str | None = None) -> dict[str, object]:
    """Return as much of a `piece` message as is read."""
    return {"status": status, "lane": lane, "reason": reason}


@pytest.mark.parametrize(("confirms", "processed"), [(True, 1), (False, 1)])
def test_a_piece_counts_once(confirms: bool, processed: int) -> None:
    """At its end, whichever message that is for this equipment."""
    published = Published(confirms=confirms)
    published.take("piece", piece("acknowledged"))
    assert published.processed == (0 if confirms else 1)
    if confirms:
        published.take("piece", piece("confirmed"))
    assert (published.processed, published.lanes[3].pieces, published.to_fail_safe) == (processed, 1, 0)


def test_what_stays_on_the_belt() -> None:
    """Review, late and missed are on it; of what is unknown nobody knows."""
    published = Published()
    for message in (piece("fail_safe", 0), piece("late", 0), piece("confirmed", 3, "missed"), piece("unknown")):
        published.take("piece", message)
    assert (published.processed, published.to_fail_safe, published.lanes) == (4, 3, {})


def test_state_purity_and_faults() -> None:
    """Each in its place; what equipment does not read is ignored."""
    published = Published()
    published.take("state", {"online": True, "state": 6, "mode": 1, "frame_age_ms": None, "camera": "ok"})
    published.take("purity/3", {"purity": 0.9, "low": 0.8, "high": 0.95, "audited": 20, "pieces": 100})
    published.take("fault", {"code": "link", "active": True})
    published.take("fault", {"code": "late", "active": True})
    published.take("fault", {"code": "link", "active": False})
    published.take("news", {})
    assert (published.heartbeat, published.state, published.mode, published.frame_age_ms) == (1, 6, 1, 0.0)
    assert published.faults == {"late"}
    assert (published.lanes[3].purity, published.lanes[3].audited) == (0.9, 20)
