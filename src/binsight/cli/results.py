"""Predictions as a person or a program wants them: table, JSON lines, CSV."""

from __future__ import annotations

import csv
import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from binsight.cli.text import markup, new_table, open_console, plain, sign
from binsight.errors import BinsightError
from binsight.predictor import Prediction

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["CsvWriter", "JsonWriter", "Result", "TableWriter", "Writer"]

_BAR_CELLS = 10
_WORDS = {"biodegradable": "yes", "non_biodegradable": "no", "unknown": "?"}
_REASONS = {
    "unfamiliar": "unlike the training photos",
    "low_confidence": "not sure",
    "heads_disagree": "contradictory",
    "new_camera": "new camera",
    "strange_camera": "strange camera",
}


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one photo: a prediction or an error."""

    source: str
    outcome: Prediction | BinsightError
    heatmap: str | None = None

    def to_dict(self, top: int | None) -> dict[str, Any]:
        """The JSON object of the design, `source` first."""
        if isinstance(self.outcome, BinsightError):
            return {"source": self.source, "error": {"code": self.outcome.code, "message": str(self.outcome)}}
        answer = {"source": self.source, **self.outcome.to_dict()}
        if top is not None:
            answer["top"] = [
                {"category": name, "confidence": answer["confidence_scores"][name]} for name, _ in self.outcome.top(top)
            ]
        if self.heatmap is not None:
            answer["heatmap"] = self.heatmap
        return answer


class Writer(Protocol):
    """Takes results one after another."""

    def add(self, result: Result) -> None:
        """Write or remember one result."""

    def close(self, elapsed_s: float) -> None:
        """Write what is still to be written, after `elapsed_s` seconds of work."""


class JsonWriter:
    """One JSON object per line, each as soon as it is known."""

    def __init__(self, top: int | None) -> None:
        self._top = top

    def add(self, result: Result) -> None:
        """Write one line."""
        sys.stdout.write(json.dumps(result.to_dict(self._top)) + "\n")
        sys.stdout.flush()

    def close(self, elapsed_s: float) -> None:
        """Nothing is left to write."""


class CsvWriter:
    """A header, then one row per photo, each as soon as it is known."""

    def __init__(self, class_ids: Sequence[str], top: int | None) -> None:
        ranks = range(1, min(top or 0, len(class_ids)) + 1)
        self._top = top
        columns = [
            "source",
            "predicted_category",
            "biodegradability",
            "confidence",
            "biodegradable_probability",
            "decision",
            "reason",
            "stream",
            *(f"score_{name}" for name in class_ids),
            *(f"top{rank}_{what}" for rank in ranks for what in ("category", "confidence")),
            "error_code",
            "error_message",
        ]
        self._writer = csv.DictWriter(sys.stdout, columns, restval="", extrasaction="ignore", lineterminator="\n")
        self._writer.writeheader()

    def add(self, result: Result) -> None:
        """Write one row."""
        answer = result.to_dict(self._top)
        row = {
            **answer,
            **{f"score_{name}": score for name, score in answer.get("confidence_scores", {}).items()},
            **{f"error_{key}": value for key, value in answer.get("error", {}).items()},
        }
        for rank, entry in enumerate(answer.get("top", []), start=1):
            row |= {f"top{rank}_{key}": value for key, value in entry.items()}
        self._writer.writerow(row)
        sys.stdout.flush()

    def close(self, elapsed_s: float) -> None:
        """Nothing is left to write."""


class TableWriter:
    """A table when all is known, and a line that sums it up."""

    def __init__(self, titles: dict[str, str], top: int | None) -> None:
        self._titles = titles
        self._top = top or 1
        self._results: list[Result] = []

    def add(self, result: Result) -> None:
        """Remember one result."""
        self._results.append(result)

    def close(self, elapsed_s: float) -> None:
        """Print the table."""
        console = open_console()
        console.print(self._table())
        predictions = [r.outcome for r in self._results if isinstance(r.outcome, Prediction)]
        if len(self._results) == 1 and predictions:
            console.print(plain(_sentence(predictions[0])), markup=False)
        else:
            console.print(_summary(predictions, len(self._results) - len(predictions), elapsed_s), markup=False)

    def _table(self) -> Table:
        table = new_table("Photo", "Category", "Biodegradable", "Confidence", "Stream", "Decision")
        for result in self._results:
            source, found = markup(result.source), result.outcome
            if isinstance(found, BinsightError):
                table.add_row(source, f"[red]error: {markup(found.code)}[/]", "", "", "", markup(str(found)))
                continue
            table.add_row(source, *self._cells(found))
            for name, confidence in found.top(self._top)[1:]:
                table.add_row("", markup(self._titles[name]), "", _bar(confidence), style="dim")
        return table

    def _cells(self, prediction: Prediction) -> list[str]:
        reason = _REASONS.get(prediction.reason or "", "")
        return [
            f"[bold]{markup(self._titles[prediction.category])}[/]",
            _WORDS[prediction.biodegradability],
            _bar(prediction.confidence),
            markup(prediction.stream),
            "[green]accept[/]" if prediction.decision == "accept" else f"[yellow]review[/] ({reason})",
        ]


def _bar(share: float) -> str:
    filled = round(share * _BAR_CELLS)
    return f"{sign('█') * filled}[dim]{sign('░') * (_BAR_CELLS - filled)}[/] {share:6.1%}"


def _sentence(prediction: Prediction) -> str:
    if prediction.decision == "review":
        return f"Not sure enough ({_REASONS.get(prediction.reason or '', '')}): have a person look at it."
    return prediction.advice


def _summary(predictions: Sequence[Prediction], errors: int, elapsed_s: float) -> str:
    counts = Counter(prediction.category for prediction in predictions)
    total = len(predictions) + errors
    rate = f" ({total / elapsed_s:,.0f} a second)" if predictions and elapsed_s > 0 else ""
    parts = [f"{total:,} {'photo' if total == 1 else 'photos'} in {elapsed_s:.1f} s{rate}"]
    if counts:
        parts.append(", ".join(f"{count:,} {name}" for name, count in counts.most_common()))
    parts.append(f"{sum(p.decision == 'review' for p in predictions):,} to review")
    if errors:
        parts.append(f"{errors:,} could not be read")
    return "; ".join(parts) + "."
