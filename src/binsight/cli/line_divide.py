"""`binsight line divide`: a ledger in PostgreSQL that is not kept by days yet."""

from __future__ import annotations

import click

from binsight.cli.line_ledger import open_database
from binsight.cli.options import Command
from binsight.errors import InputError

__all__ = ["divide"]


@click.command(cls=Command, short_help="Keep an older PostgreSQL ledger by days.")
@click.argument("ledger", metavar="LEDGER|line.toml")
def divide(ledger: str) -> None:
    """Keep pieces and pictures of LEDGER in one partition a day, so that an old day goes at once.

    New ledgers in PostgreSQL are kept so. What an older one has becomes one part, which goes as a whole when all of it
    is too old. It takes about a minute for ten million pieces. Lines may run: they write again, with nothing lost,
    when it is done, and command nothing meanwhile.

    \b
    Examples:
      binsight line divide postgresql://ledger/lines
      binsight line divide line.toml
    """
    from binsight.line.ledger import days

    with open_database(ledger) as (database, _), database.begin() as connection:
        if connection.dialect.name != "postgresql":
            raise InputError(f"{ledger}: expected a ledger in PostgreSQL; one in SQLite is a file, and is not divided")
        if days.are_divided(connection):
            click.echo("it is kept by days already")
            return
        days.divide(connection)
    click.echo("kept by days from now on")
