"""For mkdocs: links from a page to files outside `docs/` lead to the repository."""

from __future__ import annotations

import re
from typing import Any

_OUTSIDE = re.compile(r"\]\(\.\./(?!\.\.)([^)#\s]+)(#[^)\s]+)?\)")


def on_page_markdown(markdown: str, *, page: Any, config: Any, **_: Any) -> str:
    """Return the page with such links rewritten; links among the pages stay as they are."""
    if "/" in page.file.src_uri:  # from a folder of `docs/`, `../` is `docs/` itself
        return markdown
    return _OUTSIDE.sub(rf"]({config.repo_url}/blob/main/\1\2)", markdown)
