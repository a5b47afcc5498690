"""`binsight serve`: the HTTP API and the web page."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from binsight.cli.options import FILE, Command, option
from binsight.cli.server_options import server_flag, server_value
from binsight.errors import SettingsError
from binsight.extras import needs_extra
from binsight.serving.security import ApiKey, new_key
from binsight.serving.settings import Settings, server_options
from binsight.settings import read_toml, suggest

if TYPE_CHECKING:
    from binsight.line.monitor import LineMonitor

__all__ = ["serve"]

_SETTINGS = {setting.name: setting for setting in server_options()}


class ServeCommand(Command):
    """A command with a flag, and a variable `BINSIGHT_…`, for each of a server's settings."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params += map(server_flag, _SETTINGS.values())


def _read_config(ctx: click.Context, _parameter: click.Parameter, path: Path | None) -> None:
    """Let a file's values stand below flags and variables; click turns them into their types, as it does with those."""
    if path is None:
        return
    known = {setting.flag.replace("-", "_"): setting for setting in _SETTINGS.values()}
    values: dict[str, Any] = {}
    faults = []
    for key, value in read_toml(path).items():
        if key == "lines":
            values[key] = [str(part) for part in (value if isinstance(value, list) else [value])]
        elif key not in known:
            faults.append(f"no setting {key}; {suggest(key, known)}")
        elif isinstance(value, dict) or (isinstance(value, list) and not known[key].is_tuple):
            faults.append(f"{key}: expected one value")
        else:
            texts = [str(part) for part in (value if isinstance(value, list) else [value])]
            is_several = known[key].is_tuple and known[key].kind is not ApiKey
            values[known[key].name] = texts if is_several else texts[0]
    if faults:
        raise SettingsError(f"{path}: {'; '.join(faults)}")
    ctx.default_map = values


def _print_new_key(ctx: click.Context, parameter: click.Parameter, name: str | None) -> None:
    if name is None or ctx.resilient_parsing:
        return
    try:
        key, stored = new_key(name)
    except ValueError:
        raise click.BadParameter(f"{name!r} is not a plain name", ctx, parameter) from None
    click.echo(f"The key, for the client only; it is shown this once: {key}", err=True)
    click.echo(f"{stored.name}:{stored.sha256}")
    ctx.exit()


@click.command(cls=ServeCommand)
@option(
    "--config",
    type=FILE,
    is_eager=True,
    expose_value=False,
    callback=_read_config,
    envvar="BINSIGHT_CONFIG",
    show_envvar=True,
    help="Settings in TOML, named as the flags are: max_photo_mb = 10. Flags and variables go before it.",
)
@option(
    "--lines",
    type=FILE,
    multiple=True,
    metavar="LINE.TOML",
    envvar="BINSIGHT_LINES",
    show_envvar=True,
    help="Show a line that runs in another program, from its ledger, at /lines; may be repeated.",
)
@option(
    "--new-key",
    metavar="NAME",
    is_eager=True,
    expose_value=False,
    callback=_print_new_key,
    help="Make a key for NAME: print the line for the key file, show the key on standard error, and exit.",
)
def serve(lines: tuple[Path, ...], **values: Any) -> None:
    """Serve the HTTP API and the web page; docs/http-api.md teaches the API, /docs on the server lists it.

    SIGHUP loads new versions of the bundles without an interruption; SIGTERM finishes what was received and exits.

    \b
    Examples:
      binsight serve                                  http://localhost:9696, for this machine only
      binsight serve --host 0.0.0.0 --rate-limit 5    for everyone who can reach it
      binsight serve --model waste8 --model lab=my.zip
      binsight serve --new-key phone-app >> keys      a key, and its line for --api-keys
      binsight serve --config server.toml --api-keys keys
      binsight serve --registry models --loop loop    a challenger in the shadow; a champion that is worse goes back
      binsight serve --teach lessons --admin-keys keys   operators teach it their camera at /teach
      binsight serve --lines line.toml                the dashboard of a line that runs already
      curl -F file=@can.jpg http://localhost:9696/predict
    """
    settings = Settings(**{name: server_value(_SETTINGS[name], value) for name, value in values.items()})
    with needs_extra("serving", "serve"):
        from binsight.serving.server import run_server
    logging.basicConfig(format="binsight: %(message)s", level=logging.WARNING)
    shown = _open_lines(lines)
    announce = lambda url: click.echo(f"binsight: taking photos at {url}", err=True)  # noqa: E731
    try:
        finished = run_server(settings, announce=announce, lines=shown)
    finally:
        for line in shown:
            line.close()
    if not finished:
        sys.exit(1)


@needs_extra("a line", "line")
def _open_lines(files: tuple[Path, ...]) -> list[LineMonitor]:
    if not files:
        return []
    from binsight.cli.line_watch import followed_lines

    return followed_lines(files)
