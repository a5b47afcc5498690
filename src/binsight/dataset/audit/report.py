"""An audit as one HTML file that needs nothing else: no script, no network, no other file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from binsight.dataset.audit.charts import class_counts_svg, shortcut_svg, told_table
from binsight.dataset.audit.findings import KINDS, SEVERITIES, Audit, Finding
from binsight.dataset.samples import Sample
from binsight.errors import BinsightError
from binsight.imaging import decode_image, read_photo
from binsight.imaging.storing import thumbnail_jpeg
from binsight.pages import data_uri, render_template
from binsight.progress import Progress, unheard

__all__ = ["render_report"]

_THUMBNAIL = 168  # pixels; shown at half of it on fine screens
_SHOWN = 60  # findings of a kind; more make the page heavy, and the JSON has all
_PHOTOS_SHOWN = 6  # of one finding


def render_report(audit: Audit, *, progress: Progress = unheard) -> str:
    """The report as HTML.

    Args:
        audit: what is reported.
        progress: called as photos are made small.

    Raises:
        MissingExtraError: the template engine is not installed.
    """
    sections = [(kind, audit.of_kind(kind)) for kind in audit.counts()]
    shown = {i for _, findings in sections for f in findings[:_SHOWN] for i in f.files[:_PHOTOS_SHOWN]}
    thumbnails = _thumbnails(audit, sorted(shown), progress)
    return render_template(
        "audit.html.j2",
        "dataset",
        extra="data",
        filters={},
        name=audit.dataset.root.name or str(audit.dataset.root),
        photos=len(audit.dataset),
        total=len(audit.findings),
        severities=[(s, sum(f.severity == s for f in audit.findings)) for s in SEVERITIES],
        sections=[_section(audit, kind, findings, thumbnails) for kind, findings in sections],
        counts_svg=class_counts_svg(_class_counts(audit)),
        chart=shortcut_svg(audit.shortcuts) if audit.shortcuts else None,
        told=told_table(audit.shortcuts) if audit.shortcuts else None,
        skipped=audit.skipped,
        settings=audit.settings,
    )


def _section(audit: Audit, kind: str, findings: list[Finding], thumbnails: dict[int, str]) -> dict[str, Any]:
    cards = [_card(audit, finding, thumbnails) for finding in findings[:_SHOWN]]
    return {
        "kind": kind,
        "title": KINDS[kind],
        "count": len(findings),
        "more": len(findings) - len(cards),
        "action": Counter(f.action for f in findings).most_common(1)[0][0],
        "cards": cards,
        "severities": sorted({f.severity for f in findings}),
    }


def _card(audit: Audit, finding: Finding, thumbnails: dict[int, str]) -> dict[str, Any]:
    samples = audit.dataset.samples
    photos = [
        {
            "path": samples[i].path,
            "class": samples[i].class_id,
            "split": samples[i].split,
            "thumbnail": thumbnails.get(i),
        }
        for i in finding.files[:_PHOTOS_SHOWN]
    ]
    return {
        "severity": finding.severity,
        "message": finding.message,
        "photos": photos,
        "more": len(finding.files) - len(photos),
        "suggested": finding.details.get("suggested"),
        "similarity": finding.details.get("similarity"),
    }


def _thumbnails(audit: Audit, positions: list[int], progress: Progress) -> dict[int, str]:
    """Data URIs of the photos that can be read."""
    found = {}
    for number, position in enumerate(positions, start=1):
        if uri := _thumbnail(audit.dataset.file(audit.dataset.samples[position])):
            found[position] = uri
        progress(number, len(positions))
    return found


def _thumbnail(path: Path) -> str | None:
    try:
        pixels = decode_image(read_photo(path), min_size=(_THUMBNAIL, _THUMBNAIL))
    except BinsightError:
        return None
    return data_uri(thumbnail_jpeg(pixels, _THUMBNAIL))


def _class_counts(audit: Audit) -> dict[str, dict[str, int]]:
    splits = [*audit.dataset.splits, None]
    counts = audit.dataset.counts()
    return {
        name: {split or "unsplit": counts[split, name] for split in splits if (split, name) in counts}
        for name in _with_photos(audit.dataset.classes, audit.dataset.samples)
    }


def _with_photos(classes: Iterable[str], samples: Iterable[Sample]) -> list[str]:
    present = {s.class_id for s in samples}
    return [name for name in classes if name in present]
