"""What `train` and `tune` have in common: a flag for every setting, and how they show what is going on."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from binsight.cli.text import markup, plain
from binsight.pipeline.presets import PRESETS, read_config_file, resolve_config
from binsight.pipeline.settings import Option

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from binsight.pipeline.config import TrainConfig

__all__ = ["ConsoleReporter", "SettingsCommand", "console_reporter", "resolve_settings", "setting_options"]

_PARAMETER = "setting_"


class SettingsCommand(click.Command):
    """A command with a flag for each of many settings; its help shows the usual ones, `--help-all` every one."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        show_all = click.Option(
            ["--help-all"], is_flag=True, expose_value=False, is_eager=True, help="Show every setting.",
            callback=_show_all,
        )  # fmt: skip
        self.params.append(show_all)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The command's own options, then the settings by section."""
        everything = bool(ctx.meta.get("binsight.help_all"))
        options = [p for p in self.get_params(ctx) if isinstance(p, click.Option)]
        own = [p.get_help_record(ctx) for p in options if not isinstance(p, _SettingOption)]
        with formatter.section("Options"):
            formatter.write_dl([record for record in own if record])
        sections: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.params:
            if isinstance(parameter, _SettingOption) and (everything or parameter.is_usual):
                record = parameter.get_help_record(ctx)
                if record:
                    sections.setdefault(parameter.setting.section, []).append(record)
        for name, records in sections.items():
            with formatter.section(f"Settings [{name}]" if name else "Settings"):
                formatter.write_dl(records)


class _SettingOption(click.Option):
    """The flag of one setting."""

    def __init__(self, setting: Option) -> None:
        names = f"--{setting.flag}/--no-{setting.flag}" if setting.kind is bool else f"--{setting.flag}"
        parameter = _PARAMETER + setting.flag.replace("-", "_")
        metavar = None if setting.kind is bool else _metavar(setting)
        super().__init__([names, parameter], default=None, help=_help(setting), metavar=metavar)
        self.setting = setting
        section = f"{setting.section}-" if setting.section else ""
        self.is_usual = not setting.flag.startswith(section.replace("_", "-")) or not section


def setting_options(options: Sequence[Option]) -> Callable[[click.Command], click.Command]:
    """Adds a flag for each of the settings to a command."""

    def add(command: click.Command) -> click.Command:
        command.params += [_SettingOption(option) for option in options]
        return command

    return add


def resolve_settings(config: Path | None, values: dict[str, Any]) -> TrainConfig:
    """Take the settings out of a command's parameters, and put them on top of the file's and the preset's.

    Raises:
        SettingsError: listing every fault.
        InputError: the file cannot be read.
    """
    flags: dict[str, str] = {}
    for name in [name for name in values if name.startswith(_PARAMETER)]:
        value = values.pop(name)
        if value is not None:
            flag = name.removeprefix(_PARAMETER).replace("_", "-")
            flags[flag] = ("yes" if value else "no") if isinstance(value, bool) else value
    return resolve_config(file=None if config is None else read_config_file(config), flags=flags)


class ConsoleReporter:
    """Tells on standard error what is being done: as a progress bar where a person looks on, as lines where not.

    Args:
        bar: the display; None for lines.
        quiet: say only what must be known.
    """

    def __init__(self, bar: Progress | None, *, quiet: bool) -> None:
        self._bar = bar
        self._quiet = quiet
        self._began = time.monotonic()
        self._task: TaskID | None = None

    def stage(self, name: str) -> Callable[[int, int], None]:
        """A new bar in the place of the last, or a line."""
        if self._bar is None:
            if not self._quiet:
                click.echo(f"[{time.monotonic() - self._began:5.0f} s] {plain(name)}", err=True)
            return lambda _done, _total: None
        if self._task is not None:
            self._bar.remove_task(self._task)
        task = self._task = self._bar.add_task(markup(name), total=None)
        return partial(self._update, task)

    def say(self, text: str) -> None:
        """A line of its own, above the bar."""
        if self._bar is None:
            click.echo(plain(text), err=True)
        else:
            self._bar.console.print(markup(text), soft_wrap=True)

    def _update(self, task: TaskID, done: int, total: int) -> None:
        if self._bar is not None and task == self._task:
            self._bar.update(task, completed=done, total=total)


@contextmanager
def console_reporter(*, quiet: bool) -> Iterator[ConsoleReporter]:
    """A reporter whose bar is taken away at the end of the block."""
    if quiet or not sys.stderr.isatty():
        yield ConsoleReporter(None, quiet=quiet)
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    console = Console(stderr=True, highlight=False, emoji=False)
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as bar:
        yield ConsoleReporter(bar, quiet=quiet)


def _show_all(ctx: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        ctx.meta["binsight.help_all"] = True
        click.echo(ctx.get_help())
        ctx.exit()


def _help(setting: Option) -> str:
    text = setting.text if setting.text.endswith("]") else f"{setting.text.rstrip('.')}."
    if setting.choices:
        text += f" One of: {', '.join(setting.choices)}."
    if setting.default is None:
        return text
    others = {
        preset: values[setting.section][setting.name]
        for preset, values in PRESETS.items()
        if setting.name in values.get(setting.section, {})
    }
    defaults = [_written(setting.default), *(f"{preset}: {_written(value)}" for preset, value in others.items())]
    return f"{text}  [default: {'; '.join(defaults)}]"


def _written(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return ",".join(map(_written, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _metavar(setting: Option) -> str:
    word = {int: "N", float: "X", str: "WORD"}[setting.kind]
    return f"{word},…" if setting.is_tuple else word
