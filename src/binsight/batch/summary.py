"""What came of many photos, in numbers that can be added up; a shard's are in the footer of its file."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from binsight.errors import BinsightError
from binsight.predictor.prediction import Prediction

__all__ = ["Summary", "plain_text"]

_COUNTERS = ("categories", "reviewed", "reasons", "errors")
_EXAMPLES = 3


@dataclass(slots=True)
class Summary:
    """Counts of photos.

    Attributes:
        photos: all of them.
        bytes: of the files that were read.
        reviewed: id of the category → photos sent to a person.
        strange: of those classified, unlike what the model knows, as `StreamCheck` counts them.
        categories: id → photos.
        reasons: why to review → photos.
        errors: code → photos.
        examples: code → the first photos, each with its message.
        began: when the first of them was begun, in seconds since 1970; infinite where there are none.
        ended: when the last was done.
        busy_s: seconds that workers spent on them, one beside the other or not.
    """

    photos: int = 0
    bytes: int = 0
    strange: int = 0
    categories: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    reviewed: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)
    began: float = float("inf")
    ended: float = 0.0
    busy_s: float = 0.0

    @property
    def failed(self) -> int:
        """Photos with an error in the place of a category."""
        return self.errors.total()

    @property
    def review(self) -> int:
        """Photos sent to a person."""
        return self.reviewed.total()

    def count(self, source: str, outcome: Prediction | BinsightError | None) -> None:
        """Add one photo: what it is, why that is not known, or nothing where it was not asked."""
        self.photos += 1
        if isinstance(outcome, BinsightError):
            self.errors[outcome.code] += 1
            self._keep(outcome.code, [f"{source}: {plain_text(str(outcome))}"])
            return
        if outcome is None:
            return
        self.categories[outcome.category] += 1
        if outcome.reason is not None:
            self.reviewed[outcome.category] += 1
            self.reasons[outcome.reason] += 1

    def _keep(self, code: str, examples: list[str]) -> None:
        kept = self.examples.setdefault(code, [])
        kept += examples[: _EXAMPLES - len(kept)]

    def add(self, other: Summary) -> None:
        """Add the photos of another."""
        for name in ("photos", "bytes", "strange", "busy_s"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in _COUNTERS:
            getattr(self, name).update(getattr(other, name))
        for code, examples in other.examples.items():
            self._keep(code, examples)
        self.began, self.ended = min(self.began, other.began), max(self.ended, other.ended)

    def to_json(self) -> str:
        """A form for the footer of a file."""
        return json.dumps({each.name: getattr(self, each.name) for each in fields(self)})

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Summary:
        """The numbers of `to_json`."""
        counters = {name: Counter(raw[name]) for name in _COUNTERS}
        return cls(**{**raw, **counters})


def plain_text(message: str) -> str:
    """A message in which names that are no text stand with escapes: neither Parquet nor JSON takes them."""
    return message.encode("utf-8", "backslashreplace").decode()
