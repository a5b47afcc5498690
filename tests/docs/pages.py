"""The pages of the documentation, and the blocks of code on them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "examples/README.md")] + sorted(
    (ROOT / "docs").rglob("*.md")
)
_FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_REASON = re.compile(r"<!-- not run: ([^>]+) -->\s*(?:<!-- [^>]+ -->\s*)?\Z")


@dataclass(frozen=True)
class Block:
    """A block of code: what it is written in, its text, its line on the page, and why it is not run, if it is not."""

    language: str
    text: str
    line: int
    reason: str | None


def blocks(page: Path) -> list[Block]:
    """Return the blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    found = []
    for fence in _FENCE.finditer(text):
        before = text[: fence.start()]
        reason = _REASON.search(before)
        found.append(Block(fence[1], fence[2], before.count("\n") + 1, reason[1] if reason else None))
    return found


def page_name(page: Path) -> str:
    """Return a page's path as people know it."""
    return page.relative_to(ROOT).as_posix()
