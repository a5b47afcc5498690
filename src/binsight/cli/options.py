"""Options that commands share, in groups in their help, and the names that options had before."""

from __future__ import annotations

import math
import os
import re
import shlex
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import click

from binsight.settings import Option as Setting

__all__ = [
    "BUNDLE",
    "DIRECTORY",
    "FILE",
    "FOLDER",
    "PLACE",
    "Command",
    "Group",
    "LocalPath",
    "NumberRange",
    "Option",
    "bundle_argument",
    "download_advice",
    "html_option",
    "json_option",
    "model_option",
    "option",
    "precision_option",
    "quiet_option",
    "seed_option",
    "setting_flag",
    "together",
    "workers_option",
]

_MODEL, _VARIABLE = "waste8", "BINSIGHT_MODEL"
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)

Decorator = Callable[[Any], Any]


class Option(click.Option):
    """An option in a group of the help, which also says what holds without it.

    Args:
        section: the group's title.
    """

    def __init__(self, *args: Any, section: str = "Options", **kwargs: Any) -> None:
        super().__init__(*args, **{"show_default": True, **kwargs})
        self.section = section


option = partial(click.option, cls=Option)


def together(*options: Decorator) -> Decorator:
    """Options and arguments that several commands have, as one decorator."""

    def add(function: Any) -> Any:
        for each in reversed(options):
            function = each(function)
        return function

    return add


class Command(click.Command):
    """A command whose help lists options in groups, and that knows what options were called before.

    Args:
        renamed: old name → new one; empty where the value has become an argument. Old names work, and a note says so.
    """

    def __init__(self, *args: Any, renamed: Mapping[str, str] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._renamed = renamed or {}

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments under today's names."""
        end = args.index("--") if "--" in args else len(args)
        current = [word for given in args[:end] for word in self._rename(ctx, given)]
        return super().parse_args(ctx, current + args[end:])

    def _rename(self, ctx: click.Context, given: str) -> list[str]:
        name, sign, value = given.partition("=")
        if name not in self._renamed:
            return [given]
        new = self._renamed[name]
        if not ctx.resilient_parsing:
            instead = f"is now called {new}" if new else f"is not needed: {ctx.command_path} BUNDLE"
            click.echo(f"note: {name} {instead}", err=True)
        return [f"{new}={value}" if new else value] if sign else [new] * bool(new)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The options by group, in the order in which the groups first come."""
        sections: dict[str, list[tuple[str, str]]] = {"Options": []}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx) if isinstance(parameter, click.Option) else None
            if record:
                sections.setdefault(getattr(parameter, "section", "Options"), []).append(record)
        for title, records in sections.items():
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)


class Group(click.Group):
    """A group of such commands."""

    command_class = Command


class NumberRange(click.FloatRange):
    """A range of numbers; unlike click's it refuses `nan`, which is in none."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number."""
        number = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value} is not in the range {self._describe_range()}.", param, ctx)
        return number


class LocalPath(click.Path):
    """A file or folder of this machine; an address such as `https://…` is refused, with what to do."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(path_type=Path, **kwargs)

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str | None:
        """As the help calls it."""
        return super().get_metavar(param, ctx) if self.file_okay else "DIR"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path."""
        if advice := download_advice(os.fsdecode(value)):
            self.fail(advice, param, ctx)
        return super().convert(value, param, ctx)


PLACE, FILE, FOLDER = LocalPath(), LocalPath(dir_okay=False), LocalPath(file_okay=False)


def download_advice(text: str, *, command: str = "curl -LO {}") -> str | None:
    """What to do about an address that stands where a file is wanted; None for what is none.

    Args:
        text: what the user wrote.
        command: what to type instead, with a place for the address.
    """
    if not _ADDRESS.match(text) or os.path.lexists(text):
        return None
    is_web = text.lower().startswith(("http://", "https://"))
    advice = command.format(shlex.quote(text)) if is_web else "bring it to this machine first"
    return f"expected a file or folder, got the address {text}; {'download it: ' if is_web else ''}{advice}"


class _BundleName(click.ParamType[str]):
    """A bundle's path or name. In the environment too it is taken whole, with all spaces and signs in it."""

    name = "bundle"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The text, unless it is an address."""
        if advice := download_advice(value):
            self.fail(advice, param, ctx)
        return value

    def split_envvar_value(self, rv: str) -> list[str]:
        """One bundle, whatever signs are in its path."""
        return [rv]


BUNDLE = _BundleName()


DIRECTORY = click.argument("directory", metavar="DIR", type=PLACE)


def setting_flag(setting: Setting, **options: Any) -> Option:
    """The flag of one of an audit's, a server's or a device's settings; `options` go before what it says of itself."""
    names = f"--{setting.flag}/--no-{setting.flag}" if setting.kind is bool else f"--{setting.flag}"
    described = {
        "type": _type_of(setting),
        "default": setting.default // setting.unit if setting.unit > 1 else setting.default,
        "metavar": setting.metavar,
        "section": setting.group,
        "help": setting.text,
    }
    return Option([names, setting.name], **described | options)


def _type_of(setting: Setting) -> Any:
    if setting.choices:
        return click.Choice(setting.choices)
    if setting.unit > 1:
        return float
    by_metavar = {"FILE": FILE, "DIR": FOLDER, "BUNDLE": BUNDLE, "[NAME=]BUNDLE": BUNDLE}
    return by_metavar.get(setting.metavar or "", setting.kind)


def model_option(text: str) -> Decorator:
    """`--model`, or `BINSIGHT_MODEL`: which bundle to use; `text` says for what."""
    return option("--model", type=BUNDLE, default=_MODEL, envvar=_VARIABLE, show_envvar=True, help=text)


def bundle_argument(name: str = "bundle", **options: Any) -> Decorator:
    """The argument BUNDLE; without it that of `BINSIGHT_MODEL`, without that the one in the package."""
    given = {"type": BUNDLE, "default": _MODEL, "envvar": _VARIABLE, "metavar": "[BUNDLE]", **options}
    if given.get("nargs") == -1:
        given["default"] = (given["default"],)
    return click.argument(name, **given)


def seed_option(text: str) -> Decorator:
    """`--seed`; `text` says of what."""
    return option("--seed", default=0, help=text)


def html_option(text: str = "Write a report of one HTML file.") -> Decorator:
    """`--html FILE`."""
    return option("--html", type=FILE, help=text)


def json_option(text: str = "Print JSON.") -> Decorator:
    """`--json`."""
    return option("--json", "as_json", is_flag=True, help=text)


def workers_option() -> Decorator:
    """`--workers`."""
    return option("--workers", type=click.IntRange(min=1), metavar="N", help="Cores to use.  [default: all]")


def precision_option() -> Decorator:
    """`--precision`."""
    return option(
        "--precision",
        type=click.Choice(["auto", "float", "int8"]),
        default="auto",
        help="Arithmetic of the network; auto measures which is faster here, where the bundle has model.int8.onnx.",
    )


def quiet_option(text: str = "No progress bar.") -> Decorator:
    """`-q`, `--quiet`."""
    return option("-q", "--quiet", is_flag=True, help=text)
