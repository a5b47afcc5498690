"""`binsight gate`: may a challenger take the champion's place?"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from binsight.cli.app import EXIT_FAULTS
from binsight.cli.options import (
    BUNDLE,
    FOLDER,
    PLACE,
    Command,
    NumberRange,
    json_option,
    option,
    quiet_option,
    workers_option,
)
from binsight.cli.progress import stages
from binsight.cli.registry import registered
from binsight.cli.text import plain, print_json
from binsight.errors import InputError

if TYPE_CHECKING:
    from binsight.loop.contest import Contest
    from binsight.loop.fixed_set import PairedCounts
    from binsight.loop.gate import GateResult
    from binsight.loop.registry import RegisteredModel, Registry

__all__ = ["gate"]

_MARKS = {"passed": "yes", "failed": "NO", "open": "not shown", "not measured": "no such photos"}


@click.command(cls=Command)
@click.argument("challenger", type=BUNDLE)
@option("--against", "champion", type=BUNDLE, required=True, metavar="CHAMPION", help="The model in use.")
@option("--data", type=PLACE, required=True, metavar="DATA", help="Labelled photos: folders, a manifest, or a loop.")
@option(
    "--margin",
    type=NumberRange(0, 50, min_open=True),
    default=0.5,
    metavar="POINTS",
    help="By how many points of accuracy it may be worse.",
)
@option("--split", metavar="NAME", help="Where the proof is sought.  [default: locked, or val, or all photos]")
@option(
    "--class",
    "renamed",
    multiple=True,
    metavar="NAME=CLASS",
    help="What a class name of DATA means in the models, or not-waste; NAME= leaves its photos out. May be repeated.",
)
@option("--registry", "directory", type=FOLDER, help="CHALLENGER and CHAMPION are its models; it hears.")
@option(
    "--benefit", type=click.Choice(["smaller", "faster"]), help="What it is wanted for, where not for being better."
)
@option("--override", metavar="REASON", help="Promote whatever is found; the reason is recorded. Needs --registry.")
@workers_option()
@json_option()
@quiet_option()
def gate(
    challenger: str,
    champion: str,
    data: Path,
    margin: float,
    split: str | None,
    renamed: tuple[str, ...],
    directory: Path | None,
    benefit: str | None,
    override: str | None,
    workers: int | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Say whether CHALLENGER may take the place of CHAMPION. Exit codes: 0 promote, 1 not proven or worse, 2 wrong use.

    It may when it is proven to be not worse, is better where it should be (on photos of the split hard, or with fewer
    reviews), and does no harm of other kinds; docs/loop.md has the rule. Photos that a model has learned from do not
    count. Live photos give the proof where a server with this registry and the loop DATA has run CHALLENGER in the
    shadow. Each look at locked photos is recorded beside them and there are ten; only the verdict is shown. After them,
    `binsight data freeze DIR --retire` lets these photos go, and locks newer ones.

    \b
    Examples:
      binsight gate new.zip --against waste8 --data photos/
      binsight gate challenger --against champion --data loop/ --registry models/
      binsight gate small.zip --against waste8 --data photos/ --margin 1 --benefit smaller
    """
    from binsight.loop.gate import judge
    from binsight.loop.registry import Registry

    if override is not None and (directory is None or not override.strip()):
        raise click.UsageError("--override needs a reason, and --registry DIR to record it in")
    found = None if directory is None else Registry(directory)
    (new, new_model), (old, old_model) = registered(challenger, found), registered(champion, found)
    contest = _contest(new, old, data, split, renamed, workers, quiet=quiet)
    result: GateResult = judge(
        contest.locked,
        contest.hard,
        contest.cost,
        margin=margin / 100,
        looks_alpha="ten" if contest.split == "locked" else "one",
        live=_live(data, found, new_model, old_model),
        declared=benefit,  # type: ignore[arg-type]  # click has checked it
    )
    if found is not None and new_model is not None and old_model is not None:
        _record(found, new_model, old_model, contest, result, margin, override)
    _tell(result, contest, override, as_json=as_json)
    if result.verdict != "promote" and override is None:
        sys.exit(EXIT_FAULTS)


def _contest(
    new: Path, old: Path, data: Path, split: str | None, renamed: tuple[str, ...], workers: int | None, *, quiet: bool
) -> Contest:
    from binsight.cli.labelled import parse_renamed
    from binsight.loop.contest import LOCKED, hold_contest
    from binsight.loop.ledger import Ledger
    from binsight.loop.looks import MOST_LOOKS, record_look
    from binsight.loop.versions import newest_version

    ledger = Ledger((data if data.is_dir() else data.parent) / "ledger.jsonl")
    if data.is_dir() and (version := newest_version(data)) is not None:
        data = version
    elif (data / "queue.sqlite3").is_file():
        raise InputError(f"{data}: a loop in which nothing is frozen yet; `binsight data freeze {data}` first")

    def look(where: str, photos: Sequence[str]) -> None:
        if where == LOCKED:
            number = record_look(ledger, photos=photos, challenger=str(new), champion=str(old))
            click.echo(f"note: look {number} of {MOST_LOOKS} at these locked photos", err=True)
        elif not quiet:
            click.echo(f"note: these photos ({plain(where)}) are not locked: the more often they are used to "
                       "choose among models, the less they prove", err=True)  # fmt: skip

    with stages(quiet=quiet) as stage:
        return hold_contest(
            new, old, data, split=split, meanings=parse_renamed(renamed), look=look, workers=workers, stage=stage
        )


def _live(
    data: Path, registry: Registry | None, new: RegisteredModel | None, old: RegisteredModel | None
) -> PairedCounts | None:
    """What a shadow has found on live photos, where there were any."""
    from binsight.loop.comparing import Comparison
    from binsight.loop.queue import Queue
    from binsight.loop.trials import find_challenge

    if registry is None or new is None or old is None or not (data / "queue.sqlite3").is_file():
        return None
    trial = find_challenge(registry.ledger.read(), new.sha256, old.sha256)
    standing = None if trial is None else Comparison(Queue(data), trial).standing()
    return standing.counts if standing is not None and standing.photos else None


def _record(
    registry: Registry,
    new: RegisteredModel,
    old: RegisteredModel,
    contest: Contest,
    result: GateResult,
    margin: float,
    override: str | None,
) -> None:
    verdict = result.verdict if override is None else "promote"
    about = {"found": result.describe(), "margin": margin, "photos": contest.digest, "split": contest.split}
    if override is not None:
        about["override"] = override
    with registry.ledger.writing():
        registry.ledger.append(
            "gate", challenger=new.sha256, champion=old.sha256, verdict=verdict, **about,
            checks={check.name: check.outcome for check in result.checks},
        )  # fmt: skip


def _tell(result: GateResult, contest: Contest, override: str | None, *, as_json: bool) -> None:
    if as_json:
        verdict = {"verdict": result.verdict, "override": override, "photos": result.photos, "labels": result.labels}
        about = {"split": contest.split, "left_out": contest.left_out}
        print_json({**verdict, **about, "checks": [asdict(check) for check in result.checks]})
        return
    width = max(len(check.name) for check in result.checks)
    for check in result.checks:
        click.echo(f"{check.name:<{width}}  {_MARKS[check.outcome]:<14}  {check.text}")
    if contest.left_out:
        click.echo(f"left out: {contest.left_out:,} photos that a model has learned from, or that cannot be read")
    click.echo(result.describe() if override is None else f"promote, by override ({result.describe()})")
