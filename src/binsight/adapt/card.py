"""The model card of a bundle that was taught a camera: what is new, above what was said of it before."""

from __future__ import annotations

from binsight.adapt.result import Adaptation
from binsight.probability.intervals import Interval

__all__ = ["adapted_card", "as_share"]


def adapted_card(before: str, result: Adaptation) -> str:
    """The card, Markdown.

    Args:
        before: the card of the bundle that was taught.
        result: what came of it.
    """
    manifest = result.manifest
    lesson = manifest.training["adapted"][-1]
    old = lesson["from"]
    rows = [
        f"| {c.name}{' (new)' if c.is_new else ''} | {c.photos} | {c.distinct} | {c.right} |" for c in result.classes
    ]
    wishes = [f"- {wish}" for wish in result.wishes]
    review = manifest.review
    return "\n".join([
        f"# Model card: {manifest.name} {manifest.version}",
        "",
        f"{old['name']} {old['version']}, taught one camera by `binsight adapt` on {manifest.created}. Everything below the",
        "line was written of the model before, and its figures are those of that model.",
        "",
        "| class | photos | different ones | right when left out |",
        "|---|---|---|---|",
        *rows,
        "",
        "Each photo was judged by heads, and its acceptance by thresholds, that were fitted on others, copies among "
        "neither; 95 % intervals:",
        "",
        f"- right on this camera: {as_share(result.accuracy)}, before {as_share(result.accuracy_before)}",
        f"- accepted without review: {as_share(result.accepted)}; right among the accepted: {as_share(result.accepted_right)}",
        f"- right on {len(result.manifest.metrics) and manifest.metrics['known'].photos} photos kept from its training: "
        f"{as_share(result.known)}, before {as_share(result.known_before)}",
        f"- a photo is accepted from a confidence of {max(review.confidence):.3f} on",
        *(["", "It would need more of:", "", *wishes] if wishes else []),
        "",
        "On other cameras expect what the old model did, or less.",
        "",
        "---",
        "",
        before,
    ])  # fmt: skip


def as_share(interval: Interval) -> str:
    """A share with its interval, for people."""
    if interval.value != interval.value:
        return "none"
    return f"{interval.value:.1%} ({interval.low:.1%} to {interval.high:.1%})"
