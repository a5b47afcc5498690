"""What `report` and `audit` of `binsight line` share: a ledger by its file, its address, or its line's settings."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from binsight.cli.line_settings import bundle_of, read_config
from binsight.cli.options import option, together
from binsight.errors import InputError, SettingsError
from binsight.extras import needs_extra

if TYPE_CHECKING:
    import sqlalchemy as sa

    from binsight.line.config import LineConfig
    from binsight.line.ledger.reading import Span
    from binsight.taxonomy import Taxonomy

__all__ = [
    "Moment",
    "OpenLedger",
    "choose_line",
    "ledger_options",
    "open_database",
    "open_ledger",
    "read_span",
    "span_options",
]


_DAY = dt.timedelta(days=1)
_TICK = dt.timedelta(milliseconds=1)


class Moment(click.ParamType[dt.datetime]):
    """A date or a date and a time, by the clock on the wall unless a zone is given."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> dt.datetime:
        """The time, with its zone."""
        if isinstance(value, dt.datetime):
            return value
        try:
            return dt.datetime.fromisoformat(value).astimezone()
        except (ValueError, OverflowError, OSError):
            self.fail(f"expected a time such as 2026-01-31 or 2026-01-31T06:00, got {value!r}", param, ctx)


@dataclass(frozen=True, slots=True)
class OpenLedger:
    """A ledger and one of its lines.

    Attributes:
        database: open, to be read.
        line: its name.
        config: what belongs in its lanes; None where nobody said so.
        taxonomy: its classes; None likewise.
    """

    database: sa.Engine
    line: str
    config: LineConfig | None
    taxonomy: Taxonomy | None


ledger_options = together(
    click.argument("ledger", metavar="LEDGER|line.toml"),
    option("--line", metavar="NAME", help="Which line, where the ledger holds several."),
)
"""Which ledger, and which line of it."""

span_options = together(
    option("--since", type=Moment(), help="Pieces seen then or later.  [default: a day]"),
    option("--until", type=Moment(), help="Pieces seen before.  [default: the newest]"),
    option("--shift", metavar="NAME", help="Only pieces of this shift."),
)
"""Which time."""


@contextmanager
def open_database(place: str) -> Iterator[tuple[sa.Engine, LineConfig | None]]:
    """Open the ledger that the user named, and close it again; with the settings, where it was named by these.

    Nothing is created.

    Raises:
        InputError: it is no ledger, or is damaged or locked.
        MissingExtraError: `binsight[line]` is not installed.
    """
    with needs_extra("a line's ledger", "line"):
        import sqlalchemy as sa

        from binsight.line.ledger import database as ledger
    url: str | Path = place
    config = read_config(Path(place)) if place.endswith(".toml") else None
    if config is not None:
        url = config.ledger.url or Path(place).with_name(f"{config.line.name}.sqlite")
    database = ledger.open_database(_address(url), upgrade=False)
    try:
        yield database, config
    except sa.exc.DBAPIError as error:
        raise InputError(f"the ledger {place}: {str(error.orig).splitlines()[0]}") from error
    finally:
        database.dispose()


@contextmanager
def open_ledger(place: str, line: str | None) -> Iterator[OpenLedger]:
    """The same, and choose one of its lines.

    Raises:
        InputError, MissingExtraError: as `open_database`; or it has no such line.
    """
    with open_database(place) as (database, config):
        yield choose_line(database, config, Path(place), line)


def choose_line(database: sa.Engine, config: LineConfig | None, place: Path, line: str | None) -> OpenLedger:
    """The line of that name, that of the settings, or the only one, with what is known of it.

    Raises:
        InputError: there is none, it has to be said which, or its settings were stored by another version.
    """
    from binsight.bundle import load_bundle, resolve_bundle
    from binsight.line.ledger import reading
    from binsight.line.ledger.configuration import read_configuration

    name = reading.choose_line(database, line or (None if config is None else config.line.name))
    try:
        stored = read_configuration(database, name)
    except SettingsError as error:
        raise InputError(f"{error}; give the line's line.toml in the place of the ledger") from error
    config = config or (stored[0] if stored else None)
    taxonomy = stored[1] if stored else None
    if taxonomy is None and config is not None:
        taxonomy = load_bundle(resolve_bundle(bundle_of(config, place))).manifest.taxonomy
    return OpenLedger(database, name, config, taxonomy)


def _address(place: Any) -> Any:
    import sqlalchemy as sa

    if isinstance(place, str) and "://" in place:
        url = sa.make_url(place)
        if url.get_backend_name() != "sqlite":
            return url
        place = url.database or ""
    file = Path(place)
    if not file.exists():
        raise InputError(f"no ledger at {file}; binsight line run makes one, where [ledger] in line.toml says")
    if file.is_dir():
        raise InputError(f"{file} is a folder; expected the file of a ledger, or line.toml")
    return sa.URL.create("sqlite", database=str(file))


def read_span(opened: OpenLedger, since: dt.datetime | None, until: dt.datetime | None, shift: str | None) -> Span:
    """The time that is asked for; by default the day up to the newest piece.

    Raises:
        InputError: it ends before it begins.
    """
    from binsight.line.ledger.reading import Span, last_seen

    newest = last_seen(opened.database, opened.line)
    until = until or (dt.datetime.now(dt.UTC) if newest is None else newest + _TICK)
    since = since or until - _DAY
    if since >= until:
        raise InputError(
            f"--since {since.isoformat()} is not before {until.isoformat()}, where --until or the ledger ends"
        )
    return Span(opened.line, since, until, shift)
