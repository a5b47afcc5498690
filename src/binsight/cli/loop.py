"""`binsight loop`: the photos that a server keeps for labelling, and what their labels say."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from binsight.cli.loop_intake import diverse, import_, take
from binsight.cli.options import BUNDLE, DIRECTORY, FOLDER, Group, json_option, option, workers_option
from binsight.cli.text import markup, new_table, open_console, plain, print_json

if TYPE_CHECKING:
    from binsight.loop.counts import FeatureDrift
    from binsight.loop.standing import ComparisonStatus
    from binsight.probability.intervals import Interval

__all__ = ["loop"]


@click.group(cls=Group)
def loop() -> None:
    """Look at the photos that `binsight serve --loop DIR` keeps, and at what their labels say of the model.

    \b
    Examples:
      binsight serve --loop loop/ --label-keys labellers     people label at /label
      binsight loop status loop/
      binsight loop accuracy loop/                            with intervals, and what is taken for what
      binsight loop drift loop/                               exit code 1 when more goes to review than usual
      binsight loop forget loop/ RECEIPT
      binsight loop export loop/ --out for-others/ --format imagefolder
      binsight loop import loop/ project-3.json --format labelstudio
      binsight loop take loop/ line1.sqlite                   pieces of a line
      binsight loop diverse loop/ --model waste8              photos unlike the others
    """


@loop.command()
@DIRECTORY
@json_option()
def status(directory: Path, as_json: bool) -> None:
    """Say how many photos are kept, labelled, open and why, who labelled, how far people agree, how models compare.

    How photos look is told as the last `binsight loop drift DIR --model NAME` found it.
    """
    from binsight.evaluation.results import json_ready
    from binsight.loop.queue import Queue
    from binsight.loop.standing import read_status

    found = read_status(Queue(directory))
    if as_json:
        print_json(json_ready(found))
        return
    aside = f", {found.set_aside:,} set aside" if found.set_aside else ""
    click.echo(f"{found.kept:,} photos kept, {found.labelled:,} labelled, {found.open:,} open{aside}")
    for reason, count in found.by_reason.items():
        click.echo(f"  open, {reason}: {count:,}")
    if found.undecided:
        click.echo(f"people differ on {found.undecided:,}: a third must look")
    for who, count in found.labellers.items():
        right, total = found.gold.get(who, (0, 0))
        checks = f", hidden checks right: {right} of {total}" if total else ""
        click.echo(f"{plain(who)}: {count:,} labels{checks}")
    if found.agreement.photos:
        a = found.agreement
        click.echo(f"two people agree on {_share(a.share)} of {a.photos:,} photos; Cohen's kappa {_number(a.kappa)}, "
                   f"Krippendorff's alpha {_number(a.alpha)}")  # fmt: skip
    for comparison in found.comparisons:
        _tell_comparison(comparison)
    for looks in found.looks:
        click.echo(f"{plain(looks.model)}, looked at {looks.at}:")
        _print_looks(looks)


@loop.command()
@DIRECTORY
@option("--model", metavar="NAME VERSION", help="Of which model.  [default: the latest]")
@json_option()
def accuracy(directory: Path, model: str | None, as_json: bool) -> None:
    """Say how good the model is on live photos, from the labels of those drawn at random, with 95 % intervals."""
    from binsight.errors import InputError
    from binsight.evaluation.results import json_ready
    from binsight.loop.counts import Counts
    from binsight.loop.queue import Queue
    from binsight.loop.standing import live_accuracy

    queue, counts = Queue(directory), Counts(directory)
    models = counts.models()
    if not models or (model is not None and model not in models):
        raise InputError(f"{directory}: no photos of {model or 'any model'}; there are {', '.join(models) or 'none'}")
    found = live_accuracy(queue, counts, model or models[0])
    if as_json:
        confusion = [{"named": a, "is": b, "photos": n} for (a, b), n in sorted(found.confusion.items())]
        about = {"model": model or models[0], "labelled": found.labelled, "covered": found.covered}
        intervals = {"overall": found.overall, "accepted": found.accepted}
        print_json(json_ready({**about, **intervals, "confusion": confusion}))
        return
    click.echo(f"{plain(model or models[0])}: {found.labelled:,} labelled photos")
    if not found.labelled:
        return
    click.echo(f"right on live photos: {_share(found.overall)}; among the accepted: {_share(found.accepted)}")
    if found.covered < 1:
        click.echo(f"covers {found.covered:.1%} of live photos; of the others none is labelled yet")
    wrong = sorted((-n, a, b) for (a, b), n in found.confusion.items() if a != b)
    if wrong:
        table = new_table("Named", "Is", "Photos")
        for n, named, truth in wrong:
            table.add_row(markup(named), markup(truth), str(-n))
        open_console().print(table)


@loop.command()
@DIRECTORY
@option("--model", type=BUNDLE, help="Compare how photos look to this model, too: the last two weeks with before.")
@workers_option()
@json_option()
@click.pass_context
def drift(ctx: click.Context, directory: Path, model: str | None, workers: int | None, as_json: bool) -> None:
    """Say whether the share sent to review has doubled; exit with 1 when it has, for the latest model.

    With --model it is also said whether photos drawn at random look as they used to: a notice, which changes no exit
    code. It is kept, for `binsight loop status` and the server's metrics.
    """
    from binsight.cli.app import EXIT_FAULTS
    from binsight.loop.counts import Counts

    counts = Counts(directory)
    latest, watches = counts.models()[:1], counts.drift()
    looks = None if model is None else _measure(directory, model, workers)
    if as_json:
        print_json([asdict(w) for w in watches] if looks is None else
                              {"review": [asdict(w) for w in watches],
                               "features": asdict(looks) | {"noticed": looks.noticed}}, indent=None)  # fmt: skip
    else:
        for w in watches:
            usual = "still learning what is usual" if w.p0 is None else f"usual: at most {w.p0:.1%} to review"
            click.echo(f"{plain(w.model)}: {usual}; sum {w.sum:.2f} of 8{', more than usual now' if w.drifted else ''}")
        if looks is not None:
            _print_looks(looks)
    if looks is not None:
        counts.keep_looks(looks)
    if any(w.drifted for w in watches if [w.model] == latest):
        ctx.exit(EXIT_FAULTS)


def _measure(directory: Path, model: str, workers: int | None) -> FeatureDrift:
    from binsight.bundle import resolve_bundle
    from binsight.loop.features import measure_drift
    from binsight.loop.queue import Queue
    from binsight.predictor import Predictor

    return measure_drift(Queue(directory), Predictor.load(resolve_bundle(model), threads=1), workers=workers)


def _print_looks(looks: FeatureDrift) -> None:
    for name, (photos, shift) in zip(("the last week", "the week before"), looks.weeks, strict=True):
        if shift is None:
            click.echo(f"photos of {name}: too few to compare ({photos:,}, and {looks.before:,} from before)")
        else:
            click.echo(f"photos of {name} ({photos:,}) against {looks.before:,} from before: p {shift.p:.3f}")
    if looks.noticed:
        click.echo("photos look unlike those from before: twice as many are kept at random; look at the accuracy")


@loop.command()
@DIRECTORY
@click.argument("reference", metavar="SHA|RECEIPT")
@option("--reason", metavar="TEXT", default="", show_default=False, help="Why; recorded.")
@json_option()
def forget(directory: Path, reference: str, reason: str, as_json: bool) -> None:
    """Delete a photo and all that is known of it; say which versions of the data set and which models it touched."""
    from binsight.loop.queue import Queue

    found = Queue(directory).forget(reference, reason=reason)
    if as_json:
        print_json(asdict(found), indent=None)
        return
    click.echo("forgotten: the photo and its rows are gone, a keyed mark keeps it out")
    for title, names in (("version of the data set", found.versions), ("model", found.models)):
        for name in names:
            click.echo(f"touched: {title} {name[:12]}")


@loop.command()
@DIRECTORY
@option("--out", type=FOLDER, required=True, metavar="OUT", help="A folder that is empty, or is not there yet.")
@option(
    "--format",
    "form",
    type=click.Choice(["csv", "imagefolder", "labelstudio", "cvat"]),
    default="csv",
    help="How the photos are described beside their folders.",
)
def export(directory: Path, out: Path, form: str) -> None:
    """Copy the photos of the newest version (`binsight data freeze`) to OUT, a folder per class, for other programs."""
    from binsight.loop.exporting import export_version
    from binsight.loop.queue import Queue

    click.echo(f"{export_version(Queue(directory), out, form):,} photos in {plain(str(out))}")


@loop.command()
@DIRECTORY
@click.argument("client")
def withdraw(directory: Path, client: str) -> None:
    """Take back all corrections of CLIENT, by the pseudonym that `loop claims` lists."""
    from binsight.loop.queue import Queue

    click.echo(f"{Queue(directory).withdraw(client):,} photos withdrawn")


@loop.command()
@DIRECTORY
@json_option("Print one JSON object per line.")
def claims(directory: Path, as_json: bool) -> None:
    """List the clients that sent corrections: how many, and how many of them people found right."""
    from binsight.loop.queue import Queue
    from binsight.loop.standing import count_claims

    found = count_claims(Queue(directory))
    if as_json:
        for each in found:
            print_json(asdict(each), indent=None)
        return
    table = new_table("Client", "Corrections", "Looked at", "Right")
    for each in found:
        table.add_row(each.client, str(each.claims), str(each.settled), str(each.right))
    open_console().print(table)


def _tell_comparison(found: ComparisonStatus) -> None:
    aim = "that it is not worse" if found.kind == "challenge" else "that it is worse"
    end = "" if found.ended is None else f" until {found.ended}: {plain(found.outcome)}"
    click.echo(f"{plain(found.new)} against {plain(found.old)}, {found.kind} since {found.began}{end}")
    click.echo(
        f"  {found.photos:,} live photos; they differ on {found.differ:,}, {found.open:,} of them to be labelled"
    )
    click.echo(f"  only the new one is right on {found.only_new_right:,}, only the old on {found.only_old_right:,}")
    more = f"; about {found.photos_more:,} photos, {found.labels_more:,} labels more" if found.photos_more else ""
    click.echo(f"  evidence {aim}: {found.evidence:.3g} of {found.needed:g}{more if found.ended is None else ''}")


def _share(found: Interval) -> str:
    return f"{found.value:.1%} ({found.low:.1%} to {found.high:.1%})"


def _number(found: Interval) -> str:
    return f"{found.value:.2f} ({found.low:.2f} to {found.high:.2f})"


loop.add_command(diverse)
loop.add_command(import_)
loop.add_command(take)
