"""Bounds that an evaluation must keep, as in `accuracy=0.9`."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from binsight.errors import DatasetError
from binsight.evaluation.measures import ALIASES, known_names, measure_of
from binsight.probability.intervals import Interval

__all__ = ["Requirement", "Verdict", "check_requirements", "parse_requirement"]

_PATTERN = re.compile(r"\s*([^<>=\s]+)\s*(>=|<=|=)\s*(\S+)\s*")


@dataclass(frozen=True, slots=True)
class Requirement:
    """A bound on one figure.

    Attributes:
        name: of the figure, as in `binsight.evaluation.measures`.
        is_minimum: whether the value must be at least the bound; otherwise at most.
        bound: the bound.
    """

    name: str
    is_minimum: bool
    bound: float

    def named(self, name: str) -> Requirement:
        """The same bound on another figure."""
        return replace(self, name=name)

    def __str__(self) -> str:
        return f"{self.name} {'>=' if self.is_minimum else '<='} {self.bound:g}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a requirement is met.

    Attributes:
        requirement: which.
        value: of the figure; None when it was not measured.
        met: whether the value keeps the bound.
    """

    requirement: Requirement
    value: float | None
    met: bool

    def __str__(self) -> str:
        value = "not measured" if self.value is None else f"is {self.value:.4g}"
        return f"{self.requirement.name} {value}, required {str(self.requirement).partition(' ')[2]}"


def parse_requirement(text: str, classes: Sequence[str]) -> Requirement:
    """Read `name=bound`, `name>=bound` or `name<=bound`; with `=` the figure itself says which way is better.

    Args:
        text: as written.
        classes: the class ids of the model, for names such as `recall.metal_cans`.

    Raises:
        DatasetError: it is not of that form, or there is no such figure; the message says which come closest.
    """
    match = _PATTERN.fullmatch(text)
    if match is None:
        raise DatasetError(f"expected a requirement such as accuracy=0.9, got {text!r}")
    written, sign, number = match.groups()
    name = ALIASES.get(written.lower(), written)
    names = known_names(classes)
    if name not in names:
        near = difflib.get_close_matches(written.lower(), [*names, *ALIASES], n=2, cutoff=0.6)
        hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(names)}"
        raise DatasetError(f"no figure {written!r}; {hint}")
    try:
        bound = float(number)
    except ValueError:
        bound = math.nan
    if not math.isfinite(bound):
        raise DatasetError(f"{text!r}: expected a number after the sign, got {number!r}")
    return Requirement(name, sign == ">=" or (sign == "=" and measure_of(name).better == "higher"), bound)


def check_requirements(requirements: Sequence[Requirement], values: Mapping[str, Interval]) -> tuple[Verdict, ...]:
    """Whether each requirement is met; a figure that was not measured does not meet any."""
    return tuple(_check(requirement, values.get(requirement.name)) for requirement in requirements)


def _check(requirement: Requirement, found: Interval | None) -> Verdict:
    if found is None:
        return Verdict(requirement, None, met=False)
    value = found.value
    met = value >= requirement.bound if requirement.is_minimum else value <= requirement.bound
    return Verdict(requirement, value, met)
