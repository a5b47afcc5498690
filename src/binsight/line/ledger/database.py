"""Open a ledger's database, and bring its tables up to date."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError

from binsight.errors import InputError, MissingExtraError

__all__ = ["open_database"]

_BUSY_TIMEOUT_S = 5.0


def open_database(url: str | sa.URL, *, upgrade: bool = True) -> sa.Engine:
    """Connect to a ledger.

    Args:
        url: `sqlite:///FILE` or `postgresql+psycopg://…`.
        upgrade: create the tables, or change older ones to this version's; else they must be there.

    Raises:
        InputError: it cannot be opened, is damaged, is no ledger, or was written by a newer binsight.
        MissingExtraError: PostgreSQL's driver is not installed.
    """
    url = _parse(url)
    shown = url.render_as_string(hide_password=True)
    try:
        engine = sa.create_engine(url, **_options(url))
    except ModuleNotFoundError as error:
        raise MissingExtraError("a ledger in PostgreSQL", "line-postgres") from error
    if engine.dialect.name == "sqlite":
        _prepare_sqlite(engine, journal=upgrade)
    try:
        if upgrade:
            _upgrade(engine)
        else:
            _check_version(engine, shown)
    except InputError:
        engine.dispose()
        raise
    except CommandError as error:
        engine.dispose()
        raise InputError(f"the ledger {shown} was written by a newer binsight: {error}") from error
    except sa.exc.DBAPIError as error:
        engine.dispose()
        raise InputError(f"cannot open the ledger {shown}: {_first_line(error.orig)}") from error
    return engine


def _parse(url: str | sa.URL) -> sa.URL:
    try:
        parsed = sa.make_url(url)
    except sa.exc.ArgumentError as error:
        raise InputError(f"expected sqlite:///FILE or postgresql+psycopg://…, got {url}") from error
    if parsed.drivername not in {"sqlite", "postgresql", "postgresql+psycopg"}:
        raise InputError(f"expected sqlite:///FILE or postgresql+psycopg://…, got {parsed.drivername}://…")
    return parsed.set(drivername="postgresql+psycopg") if parsed.drivername == "postgresql" else parsed


def _options(url: sa.URL) -> dict[str, Any]:
    if url.get_backend_name() == "sqlite":
        return {"connect_args": {"timeout": _BUSY_TIMEOUT_S}}
    # Compiling a question about many days takes longer than answering it.
    settings = {} if "options" in url.query else {"options": "-c jit=off"}
    # A connection that a restart of the server has cut is noticed before it is used; one to a server that lost its
    # power, within half a minute.
    alive = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 20_000}
    return {"pool_pre_ping": True, "connect_args": {"connect_timeout": 5, **alive, **settings}}


def _prepare_sqlite(engine: sa.Engine, *, journal: bool) -> None:
    @sa.event.listens_for(engine, "connect")
    def _set_pragmas(connection: Any, _record: Any) -> None:
        cursor = connection.cursor()
        # Readers and the one writer do not wait for each other; a commit is safe from a crash of the program.
        # Who only reads leaves the file as it is: it may be no ledger at all.
        if journal:
            cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=NORMAL")
        cursor.close()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")).replace("%", "%%"))
    return config


def _check_version(engine: sa.Engine, shown: str) -> None:
    with engine.connect() as connection:
        if not sa.inspect(connection).has_table("pieces"):
            raise InputError(f"{shown} is no ledger, or has no tables yet: `binsight line run` makes them")
        version = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()
    scripts = ScriptDirectory.from_config(_config())
    if version == scripts.get_current_head():
        return
    if version in {script.revision for script in scripts.walk_revisions()}:
        raise InputError(
            f"the ledger {shown} is of an older binsight; the next `binsight line run` brings it up to date"
        )
    raise InputError(f"the ledger {shown} was written by a newer binsight: its version is {version}")


def _upgrade(engine: sa.Engine) -> None:
    config = _config()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _first_line(error: BaseException | None) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
