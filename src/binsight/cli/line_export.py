"""`binsight line export`: finished hours of a ledger as Parquet."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict
from pathlib import Path

import click

from binsight.cli.line_ledger import Moment, choose_line, open_database
from binsight.cli.options import Command, json_option, option
from binsight.cli.text import plain, print_json
from binsight.extras import needs_extra

__all__ = ["export"]


@click.command(cls=Command, short_help="Finished hours as Parquet, to a folder or an object store.")
@click.argument("ledger", metavar="LEDGER|line.toml")
@option("--out", required=True, metavar="PLACE", help="A folder, or s3://…, gs://…, az://….")
@option("--line", "lines", multiple=True, metavar="NAME", help="Only this line; again for more.  [default: all]")
@option("--since", type=Moment(), metavar="TIME", help="Only hours that begin then or later.")
@option("--until", type=Moment(), metavar="TIME", help="Only hours that ended by then.  [default: five minutes ago]")
@json_option()
@needs_extra("an export", "batch")
def export(
    ledger: str, out: str, lines: tuple[str, ...], since: dt.datetime | None, until: dt.datetime | None, as_json: bool
) -> None:
    """Write each finished hour of each line to PLACE/line=NAME/date=YYYY-MM-DD/hour-HH.parquet, in UTC.

    Run it again and again, once an hour for instance: hours that are there are passed over, those of which the ledger
    says more by now (late answers, labels of the audit) are written anew, and a run that was killed is made good for.

    \b
    Examples:
      binsight line export line.toml --out exported/
      binsight line export postgresql://ledger/lines --out s3://plant/pieces
      binsight line export line1.sqlite --out exported/ --since 2026-01-31
    """
    import sqlalchemy as sa

    from binsight.line.export import GRACE, export_line
    from binsight.line.ledger.schema import lines as all_lines
    from binsight.stores import open_store

    store = open_store(out)
    until = until or dt.datetime.now(dt.UTC) - GRACE
    with open_database(ledger) as (database, config):
        if not lines and config is not None:
            lines = (config.line.name,)
        if not lines:
            with database.connect() as connection:
                lines = tuple(connection.execute(sa.select(all_lines.c.name).order_by(all_lines.c.name)).scalars())
        # All are looked for before the first is exported: a name that is wrong ends it before the work.
        for opened in [choose_line(database, config, Path(ledger), name) for name in lines]:
            told = export_line(database, opened.line, store, taxonomy=opened.taxonomy, since=since, until=until)
            if as_json:
                print_json({"line": opened.line, **asdict(told)}, indent=None)
            else:
                click.echo(
                    plain(
                        f"{opened.line}: hours: {told.written:,} written, {told.replaced:,} anew, "
                        f"{told.unchanged:,} as they were; pieces: {told.rows:,}"
                    )
                )
