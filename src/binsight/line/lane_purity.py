"""What lies in each lane, from the ledger: purity by pieces and by weight, target, non-target and non-recyclable."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import sqlalchemy as sa

from binsight.line.config import LineConfig
from binsight.line.ledger.reading import Count, Span, count_pieces
from binsight.line.purity import Purity, Stratum, estimate_purity, estimate_purity_by_weight
from binsight.line.records import FAIL_SAFE_LANE
from binsight.taxonomy import Taxonomy

__all__ = ["LanePurity", "lane_purities", "purity_alarms", "purity_of_counts"]


@dataclass(frozen=True)
class LanePurity:
    """What lies in one lane. Each share has an interval of its own; those but of `target` are computed when asked for.

    The three shares are those that regulators of sorting plants ask for: the material the lane is meant for; material
    that could be recycled, but not from here; material that cannot be recycled at all.

    Attributes:
        lane: its number; 0 is what stayed on the belt, whose target is what no lane takes.
        name: for people.
        categories: class ids that belong there.
        target: share of pieces that belong there: the lane's purity.
        purity_target: what the lane should reach; None where nothing is set.
        strata: what was found in it.
        elsewhere: class ids that could be recycled, but not from here.
        neither: what cannot be recycled.
        grams: mean weights, where they are given.
    """

    lane: int
    name: str
    categories: tuple[str, ...]
    target: Purity
    purity_target: float | None = None
    strata: Sequence[Stratum] = field(default=(), repr=False)
    elsewhere: Collection[str] = field(default=(), repr=False)
    neither: Collection[str] = field(default=(), repr=False)
    grams: Mapping[str, float] = field(default_factory=dict, repr=False)

    @cached_property
    def non_target(self) -> Purity:
        """Share of those that do not belong there, and could be recycled."""
        return estimate_purity(self.strata, self.elsewhere)

    @cached_property
    def non_recyclable(self) -> Purity:
        """Share of those that do not, and could not."""
        return estimate_purity(self.strata, self.neither)

    @cached_property
    def by_weight(self) -> Purity | None:
        """Share of the weight that belongs there; None where the weight of a category is not known."""
        heavy = {category for stratum in self.strata for category in stratum.found}
        if not self.grams or not heavy | set(self.categories) <= self.grams.keys():
            return None
        return estimate_purity_by_weight(self.strata, self.categories, self.grams)

    @property
    def missed(self) -> bool:
        """Whether the lane is surely less pure than it should be: even the interval's upper end is below its target."""
        return self.purity_target is not None and self.target.high < self.purity_target


def lane_purities(
    database: sa.Engine, line: str, since: dt.datetime, until: dt.datetime, config: LineConfig, taxonomy: Taxonomy
) -> dict[int, LanePurity]:
    """Purity of every lane, and of what stayed on the belt (lane 0), of the pieces seen in a time.

    A piece lies in the lane that it was confirmed for or, where the equipment confirms nothing, acknowledged for. It
    stayed on the belt when it was not commanded, refused, late or missed. Of `unknown` ones nobody knows: they are in
    no lane here. On a line that only looks, an accepted piece counts in the lane that its category would go to: how
    pure the lanes would be.
    """
    return purity_of_counts(count_pieces(database, Span(line, since, until)), config, taxonomy)


def purity_of_counts(counts: Iterable[Count], config: LineConfig, taxonomy: Taxonomy) -> dict[int, LanePurity]:
    """The same, of pieces that were counted by the hour already."""
    counts = list(counts)
    contents: dict[int, list[str]] = {FAIL_SAFE_LANE: [], **{lane.number: [] for lane in config.lanes}}
    for entry in taxonomy.classes:
        lane = config.lane_of(entry.id, entry.stream)
        contents[lane.number if lane else FAIL_SAFE_LANE].append(entry.id)
    streams = {entry.id: entry.stream for entry in taxonomy.classes}
    names = {lane.number: lane.name for lane in config.lanes} | {FAIL_SAFE_LANE: "stayed on the belt"}
    targets = {lane.number: lane.purity_target for lane in config.lanes}
    lost = {entry.id for entry in taxonomy.classes if entry.stream in config.audit.non_recyclable_streams}
    found = {}
    for number, categories in sorted(contents.items()):
        strata = _strata(count for count in counts if _lane_number(count, config, streams) == number)
        right = set(categories)
        elsewhere = set(taxonomy.ids) - right - lost
        # What is none of the classes counts as what cannot be recycled.
        neither = {category for stratum in strata for category in stratum.found} | lost
        found[number] = LanePurity(
            number,
            names[number],
            tuple(categories),
            target=estimate_purity(strata, right),
            purity_target=targets.get(number),
            strata=strata,
            elsewhere=elsewhere,
            neither=neither - right - elsewhere,
            grams=config.grams,
        )
    return found


def purity_alarms(purities: Mapping[int, LanePurity]) -> list[dict[str, Any]]:
    """For every lane with a target, what `Alarms.set` takes: on when even the interval's upper end is below it."""
    return [
        {"code": f"purity_lane_{number}", "active": found.missed, "detail": _sentence(found)}
        for number, found in purities.items()
        if found.purity_target is not None
    ]


def _lane_number(count: Count, config: LineConfig, streams: Mapping[str, str]) -> int | None:
    if count.reason != "look_only" or count.category is None or count.category not in streams:
        return count.reached
    lane = config.lane_of(count.category, streams[count.category])
    return lane.number if lane else FAIL_SAFE_LANE


def _sentence(found: LanePurity) -> str:
    target = found.target
    return (
        f"lane {found.lane}: purity {target.low:.1%} to {target.high:.1%} after {target.audited} audits,"
        f" wanted {found.purity_target:.1%}"
    )


def _strata(counts: Iterable[Count]) -> list[Stratum]:
    """By decision and hour, in order of time within one decision."""
    sizes: dict[tuple[str, dt.datetime], int] = {}
    found: dict[tuple[str, dt.datetime], dict[str, int]] = {}
    for count in counts:
        key = (count.decision or "", count.at.replace(minute=0, second=0, microsecond=0))
        sizes[key] = sizes.get(key, 0) + count.pieces
        if count.true_category is not None:
            categories = found.setdefault(key, {})
            categories[count.true_category] = categories.get(count.true_category, 0) + count.pieces
    return [Stratum(sizes[key], found.get(key, {}), key[0]) for key in sorted(sizes)]
