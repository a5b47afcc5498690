"""`binsight loop import | take | diverse`: photos that come into a loop from elsewhere, or from those set aside."""

from __future__ import annotations

from pathlib import Path

import click

from binsight.cli.line_ledger import ledger_options, open_ledger
from binsight.cli.options import BUNDLE, DIRECTORY, PLACE, Command, model_option, option, quiet_option, workers_option
from binsight.cli.progress import progress_bar
from binsight.cli.registry import user_name
from binsight.cli.text import plain, print_first
from binsight.extras import needs_extra

__all__ = ["diverse", "import_", "take"]

_LISTED = 10


@click.command(name="import", cls=Command)
@DIRECTORY
@click.argument("source", metavar="SOURCE", type=PLACE)
@option(
    "--format",
    "form",
    type=click.Choice(["csv", "imagefolder", "labelstudio", "cvat"]),
    required=True,
    help="csv: a manifest, or a folder per class.",
)
@option("--by", metavar="NAME", help="Who labelled them.  [default: the name of the user]")
@model_option("Whose classes the names are matched to.")
@quiet_option()
def import_(directory: Path, source: Path, form: str, by: str | None, model: str, quiet: bool) -> None:
    """Bring photos that were labelled elsewhere into DIR: for training only, one of ten for a second person.

    \b
    Examples:
      binsight loop import loop/ project-3.json --format labelstudio
      binsight loop import loop/ cvat-export/ --format cvat --by ada
    """
    from binsight.bundle import load_bundle, resolve_bundle
    from binsight.loop.importing import import_labels
    from binsight.loop.queue import Queue

    taxonomy = load_bundle(resolve_bundle(model)).manifest.taxonomy
    queue = Queue(directory, create=True)
    with progress_bar("Importing", quiet=quiet) as progress:
        found = import_labels(queue, source, form, taxonomy, by=by or user_name(), progress=progress)
    click.echo(f"{found.labels:,} labels, {found.known:,} were there")
    print_first([f"{plain(path)}: {plain(why)}" for path, why in found.left_out.items()], _LISTED, lead="left out: ")


@click.command(cls=Command)
@DIRECTORY
@ledger_options
@option("--keep-random", default="100/week", metavar="N/week", help="Pieces to keep at random.")
@option("--keep-review", default="100/day", metavar="N/day", help="Pieces sent to review to keep.")
@option("--model", type=BUNDLE, help="Keep 20 more a week of those to review, unlike the others to this model.")
@workers_option()
@needs_extra("a line's ledger", "line")
def take(
    directory: Path,
    ledger: str,
    line: str | None,
    keep_random: str,
    keep_review: str,
    model: str | None,
    workers: int | None,
) -> None:
    """Take the new pieces of a line into DIR: all are counted, those that are drawn wait to be labelled.

    Again takes what came since; a timer may do it every hour. line:ID of a piece is its receipt.

    \b
    Examples:
      binsight loop take loop/ line1.sqlite
      binsight loop take loop/ line.toml --keep-random 500/week --model waste8
    """
    from binsight.bundle import resolve_bundle
    from binsight.line.harvest import take_pieces
    from binsight.loop.counts import Counts
    from binsight.loop.queue import Queue
    from binsight.loop.sampling import Quotas, parse_quota
    from binsight.predictor import Predictor

    quotas = []
    for text, per in ((keep_random, "week"), (keep_review, "day")):
        try:
            quotas.append(parse_quota(text, per))
        except ValueError as error:
            hint = "--keep-random" if per == "week" else "--keep-review"
            raise click.BadParameter(str(error), param_hint=hint) from None
    predictor = None if model is None else Predictor.load(resolve_bundle(model), threads=1)
    with open_ledger(ledger, line) as opened:
        found = take_pieces(Queue(directory, create=True), Counts(directory), opened.database, opened.line,
                            Quotas(*quotas), predictor=predictor, workers=workers)  # fmt: skip
    unlike = f", {found.diverse:,} of them unlike the others" if found.diverse else ""
    click.echo(f"{plain(opened.line)}: {found.counted:,} new pieces, {found.kept:,} kept{unlike}")


@click.command(cls=Command)
@DIRECTORY
@option("--model", type=BUNDLE, required=True, help="To which photos are alike or not.")
@workers_option()
def diverse(directory: Path, model: str, workers: int | None) -> None:
    """Let a server's photos wait to be labelled that were sent to review, not drawn, and are unlike the others in DIR.

    At most 20 a week, for training only; a timer may do it every day.

    \b
    Examples:
      binsight loop diverse loop/ --model waste8
    """
    from binsight.bundle import resolve_bundle
    from binsight.loop.diverse import take_candidates
    from binsight.loop.queue import Queue
    from binsight.predictor import Predictor

    queue = Queue(directory)
    taken = take_candidates(queue, Predictor.load(resolve_bundle(model), threads=1), workers=workers)
    click.echo(f"{taken:,} photos unlike the others wait to be labelled")
