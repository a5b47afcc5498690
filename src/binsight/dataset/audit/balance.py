"""Whether every class, and every class in every split, has photos enough."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from binsight.dataset.audit.findings import Finding
from binsight.dataset.audit.settings import AuditSettings
from binsight.dataset.samples import Dataset

__all__ = ["balance_findings"]


def balance_findings(dataset: Dataset, settings: AuditSettings) -> list[Finding]:
    """What is wrong with the numbers of photos."""
    return [*_missing(dataset), *_small(dataset, settings), *_uneven(dataset, settings)]


def _missing(dataset: Dataset) -> Iterator[Finding]:
    counts = dataset.counts()
    present = {s.class_id for s in dataset}
    for split in dataset.splits:
        if missing := [c for c in dataset.classes if c in present and (split, c) not in counts]:
            message = f"{split} has no {', '.join(missing)}"
            action = "split again: binsight data split keeps the proportions of the classes"
            yield Finding("missing_class", "warning", (), message, action, {"split": split, "classes": missing})


def _small(dataset: Dataset, settings: AuditSettings) -> Iterator[Finding]:
    counts = Counter(s.class_id for s in dataset)
    for name in dataset.classes:
        if counts[name] < settings.min_class_photos:
            message = f"{name} has {counts[name]} photos, fewer than {settings.min_class_photos}"
            action = "collect more, or join it with another class"
            yield Finding("small_class", "warning", (), message, action, {"class": name, "photos": counts[name]})


def _uneven(dataset: Dataset, settings: AuditSettings) -> Iterator[Finding]:
    counts = Counter(s.class_id for s in dataset)
    if len(counts) < 2:
        return
    (most, many), (least, few) = counts.most_common()[0], counts.most_common()[-1]
    if many > settings.max_imbalance * few:
        message = f"{most} has {many} photos, {many / few:.1f} times as many as {least} with {few}"
        action = "collect more of the rare classes; train with balanced classes and look at recall per class"
        yield Finding("class_imbalance", "info", (), message, action, {"ratio": round(many / few, 2)})
