"""`binsight retrain`: from what is labelled to a challenger."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from binsight.cli.options import FILE, PLACE, Command, json_option, option, quiet_option, workers_option
from binsight.cli.progress import reporter, stages
from binsight.cli.registry import user_name
from binsight.cli.text import plain, print_first, print_json

if TYPE_CHECKING:
    from binsight.loop.queue import Queue
    from binsight.loop.registry import Registry
    from binsight.pipeline.retrain import Retrained

__all__ = ["retrain"]

_LISTED = 10


@click.command(cls=Command)
@click.argument("directory", metavar="DIR", type=PLACE)
@option("--registry", "models", type=PLACE, required=True, metavar="DIR", help="Where the champion is.")
@option(
    "--original",
    type=PLACE,
    metavar="DATA",
    help="Train the backbone too, on these photos and the labelled ones: hours. The photos the champion was made from.",
)
@option("--config", type=FILE, help="With --original: the settings, as binsight train takes them.")
@workers_option()
@json_option()
@quiet_option()
def retrain(
    directory: Path,
    models: Path,
    original: Path | None,
    config: Path | None,
    workers: int | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Freeze what is labelled in DIR, teach the champion of the registry, and register what comes of it as challenger.

    Only the split train of the new version is learned from: never locked or hard photos, corrections in quarantine,
    or more than a tenth of one client. The heads are taught on the features of the champion's backbone, as `binsight
    adapt` does it, in seconds to minutes, without the photos it was trained on. A run that was killed is finished by
    the same command. Nothing is served of it before `binsight gate` has let it pass.

    \b
    Examples:
      binsight retrain loop/ --registry models/
      binsight gate challenger --against champion --data loop/ --registry models/
      binsight retrain loop/ --registry models/ --original photos/ --config train.toml
    """
    from binsight.loop.queue import Queue
    from binsight.loop.registry import Registry

    if config is not None and original is None:
        raise click.UsageError("--config needs --original DATA: the heads alone have no settings")
    queue, registry = Queue(directory), Registry(models)
    found = _retrain(queue, registry, original, config, workers, quiet=quiet)
    if as_json:
        print_json(_describe(found))
        return
    _print(found)
    click.echo(f"next: binsight gate challenger --against champion --data {directory} --registry {models}")


def _retrain(
    queue: Queue, registry: Registry, original: Path | None, config: Path | None, workers: int | None, *, quiet: bool
) -> Retrained:
    from binsight.pipeline.retrain import FullTraining
    from binsight.pipeline.retrain import retrain as run

    if original is None:
        with stages(quiet=quiet) as stage:
            return run(queue, registry, by=user_name(), workers=workers, stage=stage)
    from binsight.cli.data_options import load_dataset
    from binsight.cli.training_options import resolve_settings

    with reporter(quiet=quiet, lines=True) as shown:
        full = FullTraining(load_dataset(original, workers=workers, quiet=quiet), resolve_settings(config, {}), shown)
        return run(queue, registry, by=user_name(), full=full, workers=workers)


def _describe(found: Retrained) -> dict[str, object]:
    return {
        "model": found.model.sha256,
        "name": found.model.name,
        "version": found.model.version,
        "aliases": list(found.model.aliases),
        "labels": found.version.sha256,
        "photos": found.version.photos,
        "left_out": found.version.left_out,
        "waiting": found.waiting,
        "base": found.base.sha256,
        "taught": None if found.taught is None else found.taught.to_dict(),
    }


def _print(found: Retrained) -> None:
    from binsight.adapt.card import as_share

    counts = ", ".join(f"{count:,} {plain(split)}" for split, count in sorted(found.version.photos.items()))
    click.echo(f"labels {found.version.sha256[:12]}: {counts}; only train is learned from")
    if found.waiting:
        click.echo(f"not used: {found.waiting:,} corrections that wait for two people")
    if found.version.left_out:
        click.echo(f"not used: {found.version.left_out:,} corrections, too many of one client")
    if (taught := found.taught) is not None:
        click.echo(f"right on photos left out: {as_share(taught.accuracy)}, before {as_share(taught.accuracy_before)}")
        click.echo(f"accepted: {as_share(taught.accepted)}, before {as_share(taught.accepted_before)}")
        click.echo(f"right on old photos: {as_share(taught.known)}, before {as_share(taught.known_before)}")
        doubts = [f"{Path(s.path).stem[:12]}: {plain(s.label)}, looks like {plain(s.seems)}" for s in taught.suspects]
        print_first(doubts, _LISTED, lead="wrong label? ", rest="more; --json lists all")
    base = found.base.label
    click.echo(f"{', '.join(found.model.aliases)}: {plain(found.model.label)}, taught from {plain(base)}")
