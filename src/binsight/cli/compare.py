"""`binsight compare`: which of several models, or of several backbones, to take."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from binsight.cli.data_options import user_cache_dir
from binsight.cli.labelled import labelled_options, load_labelled, load_own_classes
from binsight.cli.options import BUNDLE, FILE, FOLDER, PLACE, Command, html_option, json_option, option, seed_option
from binsight.cli.progress import stages
from binsight.cli.text import markup, new_table, open_console, plain, print_json

if TYPE_CHECKING:
    from binsight.evaluation.comparison import Comparison

__all__ = ["compare"]


@click.command(cls=Command)
@click.argument("bundles", nargs=-1, type=BUNDLE, metavar="BUNDLE...")
@option("--data", required=True, type=PLACE, metavar="DATA", help="The labelled photos to compare on.")
@labelled_options
@option(
    "--backbones",
    metavar="A,B,...",
    help="Compare these backbones instead: a head on the frozen features of each, fitted on train.",
)
@option("--weights-dir", type=FOLDER, help="Where weights of backbones may lie.")
@seed_option("Of intervals and folds.")
@html_option("Write a page with table and plots.")
@option("--plot", type=FILE, help="Write the plot of accuracy against time, .png or .svg.")
@json_option()
def compare(
    bundles: tuple[str, ...],
    data: Path,
    backbones: str | None,
    weights_dir: Path | None,
    seed: int,
    html: Path | None,
    plot: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Compare two or more BUNDLEs on the same labelled photos: accuracy, time, size, and whether a difference is real.

    Every two models are tested on the photos that only one of them has right (McNemar's exact test), and the p-values
    are adjusted for the number of pairs (Holm). The plot shows which models no other beats in both accuracy and cost.

    With --backbones no bundles are given: DATA needs the splits train and val.

    \b
    Examples:
      binsight compare waste8 my.zip --data photos/
      binsight compare a.zip b.zip c.zip --data photos/ --split test --html compared.html --plot pareto.png
      binsight compare --backbones efficientnet_lite0,efficientnet_lite2 --data photos/
    """
    from binsight.evaluation.comparison_report import render_comparison, write_plot
    from binsight.evaluation.page import require_libraries
    from binsight.files import write_whole

    if html is not None or plot is not None:
        require_libraries()
    if backbones is not None and bundles:
        raise click.UsageError("either BUNDLEs or --backbones, not both")
    if backbones is None and len(bundles) < 2:
        raise click.UsageError("expected at least two BUNDLEs, or --backbones A,B,...")
    if backbones is not None:
        found = _compare_backbones(backbones, data, weights_dir, seed, options)
    else:
        found = _compare_bundles(bundles, data, seed, options)
    for text in found.seen:
        click.echo(f"warning: has seen these photos: {plain(text)}", err=True)
    for text in found.lacking:
        click.echo(f"note: {plain(text)}", err=True)
    title = "Models compared" if backbones is None else "Backbones compared"
    if html is not None:
        write_whole(html, render_comparison(found, title=title))
    if plot is not None:
        write_plot(found, plot)
    if as_json:
        print_json(found.to_dict())
    else:
        _print(found, [p for p in (html, plot) if p is not None])


def _compare_bundles(bundles: tuple[str, ...], data: Path, seed: int, options: dict[str, Any]) -> Comparison:
    from binsight.bundle import load_bundle, resolve_bundle
    from binsight.evaluation.comparison import compare_bundles

    paths = [resolve_bundle(bundle) for bundle in bundles]
    taxonomy = max((load_bundle(path).manifest.taxonomy for path in paths), key=len)  # of equal ones the first
    labelled = load_labelled(data, taxonomy, **options)
    with stages(quiet=options["quiet"]) as stage:
        return compare_bundles(
            paths, labelled.photos, taxonomy, split=labelled.split, seed=seed, workers=options["workers"], stage=stage
        )


def _compare_backbones(
    names: str, data: Path, weights_dir: Path | None, seed: int, options: dict[str, Any]
) -> Comparison:
    from binsight.pipeline.compare_backbones import compare_backbones

    train, val = load_own_classes(data, **options)
    with stages(quiet=options["quiet"]) as stage:
        return compare_backbones(
            [name.strip() for name in names.split(",") if name.strip()],
            train.photos,
            val.photos,
            weights_dir=weights_dir,
            cache=user_cache_dir() / "features",
            split=val.split,
            seed=seed,
            workers=options["workers"],
            stage=stage,
        )


def _print(found: Comparison, files: list[Path]) -> None:
    from binsight.evaluation.comparison_report import describe_pair
    from binsight.evaluation.page import format_range, percent

    console = open_console()
    console.print(f"{len(found.entries)} models on {found.photos:,} photos of {markup(found.split)}")
    notes = list(dict.fromkeys(name for e in found.entries for name, _ in e.notes))
    titles = ("Model", "Accuracy", "95 % interval", "Macro F1", "Network", "File")
    table = new_table(*titles, *(markup(n.capitalize()) for n in notes))
    for e in found.entries:
        own = dict(e.notes)
        time_mark, size_mark = (" *" if best else "" for best in (e.is_best_for_time, e.is_best_for_size))
        table.add_row(
            markup(e.name),
            percent(e.accuracy.value),
            format_range(e.accuracy),
            percent(e.macro_f1.value),
            f"{e.engine_ms:.1f} ms{time_mark}",
            f"{e.model_bytes / 1e6:.1f} MB{size_mark}",
            *(percent(own[name]) if name in own else "-" for name in notes),
        )
    console.print(table)
    console.print("* no other is at least as accurate for less", style="dim")
    for pair in found.pairs:
        test = pair.test
        console.print(
            f"{pair.first} against {pair.second}: {describe_pair(pair)} (only one right: {test.only_first} against "
            f"{test.only_second}; p = {test.p_value:.2g}, adjusted {pair.adjusted_p:.2g})",
            markup=False,
            soft_wrap=True,
        )
    for fault in found.unreadable:
        console.print(f"not looked at: {plain(fault.path)}: {plain(fault.message)}", markup=False, soft_wrap=True)
    for path in files:
        click.echo(f"written: {plain(str(path))}")
