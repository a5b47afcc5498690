"""`binsight edge run` and `binsight edge check`."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import click

from binsight.cli.options import FILE, Command, Option, json_option, setting_flag
from binsight.cli.server_options import server_value
from binsight.cli.signals import stopping_on_signals
from binsight.cli.text import plain, print_json
from binsight.edge.settings import EdgeSettings, edge_options, read_settings
from binsight.extras import needs_extra
from binsight.settings import Option as Setting
from binsight.text_files import read_text

__all__ = ["check", "run"]

_LAST_WORDS_S = 3.0  # for what waits to be told when the device is stopped


class EdgeCommand(Command):
    """A command with a flag for each of a device's settings."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params += map(_flag, edge_options())


def _flag(setting: Setting) -> Option:
    default = setting.default // setting.unit if setting.unit > 1 else setting.default
    shown = "" if default is None or "[default" in setting.text else f"  [default: {default}]"
    return setting_flag(
        setting,
        default=None,
        section=setting.group or "Device",
        help=setting.text + shown,
        callback=lambda _ctx, _option, value: value if value is None else server_value(setting, value),
    )


@click.command(cls=EdgeCommand)
@click.argument("file", type=FILE, required=False, metavar="[EDGE.TOML]")
@needs_extra("an edge device", "edge")
def run(file: Path | None, **given: Any) -> None:
    """Look through a camera until SIGTERM or Ctrl-C, and tell what is new.

    A result is told when several pictures in a row agree on something else than before: by MQTT (topic piece), by a
    webhook, or both. It waits on the disk until it is taken, over restarts and power cuts, and its number seq is never
    given twice. What the device is not sure of is asked of --server, also later, if the server is away. How the device
    is goes to the topic state. The keys of EDGE.TOML are the flags' names; flags go before it.

    \b
    Examples:
      binsight edge run --source /dev/video0 --mqtt mqtt://server
      binsight edge run edge.toml --server https://server:9696 --key-file key
    """
    settings = read_settings(file, given)
    _run(settings)


@click.command(cls=EdgeCommand)
@click.argument("file", type=FILE, required=False, metavar="[EDGE.TOML]")
@json_option()
@needs_extra("an edge device", "edge")
def check(file: Path | None, as_json: bool, **given: Any) -> None:
    """Check the settings, and measure each engine that the model has a file for, on one picture."""
    from binsight.bundle import load_bundle, resolve_bundle
    from binsight.edge.device import memory_mb
    from binsight.edge.engines import choose_engine

    settings = read_settings(file, given)
    _, medians = choose_engine(load_bundle(resolve_bundle(settings.model)), threads=settings.workers)
    memory = memory_mb()
    if as_json:
        print_json({"model": settings.model, "engines_ms": medians, "memory_mb": memory}, indent=None)
        return
    fastest = min(medians, key=medians.__getitem__)
    for engine, milliseconds in medians.items():
        click.echo(f"{engine}: {milliseconds:.1f} ms a picture{' (taken)' if engine == fastest else ''}")
    if memory is not None:
        click.echo(f"memory with all of them open: {memory:.0f} MB")


def _run(settings: EdgeSettings) -> None:
    from binsight.edge.delivery import Delivery, Server, Sink, Webhook
    from binsight.edge.device import Device, Publisher
    from binsight.edge.outbox import Outbox
    from binsight.line.clock import SystemClock
    from binsight.line.sources.opening import open_source

    logging.basicConfig(format="binsight: %(message)s", level=logging.WARNING)
    predictor, engine = _open_predictor(settings)
    clock = SystemClock()
    # The camera first: what cannot be opened must not leave an empty store behind.
    source = open_source(
        settings.source or "",
        clock,
        frames_per_second=settings.frames_per_second,
        stalled_after_s=max(1.0, 3 / settings.frames_per_second),
    )
    publisher, sinks = None, list[Sink]()
    if settings.mqtt is not None:
        publisher = Publisher(settings, password=_secret(settings.password_file), clock=clock)
        sinks.append(publisher)
    if settings.webhook is not None:
        sinks.append(Webhook(settings.webhook, device=settings.name))
    server = None if settings.server is None else Server(settings.server, key=_secret(settings.key_file))
    outbox = Outbox(settings.store, max_bytes=settings.store_bytes)
    delivery = Delivery(outbox, sinks, server)
    device = Device(
        settings,
        predictor=predictor,
        engine=engine,
        source=source,
        outbox=outbox,
        say=(lambda _: None) if publisher is None else publisher.say,
        clock=clock,
    )
    click.echo(plain(f"binsight: {settings.name} watches {settings.source} with {settings.model} ({engine})"), err=True)
    delivery.start()
    try:
        with stopping_on_signals(device.stop):
            device.run()
    finally:
        source.close()
        delivery.close(wait_s=_LAST_WORDS_S)
        outbox.close()


def _open_predictor(settings: EdgeSettings) -> tuple[Any, str]:
    from binsight.bundle import load_bundle, resolve_bundle
    from binsight.edge.engines import choose_engine, open_predictor

    bundle = load_bundle(resolve_bundle(settings.model))
    if settings.engine != "auto":
        return open_predictor(bundle, settings.engine, threads=settings.workers), settings.engine
    predictor, medians = choose_engine(bundle, threads=settings.workers)
    return predictor, min(medians, key=medians.__getitem__)


def _secret(path: Path | None) -> str | None:
    return None if path is None else read_text(path).strip()
