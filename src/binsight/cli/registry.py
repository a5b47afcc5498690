"""`binsight registry`: which models there are, which one is served, and how it came to be."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from binsight.cli.options import BUNDLE, DIRECTORY, Group, json_option, option
from binsight.cli.text import markup, new_table, open_console, plain, print_json

if TYPE_CHECKING:
    from binsight.loop.registry import RegisteredModel, Registry

__all__ = ["registry", "user_name"]

_REFERENCE = click.argument("reference", metavar="MODEL")


@click.group(cls=Group)
def registry() -> None:
    """Keep models that never change, and say which one is served: champion, challenger, previous.

    MODEL is one of these three words, the beginning of a hash (6 digits or more), or a version. Every change is a line
    in DIR/ledger.jsonl. docs/loop.md teaches it.

    \b
    Examples:
      binsight registry add models/ waste8            the first one becomes the champion
      binsight serve --registry models/
      binsight registry add models/ new.zip           a challenger
      binsight gate challenger --against champion --data photos/ --registry models/
      binsight registry promote models/ challenger
      binsight registry rollback models/
    """


@registry.command()
@DIRECTORY
@click.argument("bundle", type=BUNDLE)
@json_option()
def add(directory: Path, bundle: str, as_json: bool) -> None:
    """Take a copy of BUNDLE; it becomes the challenger, or the champion where there is none yet."""
    from binsight.bundle import resolve_bundle
    from binsight.loop.registry import Registry

    _tell(Registry(directory, create=True).add(resolve_bundle(bundle), by=user_name()), as_json)


@registry.command(name="list")
@DIRECTORY
@json_option("Print one JSON object per line.")
def list_models(directory: Path, as_json: bool) -> None:
    """List the models, in the order in which they came."""
    from binsight.loop.registry import Registry

    models = Registry(directory).models()
    if as_json:
        for model in models:
            print_json(_as_dict(model), indent=None)
        return
    table = new_table("Model", "Version", "Is", "Added", "SHA-256")
    for m in models:
        table.add_row(*(markup(text) for text in (m.name, m.version, ", ".join(m.aliases), m.added, m.sha256[:12])))
    open_console().print(table)


@registry.command()
@DIRECTORY
@click.argument("reference", metavar="[MODEL]", required=False)
@json_option()
def show(directory: Path, reference: str | None, as_json: bool) -> None:
    """Show what happened to MODEL, or all that happened; every line of the ledger is checked."""
    from binsight.loop.registry import Registry

    found = Registry(directory)
    entries = found.ledger.read()
    if reference is not None:
        model = found.find(reference)
        found.check(model.sha256)
        entries = [e for e in entries if model.sha256 in {e.details.get(key) for key in ("model", "challenger")}]
        if not as_json:
            click.echo(f"{plain(model.label)}: {found.path(model.sha256)}")
    if as_json:
        print_json([entry.to_dict() for entry in entries])
        return
    for entry in entries:
        words = [entry.details.get(key) for key in ("kind", "state", "verdict", "by", "override", "reason")]
        about = " · ".join(plain(str(word)) for word in words if word)
        model_hash = str(entry.details.get("model", entry.details.get("challenger", "")))[:12]
        click.echo(f"{entry.at}  {entry.event:<9} {model_hash}  {about}")


@registry.command()
@DIRECTORY
@_REFERENCE
@option("--override", metavar="REASON", help="Promote although no gate has let it pass; the reason is recorded.")
@json_option()
def promote(directory: Path, reference: str, override: str | None, as_json: bool) -> None:
    """Make MODEL the champion, if a gate has let it pass. Running servers take it at their next reload (SIGHUP)."""
    from binsight.loop.registry import Registry

    _tell(Registry(directory).promote(reference, by=user_name(), override=override), as_json)


@registry.command()
@DIRECTORY
@option("--reason", metavar="TEXT", default="", show_default=False, help="Why; recorded.")
@json_option()
def rollback(directory: Path, reason: str, as_json: bool) -> None:
    """Make the previous model the champion again. It stays so: over reloads and restarts, until another is promoted."""
    from binsight.loop.registry import Registry

    _tell(Registry(directory).rollback(by=user_name(), reason=reason), as_json)


@registry.command()
@DIRECTORY
@_REFERENCE
@option("--to", type=click.Choice(["mlflow"]), required=True, help="Where to.")
@option("--uri", metavar="ADDRESS", help="Of the tracking server.  [default: MLFLOW_TRACKING_URI]")
@option("--name", metavar="NAME", help="Of the registered model there.  [default: the model's]")
def push(directory: Path, reference: str, to: str, uri: str | None, name: str | None) -> None:
    """Bring MODEL to another registry: the bundle, a version of it, and what it is called here.

    \b
    Example:
      binsight registry push models/ champion --to mlflow --uri http://mlflow:5000
    """
    from binsight.loop.mlflow_push import push_to_mlflow
    from binsight.loop.registry import Registry

    found = Registry(directory)
    model = found.find(reference)
    version = push_to_mlflow(found, model, address=uri, name=name)
    click.echo(f"{plain(model.label)}: version {version} in {to}")


def registered(reference: str, registry: Registry | None) -> tuple[Path, RegisteredModel | None]:
    """The bundle meant by a reference into a registry, or, without one, by a path or name."""
    from binsight.bundle import resolve_bundle

    if registry is None:
        return resolve_bundle(reference), None
    model = registry.find(reference)
    registry.check(model.sha256)
    return registry.path(model.sha256), model


def _as_dict(model: RegisteredModel) -> dict[str, object]:
    from dataclasses import asdict

    return asdict(model)


def _tell(model: RegisteredModel, as_json: bool) -> None:
    if as_json:
        print_json(_as_dict(model), indent=None)
    else:
        click.echo(f"{plain(model.label)} is {' and '.join(model.aliases) or 'registered'}")


def user_name() -> str:
    """Who runs this."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a container's user may have no name
        return "unknown"
