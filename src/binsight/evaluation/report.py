"""An evaluation as one HTML file."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from binsight.evaluation.measures import CROSS_FITTED, Measure, measure_of
from binsight.evaluation.mistakes import Mistake
from binsight.evaluation.page import format_interval, format_value, percent, render_page, require_libraries
from binsight.evaluation.pictures import Pictures
from binsight.evaluation.requirements import Verdict
from binsight.evaluation.results import Evaluation
from binsight.evaluation.robustness import Robustness, RobustnessCell
from binsight.evaluation.selective import OperatingPoint
from binsight.files import write_whole
from binsight.pages import data_uri
from binsight.taxonomy import Taxonomy

__all__ = ["mistake_card", "render_report", "write_report"]

_TILES = ("accuracy", "macro_f1", "calibration_error", "accepted_share", "accepted_accuracy", "unknown_reviewed_share",
          "robust_accuracy", "engine_ms", "model_mb")  # fmt: skip
_FIGURES = ("accuracy", "balanced_accuracy", "macro_f1", "top2_accuracy", "stream_accuracy", "stream_cost",
            "stream_cost_with_review", "calibration_error", "adaptive_calibration_error",
            "calibration_error_cross_fitted", "brier_score", "log_loss", "aurc", "accepted_share",
            "accepted_share_cross_fitted", "accepted_accuracy", "accepted_accuracy_cross_fitted",
            "unknown_reviewed_share", "unknown_auroc", "unknown_auroc_confidence")  # fmt: skip
_BIODEGRADABLE = ("biodegradable_accuracy", "biodegradable_sum_accuracy", "biodegradable_head_accuracy")


def write_report(
    evaluation: Evaluation, path: str | Path, *, verdicts: Sequence[Verdict] = (), group_by: str = "group"
) -> None:
    """Write the report to `path`, whole or not at all; an existing file is replaced.

    Args:
        evaluation: what is reported.
        path: the HTML file.
        verdicts: on what was required.
        group_by: what the groups are, such as `source`.

    Raises:
        OutputError: it cannot be written.
        MissingExtraError: the template engine or the plotting library is not installed.
    """
    write_whole(path, render_report(evaluation, verdicts=verdicts, group_by=group_by))


def render_report(evaluation: Evaluation, *, verdicts: Sequence[Verdict] = (), group_by: str = "group") -> str:
    """The report as HTML; the parameters are those of `write_report`."""
    require_libraries()
    titles = [c.title for c in evaluation.taxonomy.classes]
    pictured = [m for m in evaluation.mistakes if m.pictures is not None]
    return render_page(
        "evaluation.html.j2",
        name=f"{evaluation.model.name} {evaluation.model.version}",
        created=evaluation.model.created,
        split=evaluation.split,
        photos=evaluation.photos,
        unreadable=evaluation.unreadable,
        overlap="" if evaluation.overlap is None else evaluation.overlap.describe(),
        tiles=_rows(evaluation, _fair(evaluation, _TILES)),
        figures=_rows(evaluation, _FIGURES),
        verdicts=verdicts,
        classes=_classes(evaluation),
        titles=titles,
        missing=[t for t, row in zip(titles, evaluation.confusion, strict=True) if not sum(row)],
        groups=evaluation.groups,
        group_by=group_by,
        confusion=_counts(titles, evaluation.confusion),
        calibration=_calibration(evaluation),
        review=_review(evaluation),
        biodegradable=_biodegradable(evaluation),
        streams=_streams(evaluation),
        unknown=_unknown(evaluation),
        robustness=None if evaluation.robustness is None else _robustness(evaluation.robustness),
        speed=_speed(evaluation),
        mistakes=[mistake_card(m, evaluation.taxonomy) for m in pictured],
        mistake_count=len(evaluation.mistakes),
        settings=evaluation.settings,
    )


def mistake_card(mistake: Mistake, taxonomy: Taxonomy) -> dict[str, Any]:
    """What the template shows of a mistake."""
    title = {c.id: c.title for c in taxonomy.classes}
    shown = {mistake.label, mistake.predicted}
    return {
        **_pictures(mistake.pictures),
        "path": mistake.path,
        "label": title[mistake.label],
        "predicted": title[mistake.predicted],
        "confidence": mistake.confidence,
        "label_probability": mistake.label_probability,
        "decision": mistake.decision,
        "reason": mistake.reason,
        "others": [(title[name], share) for name, share in mistake.top if name not in shown and share >= 0.01],
        "neighbours": [],
    }


def _fair(evaluation: Evaluation, names: Sequence[str]) -> list[str]:
    """The names of the figures to judge by: cross-fitted ones, where the model was calibrated on these photos."""
    if evaluation.overlap is None or not evaluation.overlap.calibrated:
        return list(names)
    return [CROSS_FITTED.get(n, n) if CROSS_FITTED.get(n, n) in evaluation.values else n for n in names]


def _rows(evaluation: Evaluation, names: Sequence[str]) -> list[dict[str, str]]:
    return [_row(measure_of(n), evaluation) for n in names if n in evaluation.values]


def _row(measure: Measure, evaluation: Evaluation) -> dict[str, str]:
    found = evaluation.values[measure.name]
    value, bounds = format_value(measure, found.value), format_interval(measure, found)
    return {"title": measure.title, "meaning": measure.meaning, "value": value, "range": bounds}


def _classes(evaluation: Evaluation) -> list[dict[str, Any]]:
    rows = []
    for c, counts in zip(evaluation.taxonomy.classes, evaluation.confusion, strict=True):
        cells = []
        for kind in ("recall", "precision", "f1"):
            name = f"{kind}.{c.id}"
            known = name in evaluation.values
            cells.append(_row(measure_of(name), evaluation) if known else {"value": "-", "range": ""})
        rows.append({"title": c.title, "photos": f"{sum(counts):,}", "cells": cells})
    return rows


def _counts(titles: Sequence[str], matrix: Sequence[Sequence[int]]) -> list[tuple[str, list[dict[str, Any]]]]:
    """Rows of counts with the depth of their colour: right ones by recall, confusions the more for being frequent."""
    wrong = max((n for r, row in enumerate(matrix) for c, n in enumerate(row) if r != c), default=0)
    rows = []
    for r, (title, row) in enumerate(zip(titles, matrix, strict=True)):
        total = max(1, sum(row))
        depths = [0.1 + 0.35 * n / total if c == r else 0.15 + 0.3 * n / max(1, wrong) for c, n in enumerate(row)]
        cells = [
            {"count": n, "right": c == r, "depth": f"{depth:.2f}"}
            for c, (n, depth) in enumerate(zip(row, depths, strict=True))
        ]
        rows.append((title, cells))
    return rows


def _calibration(evaluation: Evaluation) -> dict[str, Any]:
    from binsight.evaluation.charts import draw_reliability  # noqa: PLC0415 - matplotlib, only for the report
    from binsight.evaluation.svg import inline_svg  # noqa: PLC0415

    found, value = evaluation.calibration, evaluation.values["calibration_error"].value
    within = "no more than chance" if value <= found.expected.high else "more than chance"
    return {
        "verdict": (
            f"Confidence and accuracy differ by {100 * value:.2g} points on average. That is {within}: a perfect model "
            f"would show {100 * found.expected.low:.2g} to {100 * found.expected.high:.2g} points on so many photos."
        ),
        "chart": inline_svg(
            draw_reliability(found.bins), name="reliability", label="Accuracy against confidence, and photos for each"
        ),
        "temperature": found.temperature,
        "fitted_temperature": found.fitted_temperature,
    }


def _review(evaluation: Evaluation) -> dict[str, Any]:
    from binsight.evaluation.charts import draw_risk_coverage  # noqa: PLC0415
    from binsight.evaluation.svg import inline_svg  # noqa: PLC0415

    review = evaluation.review
    columns = zip(review.thresholds, review.overall.thresholds, strict=True)
    same, crossed = review.overall.on_same_photos, review.overall.cross_fitted
    return {
        "verdict": f"The bundle accepts {_point(review.point)}.",
        "reasons": list(review.point.reasons.items()),
        "target": review.overall.target_precision,
        "shown": review.overall.shown_precision,
        "chart": inline_svg(
            draw_risk_coverage(review), name="risk", label="Share of wrong ones among the accepted, by share accepted"
        ),
        "rows": [
            {"title": c.title, "cells": cells} for c, cells in zip(evaluation.taxonomy.classes, columns, strict=True)
        ],
        "outcomes": [
            {"title": "accepted", "cells": [percent(p.coverage) for p in (review.point, same)]},
            {"title": "of these right", "cells": [percent(1 - p.risk) for p in (review.point, same)]},
            {"title": "accepted, on other photos", "cells": [None, percent(crossed.coverage)]},
            {"title": "of these right, on other photos", "cells": [None, percent(1 - crossed.risk)]},
        ],
    }


def _point(point: OperatingPoint) -> str:
    if math.isnan(point.risk):
        return "nothing: everything goes to review"
    return f"{percent(point.coverage)} of the photos, and {percent(1 - point.risk)} of those are right"


def _biodegradable(evaluation: Evaluation) -> dict[str, Any] | None:
    rows = _rows(evaluation, _BIODEGRADABLE)
    if not rows:
        return None
    found = evaluation.biodegradable
    if found is None:
        return {"verdict": "This model has no second head.", "rows": rows}
    test = found.test
    counts = f"only the head is right on {test.only_first} photos, only the sum on {test.only_second}"
    p = f"McNemar's exact test, p = {test.p_value:.2g}"
    verdict = {
        "head": f"The second head is better than the sum over the classes: {counts} ({p}).",
        "sum": f"The sum over the classes is better than the second head: {counts} ({p}).",
        "neither": f"Neither way is better beyond chance: {counts} ({p}).",
    }
    return {"verdict": verdict[found.better], "rows": rows}


def _streams(evaluation: Evaluation) -> dict[str, Any]:
    streams, values = evaluation.streams, evaluation.values
    return {
        "verdict": (
            f"{percent(values['stream_accuracy'].value)} go to the right stream. An item costs "
            f"{values['stream_cost'].value:.3g} on average when nothing is reviewed, "
            f"{values['stream_cost_with_review'].value:.3g} with review."
        ),
        "names": streams.names,
        "rows": _counts(streams.names, streams.confusion),
        "costs": list(zip(streams.names, streams.costs, strict=True)),
        "costs_name": streams.costs_name,
        "review_cost": streams.review_cost,
    }


def _unknown(evaluation: Evaluation) -> dict[str, Any] | None:
    from binsight.evaluation.charts import draw_unknown  # noqa: PLC0415
    from binsight.evaluation.svg import inline_svg  # noqa: PLC0415

    found, values = evaluation.unknown, evaluation.values
    if found is None:
        return None
    title = {c.id: c.title for c in evaluation.taxonomy.classes}
    area = values.get("unknown_auroc", values["unknown_auroc_confidence"]).value
    shown = [a for a in found.accepted if a.pictures is not None]
    return {
        "verdict": (
            f"Of {found.photos:,} photos of none of the classes, {percent(values['unknown_reviewed_share'].value)} are "
            f"sent to review. Their {found.measure} tells them apart with an AUROC of {area:.3f}; by the confidence "
            f"alone it is {values['unknown_auroc_confidence'].value:.3f}."
        ),
        "chart": inline_svg(draw_unknown(found), name="unknown", label=f"How the photos differ in {found.measure}"),
        "count": len(found.accepted),
        "accepted": [
            {**_pictures(a.pictures), "path": a.path, "predicted": title[a.predicted], "confidence": a.confidence}
            for a in shown
        ],
        "unreadable": found.unreadable,
    }


def _robustness(found: Robustness) -> dict[str, Any]:
    which = f"on {found.photos:,} of the {found.of:,} photos" if found.photos < found.of else "on all photos"
    clean = found.clean.accuracy.value
    rows = [{"title": r.title, "cells": [_degraded(cell, clean) for cell in r.cells]} for r in found.rows]
    return {
        "verdict": (
            f"{percent(found.mean_accuracy)} on average over all kinds and strengths, {percent(clean)} as they are; "
            f"measured {which}, of each class its share."
        ),
        "rows": rows,
    }


def _degraded(cell: RobustnessCell, clean: float) -> dict[str, str]:
    lost = max(0.0, clean - cell.accuracy.value)
    return {
        "strength": cell.strength,
        "accuracy": percent(cell.accuracy.value),
        "range": f"{percent(cell.accuracy.low).removesuffix(' %')} to {percent(cell.accuracy.high)}",
        "accepted": f"accepted {percent(cell.accepted_share)}, right {percent(cell.accepted_accuracy)}",
        "depth": f"{min(0.45, 1.2 * lost):.2f}",
    }


def _speed(evaluation: Evaluation) -> list[tuple[str, str]]:
    speed = evaluation.speed
    cores = "1 core" if speed.cores == 1 else f"{speed.cores} cores"
    engine = f"{speed.engine_ms:.1f} ms; 95 % within {speed.engine_p95_ms:.1f} ms"
    return [
        ("Decode and fit one photo, median", f"{speed.decode_ms:.1f} ms"),
        ("Run the network, median", engine),
        ("The fastest run", f"{speed.engine_fastest_ms:.1f} ms"),
        ("Measured on", f"{speed.photos} photos, one at a time, {cores}; other work on the machine makes it slower"),
        ("Network's file", f"{speed.model_bytes / 1e6:.1f} MB"),
        ("Whole bundle", f"{speed.bundle_bytes / 1e6:.1f} MB"),
    ]


def _pictures(pictures: Pictures | None) -> dict[str, str | None]:
    if pictures is None:
        return {"photo": None, "heatmap": None}
    return {"photo": data_uri(pictures.photo), "heatmap": data_uri(pictures.heatmap)}
