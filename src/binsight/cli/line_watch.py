"""Who looks on while a line runs, and whom its alarms reach: dashboard, purity, webhook, log."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from binsight.cli.line_settings import bundle_of, ledger_url, read_config
from binsight.errors import InputError, SettingsError
from binsight.extras import needs_extra

if TYPE_CHECKING:
    import sqlalchemy as sa

    from binsight.line.alarms import Alarm
    from binsight.line.config import LineConfig
    from binsight.line.monitor import LineMonitor
    from binsight.line.ports import Clock
    from binsight.line.run import LineRunner
    from binsight.serving.server import RunningServer
    from binsight.serving.settings import Settings as ServerSettings
    from binsight.taxonomy import Taxonomy

__all__ = ["LineWatch", "followed_lines"]


class LineWatch:
    """Looks on at a line that runs in this process."""

    def __init__(self, config: LineConfig, url: str, taxonomy: Taxonomy, clock: Clock) -> None:
        from binsight.line.account import LineAccount
        from binsight.line.alarm_sinks import AlarmWebhook
        from binsight.line.ledger.database import open_database
        from binsight.line.monitor import LineMonitor

        self.monitor = LineMonitor(LineAccount(config, open_database(url), taxonomy), clock)
        hook, line = config.alarms.webhook, config.line
        self._webhook = None if hook is None else AlarmWebhook(hook, line=line.name, site=line.site)

    def on_alarm(self, alarm: Alarm) -> None:
        """An alarm came or went."""
        from binsight.line.alarm_sinks import log_alarm

        log_alarm(self.monitor.name, alarm)
        self.monitor.on_alarm(alarm)
        if self._webhook is not None:
            self._webhook.put(alarm)

    @contextlib.contextmanager
    def serving(self, settings: ServerSettings | None) -> Iterator[RunningServer | None]:
        """Serve the dashboard as long as this lasts; None where nobody asked for it."""
        if settings is None:
            yield None
            return
        with needs_extra("the dashboard", "serve"):
            from binsight.serving.server import RunningServer
        server = RunningServer(settings, lines=[self.monitor])
        try:
            server.load()
            yield server
        finally:
            server.stop()

    @contextlib.contextmanager
    def looking(self, line: LineRunner, *, source: object, publish: Callable[..., None]) -> Iterator[None]:
        """Measure purity of the line that runs as long as this lasts; `publish` is that of its `Sorter`."""
        from binsight.line.purity_watch import PurityWatch

        self.monitor.attach(line, source=source)
        purity = PurityWatch(self.monitor, line, publish)
        purity.start()
        try:
            yield
        finally:
            purity.close()
            if self._webhook is not None:
                self._webhook.close()
            self.monitor.account.database.dispose()


def followed_lines(files: Sequence[Path]) -> list[LineMonitor]:
    """Lines that run in other programs, by their `line.toml`: what their ledgers tell.

    Raises:
        InputError: a file cannot be read, or a ledger is not there yet.
        SettingsError: something in a file cannot be, or two lines have one name.
    """
    from binsight.line.ledger.database import open_database

    # Lines of one ledger share its connections: hundreds of them would use up what a server has.
    opened = cache(partial(open_database, upgrade=False))
    monitors = [_followed(file, opened) for file in files]
    names = [monitor.name for monitor in monitors]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise SettingsError(f"--lines: expected lines of different names, got {', '.join(twice)} twice")
    return monitors


def _followed(file: Path, opened: Callable[[str], sa.Engine]) -> LineMonitor:
    from binsight.line.account import LineAccount
    from binsight.line.clock import SystemClock
    from binsight.line.monitor import LineMonitor

    config = read_config(file)
    url = ledger_url(config, file)
    place = url.removeprefix("sqlite:///") if url.startswith("sqlite:///") else None
    if place is not None and not Path(place).exists():  # opening it would make it
        raise InputError(f"{file}: there is no ledger {place} yet; start the line first: binsight line run {file}")
    taxonomy = _taxonomy(config, file)
    monitor = LineMonitor(LineAccount(config, opened(url), taxonomy), SystemClock())
    monitor.listen()
    return monitor


def _taxonomy(config: LineConfig, file: Path) -> Taxonomy:
    from binsight.bundle import load_bundle, resolve_bundle

    taxonomy = load_bundle(resolve_bundle(bundle_of(config, file))).manifest.taxonomy
    if unknown := config.check_taxonomy(taxonomy):
        raise SettingsError(f"{file}: " + "; ".join(unknown))
    return taxonomy
