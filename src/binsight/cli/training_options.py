"""What `train` and `tune` have in common: a flag for every setting."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from binsight.cli.app import EXIT_FAULTS
from binsight.cli.data_options import load_dataset, photo_cache
from binsight.cli.options import Command, Option, option
from binsight.cli.progress import reporter
from binsight.cli.text import plain
from binsight.errors import LeakageError
from binsight.extras import needs_extra
from binsight.pipeline.presets import PRESETS, read_config_file, resolve_config
from binsight.settings import Option as Setting

if TYPE_CHECKING:
    from binsight.batch.features import JobFeatures
    from binsight.dataset import Dataset
    from binsight.pipeline.config import TrainConfig
    from binsight.pipeline.run import Means

__all__ = ["SettingsCommand", "features_option", "resolve_settings", "setting_options", "training_means"]

_PARAMETER = "setting_"


class SettingsCommand(Command):
    """A command with a flag for each of many settings; its help shows the usual ones, `--help-all` every one."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        show_all = click.Option(
            ["--help-all"], is_flag=True, expose_value=False, is_eager=True, help="Show every setting.",
            callback=_show_all,
        )  # fmt: skip
        self.params.append(show_all)


class _SettingOption(Option):
    """The flag of one setting."""

    def __init__(self, setting: Setting) -> None:
        names = f"--{setting.flag}/--no-{setting.flag}" if setting.kind is bool else f"--{setting.flag}"
        parameter = _PARAMETER + setting.flag.replace("-", "_")
        metavar = None if setting.kind is bool else _metavar(setting)
        title = f"Settings [{setting.section}]" if setting.section else "Settings"
        super().__init__([names, parameter], section=title, default=None, help=_help(setting), metavar=metavar)
        section = f"{setting.section}-" if setting.section else ""
        self._is_usual = not setting.flag.startswith(section.replace("_", "-")) or not section

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """What the help says; nothing where only the usual settings are asked for."""
        return super().get_help_record(ctx) if self._is_usual or ctx.meta.get("binsight.help_all") else None


def setting_options(options: Sequence[Setting]) -> Callable[[click.Command], click.Command]:
    """Adds a flag for each of the settings to a command."""

    def add(command: click.Command) -> click.Command:
        command.params += [_SettingOption(option) for option in options]
        return command

    return add


features_option = option(
    "--features",
    metavar="URI",
    help="The job of a binsight features run with this backbone: its photos are not run through the network again.",
)


@needs_extra("--features", "batch")
def _open_features(uri: str | None) -> JobFeatures | None:
    """What --features says, if anything.

    Raises:
        JobError: there are no features there.
        MissingExtraError: jobs cannot be read.
    """
    if uri is None:
        return None
    from binsight.batch.features import JobFeatures

    return JobFeatures(uri)


@contextmanager
def training_means(options: dict[str, Any]) -> Iterator[tuple[Dataset, Means]]:
    """The photos of a training or a search, and by what it is carried out.

    What a command's parameters say of features is taken out of them. Copies on both sides of a split end the program.
    """
    known = _open_features(options.pop("features"))
    found = load_dataset(**options)
    cache = photo_cache(options["cache"], no_cache=options["no_cache"])
    try:
        with reporter(quiet=options["quiet"], lines=True) as shown:
            yield found, {"content_cache": cache, "workers": options["workers"], "reporter": shown, "known": known}
    except LeakageError as error:
        click.echo(f"binsight: {plain(str(error))}", err=True)
        sys.exit(EXIT_FAULTS)


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


def _show_all(ctx: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        ctx.meta["binsight.help_all"] = True
        click.echo(ctx.get_help())
        ctx.exit()


def _help(setting: Setting) -> str:
    text = setting.text if setting.text.endswith("]") else f"{setting.text.rstrip('.')}."
    if setting.choices:
        text += f" One of: {', '.join(setting.choices)}."
    if setting.default in (None, ()):
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


def _metavar(setting: Setting) -> str:
    word = {int: "N", float: "X", str: "WORD"}[setting.kind]
    return f"{word},…" if setting.is_tuple else word
