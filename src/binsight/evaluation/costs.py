"""What it costs when an item goes into the wrong stream.

The unit is one item of value lost: something recyclable that ends in landfill costs 1.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from binsight.errors import DatasetError
from binsight.text_files import read_text

__all__ = ["StreamCosts", "default_costs", "read_costs"]

# Batteries and cells set fire to trucks and presses; foreign matter spoils a batch of compost, which cannot be sorted
# again; food and film in the recycling soil paper and jam sorters.
_DEFAULT: dict[str, dict[str, float]] = {
    "e-waste": {"recycling": 10, "compost": 10, "landfill": 10},
    "recycling": {"compost": 5},
    "landfill": {"compost": 5, "recycling": 2},
    "compost": {"recycling": 2},
}
_DEFAULT_OTHER, _DEFAULT_REVIEW = 1.0, 0.2


@dataclass(frozen=True)
class StreamCosts:
    """The cost of each confusion of streams.

    Attributes:
        name: what the costs are called in a report.
        costs: true stream → stream it was sent to → cost.
        other: the cost of a confusion that is not in `costs`.
        review: the cost of having a person look at an item.
    """

    name: str
    costs: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    other: float = _DEFAULT_OTHER
    review: float = _DEFAULT_REVIEW

    def matrix(self, streams: Sequence[str]) -> NDArray[np.float64]:
        """The cost of sending what belongs to one stream (row) to another (column), `(s, s)`; 0 on the diagonal."""
        return np.array(
            [[0.0 if a == b else self.costs.get(a, {}).get(b, self.other) for b in streams] for a in streams]
        )


def default_costs() -> StreamCosts:
    """The costs of `docs/evaluation.md`, for the streams recycling, compost, e-waste and landfill."""
    return StreamCosts("default", _DEFAULT)


def read_costs(path: str | Path, *, streams: Sequence[str]) -> StreamCosts:
    """Costs from a TOML file: `other`, `review`, and a table `[costs.<true stream>]` with a cost for each other stream.

    Args:
        path: the file.
        streams: those of the taxonomy; others are refused, for they would never be used.

    Raises:
        InputError: the file cannot be read.
        DatasetError: it is not TOML, or no such costs; listing every fault.
    """
    path = Path(path)
    try:
        data = tomllib.loads(read_text(path))
    except (ValueError, RecursionError) as error:  # not TOML, nested too deep
        raise DatasetError(f"{path}: not valid TOML: {error}") from error
    if faults := _faults(data, streams):
        raise DatasetError(f"{path}: " + "; ".join(faults))
    costs = {true: {sent: float(cost) for sent, cost in row.items()} for true, row in data.get("costs", {}).items()}
    return StreamCosts(
        path.name, costs, float(data.get("other", _DEFAULT_OTHER)), float(data.get("review", _DEFAULT_REVIEW))
    )


def _faults(data: Mapping[str, Any], streams: Sequence[str]) -> list[str]:
    faults = [f"unknown key {key}; known are costs, other, review" for key in data if key not in _KEYS]
    faults += [f"{key}: {fault}" for key in ("other", "review") if key in data and (fault := _cost_fault(data[key]))]
    table = data.get("costs", {})
    if not isinstance(table, Mapping) or not all(isinstance(row, Mapping) for row in table.values()):
        return [*faults, "costs: expected a table for each true stream, as in [costs.recycling]"]
    named = dict.fromkeys([*table, *(sent for row in table.values() for sent in row)])
    faults += [f"no stream {name!r}; there are {', '.join(streams)}" for name in named if name not in streams]
    for true, row in table.items():
        faults += [f"costs.{true}.{sent}: {fault}" for sent, cost in row.items() if (fault := _cost_fault(cost))]
        if row.get(true):
            faults.append(f"costs.{true}.{true}: the right stream costs 0")
    return faults


_KEYS = ("costs", "other", "review")


def _cost_fault(value: object) -> str | None:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= 1e9:  # nor not-a-number
        return None
    return f"expected a number from 0 on, got {value!r}"
