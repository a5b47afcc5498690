"""Reports as one HTML file that needs nothing else: no script, no network, no other file."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from binsight import __version__
from binsight.errors import MissingExtraError

__all__ = ["data_uri", "printable", "render_template"]


def render_template(
    template: str, package: str, *, extra: str, filters: Mapping[str, Callable[..., Any]], **values: Any
) -> str:
    """A page of a part of binsight, in the frame that all reports have; texts are escaped, and made `printable`.

    Args:
        template: its name.
        package: the part, as `line`; its templates lie in a folder of that name.
        extra: what to install where the template engine is missing.
        filters: name → function for the template, besides jinja's own.
        values: what the template shows.

    Raises:
        MissingExtraError: the template engine is not installed.
    """
    if find_spec("jinja2") is None:
        raise MissingExtraError("an HTML report", extra)
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # noqa: PLC0415 - only pages need it

    root = Path(str(resources.files("binsight")))
    # The frame is read as a file: the code that it lies beside brings much along.
    folders = [root / package / "templates", root / "evaluation" / "templates"]
    environment = Environment(
        loader=FileSystemLoader(folders),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: printable(value) if type(value) is str else value,
    )
    environment.filters.update(filters)
    page = environment.get_template(template).render(version=__version__, **values)
    # A figure is not parted from its percent sign at the end of a line.
    return page.replace(" %", "&nbsp;%")


def printable(text: str) -> str:
    """Bytes that are no text, and characters that change the direction of writing, made visible."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def data_uri(picture: bytes, kind: str = "jpeg") -> str:
    """A picture as the address of an `img` in a page that needs no other file."""
    return f"data:image/{kind};base64," + base64.b64encode(picture).decode("ascii")
