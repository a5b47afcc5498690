"""What `report` and `audit` of `binsight line` share: a ledger by its file, its address, or its line's settings."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from binsight.cli.options import option
from binsight.errors import InputError, MissingExtraError, SettingsError

if TYPE_CHECKING:
    import sqlalchemy as sa

    from binsight.line.config import LineConfig
    from binsight.line.ledger.reading import Span
    from binsight.taxonomy import Taxonomy

__all__ = ["OpenLedger", "ledger_argument", "line_option", "open_ledger", "read_span", "span_options"]

Decorator = Callable[[Any], Any]

_DAY = dt.timedelta(days=1)
_TICK = dt.timedelta(milliseconds=1)


class _Moment(click.ParamType[dt.datetime]):
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


def ledger_argument() -> Decorator:
    """The argument LEDGER."""
    return click.argument("ledger", metavar="LEDGER|line.toml")


def line_option() -> Decorator:
    """`--line`."""
    return option("--line", metavar="NAME", help="Which line, where the ledger holds several.")


def span_options(function: Any) -> Any:
    """`--since`, `--until`, `--shift`."""
    for add in (
        option("--shift", metavar="NAME", help="Only pieces of this shift."),
        option("--until", type=_Moment(), metavar="TIME", help="Pieces seen before.  [default: the newest]"),
        option("--since", type=_Moment(), metavar="TIME", help="Pieces seen then or later.  [default: a day]"),
    ):
        function = add(function)
    return function


@contextmanager
def open_ledger(place: str, line: str | None) -> Iterator[OpenLedger]:
    """Open what the user named, and close it again; nothing is created.

    Raises:
        InputError: it is no ledger, has no such line, or is damaged or locked.
        MissingExtraError: `binsight[line]` is not installed.
    """
    try:
        import sqlalchemy as sa

        from binsight.line.ledger.database import open_database
    except ModuleNotFoundError as error:
        raise MissingExtraError("a line's ledger", "line") from error
    config = None
    url: Any = place
    if place.endswith(".toml"):
        from binsight.line.config import load_line_config

        config = load_line_config(Path(place))
        line = line or config.line.name
        url = config.ledger.url or Path(place).parent / f"{config.line.name}.sqlite"
    database = open_database(_address(url), upgrade=False)
    try:
        yield _choose(database, config, Path(place).parent, line)
    except sa.exc.DBAPIError as error:
        raise InputError(f"the ledger {place}: {str(error.orig).splitlines()[0]}") from error
    finally:
        database.dispose()


def _choose(database: sa.Engine, config: LineConfig | None, folder: Path, line: str | None) -> OpenLedger:
    from binsight.line.ledger.configuration import read_configuration
    from binsight.line.ledger.reading import choose_line

    name = choose_line(database, line)
    try:
        stored = read_configuration(database, name)
    except SettingsError as error:
        raise InputError(f"{error}; give the line's line.toml in the place of the ledger") from error
    config = config or (stored[0] if stored else None)
    taxonomy = stored[1] if stored else None
    if taxonomy is None and config is not None:
        taxonomy = _taxonomy_of(config, folder)
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


def _taxonomy_of(config: LineConfig, folder: Path) -> Taxonomy:
    from binsight.bundle import load_bundle, resolve_bundle

    beside = folder / config.line.model
    bundle = load_bundle(beside if beside.exists() else resolve_bundle(config.line.model))
    return bundle.manifest.taxonomy


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
