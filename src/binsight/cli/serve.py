"""`binsight serve`: the HTTP API and the web page."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from binsight.cli.options import BUNDLE
from binsight.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    from binsight.serving.security import ApiKey

__all__ = ["serve"]

_PATH = click.Path(dir_okay=False, path_type=Path)
_DIR = click.Path(file_okay=False, path_type=Path)
_MEGA = 1_000_000


def _option(name: str, *names: str, **options: Any) -> Any:
    """An option that can also be given as `BINSIGHT_…` in the environment; the help says so."""
    variable = "BINSIGHT_" + name.lstrip("-").split("/")[0].upper().replace("-", "_")
    return click.option(name, *names, envvar=variable, show_envvar=True, show_default="default" in options, **options)


_SERVED = (
    _option(
        "--model",
        "models",
        multiple=True,
        default=("waste8",),
        type=BUNDLE,
        metavar="[NAME=]BUNDLE",
        help="A bundle to serve, by path or by name from the package; may be repeated, the first is the default one.",
    ),
    _option("--host", default="127.0.0.1", help="Address to listen on; 0.0.0.0 lets other machines in."),
    _option("--port", type=click.IntRange(0, 65535), default=9696, help="Port to listen on; 0 takes a free one."),
    _option("--tls-certificate", type=_PATH, help="PEM file with the certificate chain; turns TLS on."),
    _option("--tls-key", type=_PATH, help="PEM file with the certificate's private key."),
    _option("--feedback", "feedback_dir", type=_DIR, metavar="DIR", help="Store corrections and their photos here."),
    _option("--feedback-max-mb", type=click.FloatRange(min=1), default=1000, help="The most that they may take."),
)
_WORK = (
    _option(
        "--workers", type=click.IntRange(min=0), default=0, help="Photos in work at a time; 0: one more than cores."
    ),
    _option("--max-batch", type=click.IntRange(1, 64), default=1, help="Photos in one run of the network."),
    _option("--queue", "queue_size", type=click.IntRange(min=1), default=128, help="Photos that may wait."),
    _option("--deadline", "deadline_s", type=float, default=5.0, help="Seconds that a photo may wait."),
    _option("--drain-timeout", "drain_timeout_s", type=float, default=30.0, help="Seconds to finish after SIGTERM."),
)
_LIMITS = (
    _option("--max-photo-mb", type=click.FloatRange(min=0.001), default=20, help="The largest photo's file."),
    _option("--max-megapixels", type=click.FloatRange(min=0.001), default=50, help="The largest photo."),
    _option("--max-body-mb", type=click.FloatRange(min=0.001), default=64, help="The largest request."),
    _option("--max-files", type=click.IntRange(min=1), default=32, help="Photos in one request."),
    _option("--max-pending-mb", type=click.FloatRange(min=0.001), default=256, help="All requests together."),
    _option("--max-connections", type=click.IntRange(min=1), default=512, help="Connections open at a time."),
    _option("--header-timeout", "header_timeout_s", type=float, default=10.0, help="Seconds for a request's headers."),
    _option("--body-timeout", "body_timeout_s", type=float, default=60.0, help="Seconds for its body."),
    _option("--idle-timeout", "idle_timeout_s", type=float, default=30.0, help="Seconds between two requests."),
)
_ACCESS = (
    _option("--api-keys", type=_PATH, metavar="FILE", help="Who may classify: one name:sha256 per line."),
    _option("--admin-keys", type=_PATH, metavar="FILE", help="Who may reload models; without it nobody can."),
    _option(
        "--cors-origin",
        "cors_origins",
        multiple=True,
        metavar="ORIGIN",
        help="A web origin whose pages may call the API, such as https://example.org; may be repeated.",
    ),
    _option("--rate-limit", type=click.FloatRange(min=0), default=0, help="Requests a second and client; 0: no limit."),
    _option("--rate-burst", type=click.IntRange(min=1), default=20, help="Requests at once before the rate counts."),
    _option("--trusted-proxies", type=click.IntRange(min=0), default=0, help="Proxies whose X-Forwarded-* to believe."),
    _option("--access-log/--no-access-log", default=True, help="One JSON line per request on standard error."),
    click.option("--new-key", metavar="NAME", help="Print a new key for NAME and the line for the key file, and exit."),
)


def _options(function: Any) -> Any:
    for option in reversed((*_SERVED, *_WORK, *_LIMITS, *_ACCESS)):
        function = option(function)
    return function


@click.command(short_help="Serve the HTTP API and the web page.")
@_options
def serve(
    new_key: str | None,
    api_keys: Path | None,
    admin_keys: Path | None,
    max_photo_mb: float,
    max_megapixels: float,
    max_body_mb: float,
    max_pending_mb: float,
    feedback_max_mb: float,
    **values: Any,
) -> None:
    """Serve the HTTP API and the web page; docs/http-api.md teaches the API, /docs on the server lists it.

    SIGHUP loads new versions of the bundles without an interruption; SIGTERM finishes what was received and exits.

    \b
    Examples:
      binsight serve                                  http://localhost:9696, for this machine only
      binsight serve --host 0.0.0.0 --rate-limit 5    for everyone who can reach it
      binsight serve --model waste8 --model lab=my.zip
      binsight serve --new-key phone-app              a key, and its line for --api-keys
      curl -F file=@can.jpg http://localhost:9696/predict
    """
    import logging

    if new_key is not None:
        _print_new_key(new_key)
        return
    try:
        from binsight.serving.server import run_server
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == "binsight":
            raise
        raise MissingExtraError("serving", "serve") from error
    from binsight.serving.settings import Settings

    settings = Settings(
        api_keys=_read_keys(api_keys),
        admin_keys=_read_keys(admin_keys),
        max_photo_bytes=round(max_photo_mb * _MEGA),
        max_pixels=round(max_megapixels * _MEGA),
        max_body_bytes=round(max_body_mb * _MEGA),
        max_pending_bytes=round(max_pending_mb * _MEGA),
        feedback_max_bytes=round(feedback_max_mb * _MEGA),
        **values,
    )
    logging.basicConfig(format="binsight: %(message)s", level=logging.WARNING)
    if not run_server(settings, announce=lambda url: click.echo(f"binsight: taking photos at {url}", err=True)):
        sys.exit(1)


def _print_new_key(name: str) -> None:
    from binsight.serving.security import new_key

    try:
        key, stored = new_key(name)
    except ValueError:
        raise click.BadParameter(f"{name!r} is not a plain name", param_hint="--new-key") from None
    click.echo(f"key, for the client only:  {key}")
    click.echo(f"line for the key file:     {stored.name}:{stored.sha256}")


def _read_keys(path: Path | None) -> tuple[ApiKey, ...]:
    from binsight.serving.security import ApiKey

    if path is None:
        return ()
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {path}: {error}") from error
    keys = []
    for number, line in enumerate(lines, start=1):
        if line.strip() and not line.startswith("#"):
            try:
                keys.append(ApiKey.parse(line))
            except ValueError as error:
                raise InputError(f"{path}, line {number}: {error}") from error
    if not keys:
        raise InputError(f"{path}: expected at least one key; without any, everyone would be let in")
    return tuple(keys)
