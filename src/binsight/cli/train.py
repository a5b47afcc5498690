"""`binsight train`: from a folder of photos to a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from binsight.cli.data_options import dataset_options, load_dataset
from binsight.cli.options import FILE, FOLDER, PLACE, json_option, option
from binsight.cli.text import markup, open_console, plain, print_json
from binsight.cli.training_options import (
    SettingsCommand,
    features_option,
    resolve_settings,
    setting_options,
    training_means,
)
from binsight.pipeline.config import all_options

if TYPE_CHECKING:
    from binsight.pipeline.config import TrainConfig
    from binsight.pipeline.train import TrainResult

__all__ = ["train"]


@setting_options(all_options())
@click.command(cls=SettingsCommand)
@dataset_options
@option("--out", type=PLACE, metavar="BUNDLE", help="The bundle: a folder, or a .zip file.")
@option("--config", type=FILE, help="Settings in TOML; flags go before it. --dry-run prints one.")
@option(
    "--work",
    type=FOLDER,
    help="Where features, study and checkpoints are kept.  [default: beside the bundle, as BUNDLE.work]",
)
@features_option
@option("--resume", is_flag=True, help="Go on with what an interrupted run left in the work folder.")
@option("--overwrite", is_flag=True, help="Replace the bundle, and what the work folder holds.")
@option("--dry-run", is_flag=True, help="Print settings, plan and network, and train nothing.")
@json_option()
def train(
    out: Path | None,
    config: Path | None,
    work: Path | None,
    resume: bool,
    overwrite: bool,
    dry_run: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Train a model on the photos in DATA: audit, split, features, tuning, fitting, fine-tuning, calibration, report.

    DATA is a folder with one folder per class, with or without train/, val/ and test/ above them, or a manifest. Any
    classes will do. Copies on both sides of the split stop the training with exit code 1.

    \b
    Presets:
      best      a frozen backbone's heads, then the backbone too, averaged with its start (default)
      fast      frozen: minutes
      original  the course project's steps, on frozen Xception

    \b
    Examples:
      binsight train photos/ --out mine --preset fast
      binsight train photos/ --out mine.zip --taxonomy waste8 --unknown not-waste/
      binsight train photos/ --dry-run --preset original > original.toml
      binsight train photos/ --out mine --config original.toml --seed 3
      binsight train photos/ --out mine --resume
    """
    settings = resolve_settings(config, options)
    if dry_run:
        _print_plan(settings, options, as_json=as_json)
        return
    if out is None:
        raise click.UsageError("say where the bundle goes: --out BUNDLE")
    if options["features"] is not None and settings.heads.kind == "original":
        raise click.UsageError("--features goes with heads on the photos as they are, not with --head original")
    from binsight.pipeline.train import places_beside
    from binsight.pipeline.train import train as run

    with training_means(options) as (found, means):
        result = run(found, settings, places_beside(out, work=work), resume=resume, overwrite=overwrite, **means)
    if as_json:
        print_json(_describe(result))
    else:
        _print(result)


def _print_plan(settings: TrainConfig, options: dict[str, Any], *, as_json: bool) -> None:
    from binsight.pipeline.plan import make_plan

    options.pop("features")  # nothing is computed
    plan = make_plan(load_dataset(**options), settings)
    if as_json:
        print_json(plan.to_dict())
        return
    # As comments, so that the whole is a file for --config.
    for text in (plan.photos, *plan.steps, "", *plan.summary.splitlines()):
        click.echo(f"# {plain(text)}".rstrip())
    click.echo()
    click.echo(settings.to_toml().rstrip())


def _describe(result: TrainResult) -> dict[str, Any]:
    manifest = result.manifest.to_dict()
    return {
        "bundle": str(result.bundle),
        "report": None if result.report is None else str(result.report),
        "taxonomy": None if result.taxonomy is None else str(result.taxonomy),
        "seconds": round(result.seconds, 1),
        "name": manifest["name"],
        "version": manifest["version"],
        "metrics": manifest["metrics"],
        "training": manifest["training"],
    }


def _print(result: TrainResult) -> None:
    console = open_console()
    for split, measured in result.manifest.metrics.items():
        for name, metric in measured.values.items():
            bounds = "" if metric.low is None else f"  ({metric.low:.4f} to {metric.high:.4f})"
            console.print(f"[dim]{markup(split):>8}[/]  {markup(name):<28} {metric.value:.4f}{bounds}")
    click.echo(f"{result.seconds:.0f} s")
    for title, path in (("report", result.report), ("taxonomy", result.taxonomy), ("bundle", result.bundle)):
        if path is not None:
            click.echo(f"{title}: {plain(str(path))}")
