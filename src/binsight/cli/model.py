"""`binsight model`: look at bundles, check, compare, draw and pack them."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from binsight.cli.app import EXIT_FAULTS
from binsight.cli.model_draw import draw
from binsight.cli.options import BUNDLE, PLACE, Group, bundle_argument, json_option
from binsight.cli.text import markup, new_table, open_console, plain, print_json

if TYPE_CHECKING:
    from rich.console import Console

    from binsight.bundle import Bundle, Manifest, Metric

__all__ = ["model"]

_LESSONS = "adapted"


@click.group(cls=Group)
def model() -> None:
    """Show, verify, compare, draw and pack model bundles.

    A BUNDLE is a folder or .zip file, or the name of one in the package; without it, that of BINSIGHT_MODEL or waste8.

    \b
    Examples:
      binsight model show                   the model in the package
      binsight model show my.zip --card     the model card of your own
      binsight model verify my.zip
      binsight model diff waste8 my.zip
      binsight model pack my/ my.zip
      binsight model draw my.zip --out network.svg
    """


model.add_command(draw)


@model.command()
@bundle_argument()
@json_option()
@click.option("--card", is_flag=True, help="Print the model card (Markdown).")
def show(bundle: str, as_json: bool, card: bool) -> None:
    """Show what a model knows, how good it was measured to be, and how it was made.

    \b
    Examples:
      binsight model show
      binsight model show my.zip --card
      binsight model show my.zip --json | jq .metrics
    """
    from binsight.bundle import load_bundle, resolve_bundle
    from binsight.bundle.container import CARD_NAME

    found = load_bundle(resolve_bundle(bundle))
    if card:
        card_lines = found.read(CARD_NAME).decode("utf-8", "replace").splitlines()
        click.echo("\n".join(plain(line, keep="\t") for line in card_lines))
    elif as_json:
        print_json(found.manifest.to_dict())
    else:
        _print_bundle(found)


@model.command()
@bundle_argument()
@json_option()
def verify(bundle: str, as_json: bool) -> None:
    """Check every file of a bundle; exit with 1 when something is wrong.

    \b
    Examples:
      binsight model verify my.zip
      binsight model verify my/ && binsight predict belt/ --model my/
    """
    from binsight.bundle import resolve_bundle, verify_bundle

    path = resolve_bundle(bundle)
    faults = verify_bundle(path)
    if as_json:
        print_json(
            {"bundle": str(path), "faults": [{"file": f.file, "message": f.message} for f in faults]}, indent=None
        )
    elif faults:
        for fault in faults:
            click.echo(plain(f"{path}: {fault.file or 'bundle'}: {fault.message}"))
    else:
        click.echo(f"{path}: sound")
    if faults:
        sys.exit(EXIT_FAULTS)


@model.command()
@click.argument("first", type=BUNDLE)
@click.argument("second", type=BUNDLE)
@json_option()
def diff(first: str, second: str, as_json: bool) -> None:
    """Show in what two bundles differ; exit with 1 when they do, as diff does.

    \b
    Examples:
      binsight model diff waste8 my.zip
      binsight model diff old.zip new.zip --json
    """
    from binsight.bundle import load_bundle, resolve_bundle

    left, right = (load_bundle(resolve_bundle(bundle)).manifest for bundle in (first, second))
    differences = list(_differences(left, right))
    if as_json:
        print_json([{"key": key, "first": a, "second": b} for key, a, b in differences], indent=None)
    elif differences:
        _print_differences(differences, first, second)
    else:
        click.echo("no difference")
    if differences:
        sys.exit(EXIT_FAULTS)


@model.command()
@click.argument("bundle", type=BUNDLE)
@click.argument("out", type=PLACE)
@click.option(
    "--base",
    metavar="NAME",
    help="Leave out of the network what that of NAME, a bundle in the package, has: only where the same binsight is "
    "installed can it be read.",
)
@click.option("--overwrite", is_flag=True, help="Replace the bundle at OUT.")
def pack(bundle: str, out: Path, base: str | None, overwrite: bool) -> None:
    """Copy BUNDLE to OUT: into a zip when OUT ends in .zip, into a folder otherwise. Every file is checked.

    \b
    Examples:
      binsight model pack my/ my.zip
      binsight model pack my.zip unpacked/
      binsight model pack taught.zip small.zip --base waste8
    """
    from binsight.bundle import builtin_bundles, load_bundle, pack_bundle, resolve_bundle

    if base is not None and base not in (found := builtin_bundles()):
        raise click.BadParameter(
            f"expected a bundle in the package, {' or '.join(found)}, got {base!r}", param_hint="--base"
        )
    network = None if base is None else load_bundle(resolve_bundle(base))
    click.echo(str(pack_bundle(resolve_bundle(bundle), out, base=network, overwrite=overwrite)))


def _print_bundle(bundle: Bundle) -> None:
    from binsight.bundle.container import INT8_NAME

    manifest = bundle.manifest
    console = open_console()
    console.print(f"[bold]{markup(bundle.label)}[/]  ({markup(str(bundle.path))})")
    console.print(f"made {manifest.created}", markup=False)
    _print_classes(console, manifest)
    _print_metrics(console, manifest)
    height, width = manifest.preprocess.size
    second = manifest.biodegradable_temperature
    facts = {
        "input": f"{width} x {height} pixels, {manifest.preprocess.fit}, {manifest.preprocess.filter}",
        "temperature": f"{manifest.temperature:.3g}" + (f", biodegradable {second:.3g}" if second is not None else ""),
        "disagreement": _or_unused(manifest.review.disagreement),
        "unfamiliarity": _or_unused(manifest.review.unfamiliarity),
        **{key: _one_line(value) for key, value in manifest.training.items() if key != _LESSONS},
        "files": ", ".join(f"{name} ({entry.size / 1e6:.1f} MB)" for name, entry in manifest.files.items()),
    }
    if (base := manifest.base) is not None:
        facts["network"] = f"that of {base.name} {base.version}, but for {base.delta.size / 1e6:.1f} MB"
    if INT8_NAME in manifest.files:
        facts["runs here"] = _measured(bundle)
    for key, text in [*facts.items(), *((_LESSONS, text) for text in _lessons(manifest.training.get(_LESSONS)))]:
        console.print(f"[dim]{markup(key):>20}[/]  {markup(text)}", soft_wrap=True)


def _measured(bundle: Bundle) -> str:
    """What `--precision auto` takes on this machine, and why."""
    from binsight.predictor import choose_precision

    runs, times = choose_precision(bundle, "auto")
    ratio = times["int8"] / times["float"]
    return (
        f"{runs}: model.int8.onnx needs {ratio:.2f} times as long as model.onnx on one core ({times['float']:.1f} ms)"
    )


def _lessons(lessons: Any) -> Iterator[str]:
    """What each lesson of `binsight adapt` began with and showed; of what is written otherwise, all of it."""
    for lesson in lessons if isinstance(lessons, list) else []:
        try:
            source, photos = lesson["from"], lesson["photos"]
            shown = ", ".join(f"{count} {name}" for name, count in photos.items())
            yield f"from {source['name']} {source['version']}, made {source['created']}, with photos: {shown}"
        except (KeyError, TypeError, AttributeError):
            yield _one_line(lesson)


def _print_classes(console: Console, manifest: Manifest) -> None:
    table = new_table("Class", "Title", "Biodegradable", "Stream", "Accepted from")
    words = {True: "yes", False: "no", None: "?"}
    for c, threshold in zip(manifest.taxonomy.classes, manifest.review.confidence, strict=True):
        table.add_row(markup(c.id), markup(c.title), words[c.biodegradable], markup(c.stream), f"{threshold:.1%}")
    console.print(table)


def _print_metrics(console: Console, manifest: Manifest) -> None:
    if not manifest.metrics:
        return
    table = new_table("Measured on", "Photos", "Metric", "Value", "95 % interval")
    for split, measured in manifest.metrics.items():
        for position, (name, metric) in enumerate(measured.values.items()):
            first = (markup(split), f"{measured.photos:,}") if position == 0 else ("", "")
            table.add_row(*first, markup(name), f"{metric.value:.4g}", _interval(metric))
    console.print(table)


def _interval(metric: Metric) -> str:
    return "" if metric.low is None or metric.high is None else f"{metric.low:.4g} to {metric.high:.4g}"


def _or_unused(value: float | None) -> str:
    return "not used" if value is None else f"review above {value:.4g}"


def _one_line(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _differences(left: Manifest, right: Manifest) -> Iterator[tuple[str, Any, Any]]:
    """Each key whose value differs, as `a.b.c`, with both values; None where there is none."""
    first, second = dict(_leaves(left.to_dict())), dict(_leaves(right.to_dict()))
    for keys in dict.fromkeys((*first, *second)):
        if keys not in first or keys not in second or first[keys] != second[keys]:
            yield ".".join(keys), first.get(keys), second.get(keys)


def _leaves(value: object, keys: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Each innermost value with the keys that lead to it."""
    if isinstance(value, Mapping) and value:
        for key, entry in value.items():
            yield from _leaves(entry, (*keys, key))
    elif isinstance(value, list) and any(isinstance(entry, (Mapping, list)) for entry in value):
        # Entries with ids are compared by these, so that one class more does not make all others differ.
        ids = [str(entry.get("id")) if isinstance(entry, Mapping) else "None" for entry in value]
        has_ids = "None" not in ids and len(set(ids)) == len(ids)
        if has_ids:
            yield (*keys, "order"), ids
        for key, entry in zip(ids if has_ids else map(str, range(len(value))), value, strict=True):
            yield from _leaves(entry, (*keys, key))
    else:
        yield keys, value


def _print_differences(differences: list[tuple[str, Any, Any]], first: str, second: str) -> None:
    table = new_table("", markup(first), markup(second))
    for key, left, right in differences:
        table.add_row(markup(key), *("" if value is None else markup(_one_line(value)) for value in (left, right)))
    open_console().print(table)
