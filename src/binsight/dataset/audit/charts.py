"""The shortcut chart as inline SVG: bars with intervals, chance as a line, and recall by class as a heat map."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

__all__ = ["class_counts_svg", "shortcut_svg", "told_table"]

_ROW, _LABEL, _PLOT, _RIGHT, _TOP = 34, 130, 380, 70, 26


def shortcut_svg(shortcuts: Mapping[str, Any]) -> str:
    """Balanced accuracy of each group of properties, from 0 to 100 %, with 95 % intervals and chance."""
    groups: Mapping[str, Any] = shortcuts["groups"]
    height = _TOP + _ROW * len(groups) + 28
    chance = _LABEL + _PLOT * shortcuts["chance"]
    parts = [_open_svg(height, "How well the class can be told from what should not matter")]
    for percent in (0, 25, 50, 75, 100):
        x = _LABEL + _PLOT * percent / 100
        parts.append(f'<line class="grid" x1="{x}" x2="{x}" y1="{_TOP}" y2="{height - 28}"/>')
        parts.append(f'<text class="tick" x="{x}" y="{height - 10}" text-anchor="middle">{percent} %</text>')
    for row, (name, group) in enumerate(groups.items()):
        parts += _bar(name, group, _TOP + row * _ROW)
    parts.append(f'<line class="chance" x1="{chance:.1f}" x2="{chance:.1f}" y1="{_TOP - 6}" y2="{height - 28}"/>')
    parts.append(
        f'<text class="tick" x="{chance + 5:.1f}" y="{_TOP - 10}">chance {100 * shortcuts["chance"]:.3g} %</text></svg>'
    )
    return "".join(parts)


def _open_svg(height: int, label: str) -> str:
    box = f"0 0 {_LABEL + _PLOT + _RIGHT} {height}"
    return f'<svg viewBox="{box}" role="img" aria-label="{label}" xmlns="http://www.w3.org/2000/svg">'


def _bar(name: str, group: Mapping[str, Any], y: float) -> list[str]:
    width = _PLOT * group["balanced_accuracy"]
    low, high = _LABEL + _PLOT * group["low"], _LABEL + _PLOT * group["high"]
    middle = y + _ROW / 2
    strength = "strong" if group["gain"] >= 0.3 else "weak"
    return [
        f'<text class="label" x="{_LABEL - 10}" y="{middle + 4}" text-anchor="end">{escape(name)}</text>',
        f'<rect class="{strength}" x="{_LABEL}" y="{y + 8}" width="{width:.1f}" height="{_ROW - 16}" rx="3"/>',
        f'<line class="interval" x1="{low:.1f}" x2="{high:.1f}" y1="{middle}" y2="{middle}"/>',
        f'<text class="value" x="{high + 8:.1f}" y="{middle + 4}">{group["balanced_accuracy"]:.0%}</text>',
    ]


def told_table(shortcuts: Mapping[str, Any]) -> dict[str, Any]:
    """How clearly each group of properties tells each class, with the depth of colour of each cell in percent."""
    groups: Mapping[str, Any] = shortcuts["groups"]
    rows = []
    for name in next(iter(groups.values()))["told"] if groups else []:
        values = [groups[group]["told"][name] for group in groups]
        rows.append((name, [(f"{max(0, value):.0%}", round(75 * max(0, min(1, value)))) for value in values]))
    return {"columns": list(groups), "rows": rows}


def class_counts_svg(counts: Mapping[str, Mapping[str, int]]) -> str:
    """Photos per class, stacked by split."""
    splits = list(dict.fromkeys(split for row in counts.values() for split in row))
    most = max((sum(row.values()) for row in counts.values()), default=1)
    height = _TOP + 26 * len(counts)
    parts = [_open_svg(height, "Photos per class")]
    for number, split in enumerate(splits if len(splits) > 1 else []):
        left = _LABEL + 90 * number
        parts.append(f'<rect class="split{number % 4}" x="{left}" y="6" width="12" height="12" rx="2"/>')
        parts.append(f'<text class="tick" x="{left + 17}" y="16">{escape(split)}</text>')
    for row, (name, by_split) in enumerate(counts.items()):
        x, y = float(_LABEL), _TOP + 26 * row
        parts.append(f'<text class="label" x="{_LABEL - 10}" y="{y + 15}" text-anchor="end">{escape(name)}</text>')
        for number, split in enumerate(splits):
            width = _PLOT * by_split.get(split, 0) / most
            parts.append(f'<rect class="split{number % 4}" x="{x:.1f}" y="{y + 4}" width="{width:.1f}" height="16"/>')
            x += width
        parts.append(f'<text class="value" x="{x + 8:.1f}" y="{y + 16}">{sum(by_split.values()):,}</text>')
    return "".join(parts) + "</svg>"
