"""What an audit found, in a form that people, reports and other commands can use. Specified in `docs/audit.md`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from binsight.dataset.duplicates import DuplicatePair
from binsight.dataset.samples import Dataset, Sample

__all__ = ["BLOCKING_KINDS", "KINDS", "SEVERITIES", "Audit", "Finding", "Severity", "Skipped"]

Severity = Literal["error", "warning", "info"]
SEVERITIES: Final[tuple[Severity, ...]] = ("error", "warning", "info")

KINDS: Final[Mapping[str, str]] = {
    "leakage": "Copies on both sides of a split",
    "label_conflict": "Copies with different labels",
    "unreadable": "Unreadable",
    "truncated": "Truncated",
    "damaged": "Damaged",
    "label_error": "Probably a wrong label",
    "exact_duplicate": "Exact copies",
    "near_duplicate": "Altered copies",
    "shortcut": "Shortcut",
    "missing_class": "Class missing from a split",
    "class_imbalance": "Uneven classes",
    "small_class": "Few photos",
    "outlier": "Unlike all others",
    "wrong_extension": "Wrong extension",
    "animated": "Animated",
    "tiny": "Tiny",
    "extreme_aspect": "Extreme proportions",
    "blank": "Blank",
    "dark": "Dark",
    "overexposed": "Overexposed",
    "blurred": "Blurred",
}
"""Every kind of finding, the most pressing first, with its title."""

BLOCKING_KINDS: Final = ("leakage", "label_conflict")
"""What makes `binsight data audit` exit with 1 unless told otherwise."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, or may be.

    Attributes:
        kind: one of `KINDS`.
        severity: `error` spoils the training or its evaluation, `warning` probably does, `info` is worth a look.
        files: positions of the samples concerned; empty where it is the data set as a whole.
        message: what was found, in one sentence.
        action: what to do about it.
        details: numbers behind it; their keys depend on the kind.
    """

    kind: str
    severity: Severity
    files: tuple[int, ...]
    message: str
    action: str
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Skipped:
    """A check that was not made, and why."""

    check: str
    reason: str


@dataclass(frozen=True)
class Audit:
    """The result of auditing a data set.

    Attributes:
        dataset: what was audited.
        findings: the most pressing kinds first.
        pairs: all copies; `group` joins them.
        groups: for each sample the number of its duplicate group.
        shortcuts: how well the class can be told from what should not matter; empty where it was not checked.
        skipped: checks that were not made.
        settings: the thresholds used.
    """

    dataset: Dataset
    findings: tuple[Finding, ...]
    pairs: tuple[DuplicatePair, ...]
    groups: tuple[int, ...]
    shortcuts: Mapping[str, Any] = field(default_factory=dict)
    skipped: tuple[Skipped, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)

    def counts(self) -> dict[str, int]:
        """How many findings of each kind there are, in the order of `KINDS`."""
        found = Counter(finding.kind for finding in self.findings)
        return {kind: found[kind] for kind in KINDS if kind in found}

    def of_kind(self, *kinds: str) -> list[Finding]:
        """The findings of these kinds."""
        return [finding for finding in self.findings if finding.kind in kinds]

    def to_dict(self) -> dict[str, Any]:
        """The JSON form, format 1, of `docs/audit.md`."""
        samples = self.dataset.samples
        return {
            "format": 1,
            "root": str(self.dataset.root),
            "photos": len(samples),
            "classes": dict(Counter(s.class_id for s in samples)),
            "splits": dict(Counter(s.split for s in samples if s.split is not None)),
            "counts": self.counts(),
            "findings": [_finding_dict(finding, samples) for finding in self.findings],
            "duplicate_groups": self._group_dicts(),
            "shortcuts": dict(self.shortcuts),
            "skipped": [{"check": s.check, "reason": s.reason} for s in self.skipped],
            "settings": dict(self.settings),
        }

    def _group_dicts(self) -> list[dict[str, Any]]:
        samples = self.dataset.samples
        pairs: dict[int, list[DuplicatePair]] = {}
        for pair in self.pairs:
            pairs.setdefault(self.groups[pair.first], []).append(pair)
        return [
            {
                "files": [_file_dict(samples[i]) for i in group_members(some)],
                "pairs": [
                    {
                        "first": samples[pair.first].path,
                        "second": samples[pair.second].path,
                        "kind": pair.kind,
                        "similarity": pair.similarity,
                        "orientation": pair.orientation,
                    }
                    for pair in some
                ],
            }
            for some in pairs.values()
        ]


def group_members(pairs: Sequence[DuplicatePair]) -> tuple[int, ...]:
    """The positions that occur in `pairs`, ascending."""
    return tuple(sorted({position for pair in pairs for position in (pair.first, pair.second)}))


def _finding_dict(finding: Finding, samples: Sequence[Sample]) -> dict[str, Any]:
    return {
        "kind": finding.kind,
        "severity": finding.severity,
        "files": [_file_dict(samples[i]) for i in finding.files],
        "message": finding.message,
        "action": finding.action,
        "details": dict(finding.details),
    }


def _file_dict(sample: Sample) -> dict[str, str | None]:
    return {"path": sample.path, "class": sample.class_id, "split": sample.split}
