"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

__all__ = ["model_option"]


def model_option(text: str) -> Callable[[Any], Any]:
    """`--model`, or `BINSIGHT_MODEL`: which bundle to use; `text` says for what."""
    return click.option(
        "--model",
        default="waste8",
        show_default=True,
        envvar="BINSIGHT_MODEL",
        show_envvar=True,
        metavar="BUNDLE",
        help=text,
    )
