"""The model card of a bundle that was taught a camera: what is new, above what was said of it before."""

from __future__ import annotations

import math
from string import Template

from binsight.adapt.result import Adaptation, Lesson
from binsight.probability.intervals import Interval

__all__ = ["adapted_card", "as_share"]

_TEMPLATE = Template("""\
# Model card: $name $version

$old, taught $told on $created. What stands below the line was written of the model before,
and its figures are those of that model.

| class | photos | different ones | right when left out; of not-waste, reviewed | before |
|---|---|---|---|---|
$classes

Each photo was judged by heads, and its acceptance by thresholds, that were fitted on others, copies among neither. With
95 % intervals:

- right on $shown: $right, before $right_before
- accepted without review: $accepted, before $accepted_before
- right among the accepted: $accepted_right, before $accepted_right_before
- right on $photos photos kept from the training: $known, before $known_before
- accepted from a confidence of $threshold on
$wishes
On other cameras expect what the model did before, or less.

---

$before""")


def adapted_card(before: str, result: Adaptation, lesson: Lesson) -> str:
    """The card, Markdown.

    Args:
        before: the card of the bundle that was taught.
        result: what came of it.
        lesson: what was taught.
    """
    manifest = result.manifest
    old = manifest.training["adapted"][-1]["from"]
    rows = [
        f"| {c.name}{' (new)' if c.is_new else ''} | {c.photos} | {c.distinct} | {c.right} | {c.right_before} |"
        for c in result.classes
    ]
    wishes = "".join(f"- {wish}\n" for wish in result.wishes)
    return _TEMPLATE.substitute(
        name=manifest.name,
        version=manifest.version,
        told=lesson.told,
        shown=lesson.photos,
        old=f"{old['name']} {old['version']}",
        created=manifest.created,
        classes="\n".join(rows),
        right=as_share(result.accuracy),
        right_before=as_share(result.accuracy_before),
        accepted=as_share(result.accepted),
        accepted_before=as_share(result.accepted_before),
        accepted_right=as_share(result.accepted_right),
        accepted_right_before=as_share(result.accepted_right_before),
        photos=manifest.metrics["known"].photos,
        known=as_share(result.known),
        known_before=as_share(result.known_before),
        threshold=f"{max(manifest.review.confidence):.3f}",
        wishes=f"\nIt would need more of:\n\n{wishes}" if wishes else "",
        before=_without_front_matter(before),
    )


def _without_front_matter(card: str) -> str:
    """A card without the YAML before it, whose figures are those of the old model."""
    if not card.startswith("---\n"):
        return card
    return card.partition("\n---\n")[2].lstrip("\n") or card


def as_share(interval: Interval) -> str:
    """A share with its interval, for people."""
    if math.isnan(interval.value):
        return "none"
    return f"{interval.value:.1%} ({interval.low:.1%} to {interval.high:.1%})"
